"""The frame store: gives back what went in, and names what did not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_footage import TARGET_BGR, draw_sequence, drawn_data

from siam_tracker_ros.footage.sequence_folder import SequenceFolderError
from siam_tracker_ros.training.datasets.annotation import DatasetError
from siam_tracker_ros.training.datasets.coco import read_coco
from siam_tracker_ros.training.datasets.sequence_folder import read_sequence_folder
from siam_tracker_ros.training.frame_store import FrameStore, build_frame_store
from siam_tracker_ros.training.prepare import open_store, prepare_store
from siam_tracker_ros.training.target_store import StoreError


def test_frames_boxes_masks_and_tracks_come_back(tmp_path):
    summary = prepare_store(drawn_data(tmp_path))
    assert (summary.frames, summary.targets, summary.masks, summary.tracks) == (21, 21, 21, 6)
    store = FrameStore(tmp_path / "store")
    assert len(store) == 21
    assert sorted(set(store.track_groups)) == ["first", "held", "second", "still0", "still1", "still2"]
    for track in range(6):
        for target in map(int, store.targets_of(track)):
            box = store.box(target)
            frame = store.frame(target)
            x, y = round(box.x + box.w / 2), round(box.y + box.h / 2)
            assert np.abs(frame[y, x].astype(int) - TARGET_BGR).max() < 30
            mask, left, top = store.mask(target)
            assert mask[y - top, x - left] == 255
            assert store.track_of(target) == track


def test_a_larger_frame_is_scaled_with_its_boxes_and_masks(tmp_path):
    draw_sequence(tmp_path / "sequences" / "one", 0, frames=2)
    build_frame_store(read_sequence_folder(tmp_path / "sequences"), tmp_path / "store", 160, 4.0)
    store = FrameStore(tmp_path / "store")
    assert store.frame(0).shape == (96, 160, 3)
    np.testing.assert_allclose(store.box(0), (50, 35, 24, 18))
    mask, left, top = store.mask(0)
    assert (left, top, mask.shape) == (50, 35, (18, 24))


def test_what_cannot_be_used_is_counted_and_named_and_not_fatal(tmp_path):
    config = drawn_data(tmp_path)
    sequence = tmp_path / "sequences" / "first"
    (sequence / "img" / "000002.jpg").write_bytes(b"no picture")
    (sequence / "mask" / "000003.png").write_bytes(b"no mask")
    lines = (sequence / "groundtruth.txt").read_text().splitlines()
    lines[3], lines[4], lines[5] = "nan,nan,nan,nan", "10,10,2,2", "5000,10,40,40"
    (sequence / "groundtruth.txt").write_text("\n".join(lines))
    summary = prepare_store(config)
    reasons = {Path(name.split("#")[0]).name: reason for name, reason in summary.skipped.items()}
    assert set(reasons) == {f"{n:06d}.jpg" for n in (2, 3, 4, 5, 6)}
    assert "unreadable" in reasons["000002.jpg"]
    assert "mask" in reasons["000003.jpg"]
    assert "smaller" in reasons["000005.jpg"]
    assert "outside" in reasons["000006.jpg"]
    assert json.loads((tmp_path / "store" / "skipped.json").read_text()) == summary.skipped
    assert summary.targets == 21 - 4


def test_an_image_larger_than_opencv_reads_is_named(tmp_path):
    config = drawn_data(tmp_path)
    image = tmp_path / "sequences" / "first" / "img" / "000002.jpg"
    content = bytearray(image.read_bytes())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = b"\xff\xdc\xff\xdc"
    image.write_bytes(bytes(content))
    summary = prepare_store(config)
    assert set(summary.skipped) == {str(image)}


def test_a_store_with_nothing_in_it_is_an_error(tmp_path):
    config = drawn_data(tmp_path)
    with pytest.raises(StoreError, match="no usable target"):
        prepare_store(replace(config, min_target_side=1000.0))


def test_no_store_or_half_a_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="no complete frame store"):
        FrameStore(tmp_path)
    prepare_store(drawn_data(tmp_path))
    frames = tmp_path / "store" / "frames.bin"
    frames.write_bytes(frames.read_bytes()[:-100])
    with pytest.raises(StoreError, match="cut short"):
        FrameStore(tmp_path / "store")


def test_readers_say_what_is_wrong_with_a_dataset(tmp_path):
    with pytest.raises(SequenceFolderError, match="no sequence"):
        list(read_sequence_folder(tmp_path))
    (tmp_path / "wrong.json").write_text("[1, 2]")
    with pytest.raises(DatasetError, match=r"wrong\.json is not a COCO"):
        list(read_coco(tmp_path / "wrong.json", tmp_path))


def test_a_broken_sequence_or_annotation_is_named_and_left_out(tmp_path):
    config = drawn_data(tmp_path)
    (tmp_path / "sequences" / "first" / "groundtruth.txt").write_text("1,2,3,4\n1,2,x,4\n")
    coco = tmp_path / "stills" / "instances.json"
    content = json.loads(coco.read_text())
    content["annotations"][1]["bbox"] = [1, 2, 3]
    coco.write_text(json.dumps(content))
    summary = prepare_store(config)
    assert set(summary.skipped) == {"first", "instances.json annotation 1"}
    assert "groundtruth.txt:2" in summary.skipped["first"]
    assert summary.tracks == 4


def test_a_store_made_from_other_settings_is_not_taken(tmp_path):
    config = drawn_data(tmp_path)
    prepare_store(config)
    assert len(open_store(replace(config, held_out_sequences=()))) == 21
    with pytest.raises(StoreError, match="made from other data settings"):
        open_store(replace(config, min_target_side=20.0))
