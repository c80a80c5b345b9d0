"""The crop store: shows what the frames show, goes on where it was interrupted, names what it cannot read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import torch
from training_footage import STILL, TARGET_BGR, drawn_data

from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training import crop_store
from siam_tracker_ros.training.config import AugmentationConfig, PairConfig, RunConfig, TrainConfig
from siam_tracker_ros.training.crop_store import CropStore, build_crop_store
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, TargetLabel
from siam_tracker_ros.training.pairs import split_tracks
from siam_tracker_ros.training.prepare import open_store, prepare_store, read_sources
from siam_tracker_ros.training.samples import PairSamples
from siam_tracker_ros.training.target_store import StoreError


@pytest.fixture
def config(tmp_path):
    return replace(drawn_data(tmp_path), format="crops", store=str(tmp_path / "crops"), threads=2)


def samples(config, augmentation=STILL, seed=3):
    store = open_store(config)
    training, _ = split_tracks(store, config)
    entry = get_entry("siammask_mobilev2_w10")
    run = TrainConfig(
        model=entry.name,
        steps=1,
        data=config,
        run=RunConfig(folder="unused"),
        pairs=PairConfig(negative_share=0),
        augmentation=augmentation,
    )
    return PairSamples(store, training, run, entry.tracking, seed)


def test_boxes_and_masks_lie_on_the_target(config):
    summary = prepare_store(config)
    assert (summary.targets, summary.masks, summary.tracks, summary.skipped) == (21, 21, 6, {})
    store = open_store(config)
    for target in range(21):
        frame = store.frame(target).astype(int)
        where = np.abs(frame - TARGET_BGR).max(axis=2) < 60
        x, y, w, h = cv2.boundingRect(where.astype(np.uint8))
        np.testing.assert_allclose(store.box(target), (x, y, w, h), atol=1.5)
        mask, left, top = store.mask(target)
        seen = where[top : top + mask.shape[0], left : left + mask.shape[1]]
        assert ((mask > 0) == seen).mean() > 0.95


def test_samples_are_those_of_the_frames(config):
    prepare_store(config)
    frames = replace(config, format="frames", store=config.store + "_frames")
    prepare_store(frames)
    shifted = replace(STILL, search_shift=64, search_scale=0.18, flip=0.5)
    from_crops, from_frames = samples(config, shifted), samples(frames, shifted)
    for number in range(8):
        one, other = from_crops[number], from_frames[number]
        np.testing.assert_allclose(one["box"], other["box"], atol=1.0)
        for name in ("exemplar", "search"):
            difference = (one[name].float() - other[name].float()).abs()
            assert difference.mean() < 3, name
            assert (difference > 40).float().mean() < 0.03, name


def test_a_large_target_is_stored_small_and_a_small_one_as_it_is(tmp_path):
    pixels = np.full((900, 1600, 3), 90, np.uint8)
    targets = (TargetLabel("large", Box(300, 200, 500, 400)), TargetLabel("small", Box(700, 300, 20, 20)))
    item = AnnotatedFrame(Path("drawn"), "one", True, targets, pixels)
    build_crop_store([item], tmp_path, 8.0, "f")
    store = CropStore(tmp_path)
    assert store.frame(0).shape == (511, 511, 3)
    assert store.box(0).w == pytest.approx(500 * 127 / (950 * 850) ** 0.5, rel=1e-3)
    assert store.box(1)[2:] == (20, 20)
    # A context of half of w + h a side makes the exemplar twice the target; four times that is the crop.
    assert store.frame(1).shape[0] == round(511 * 40 / 127)


class InterruptedHereError(Exception):
    pass


def interrupted(items, after):
    for number, item in enumerate(items):
        if number == after:
            raise InterruptedHereError
        yield item


def test_an_interrupted_store_goes_on_and_is_the_same(config, tmp_path, monkeypatch):
    (tmp_path / "sequences" / "first" / "img" / "000002.jpg").write_bytes(b"no picture")
    folder = Path(config.store)
    items = list(read_sources(config.sources))
    with pytest.raises(InterruptedHereError):
        build_crop_store(interrupted(items, 11), folder, 8.0, "f", items_per_commit=4, threads=1)
    with pytest.raises(StoreError, match="not finished"):
        CropStore(folder)
    decoded = []
    true_decode = crop_store.decode_frame
    monkeypatch.setattr(
        crop_store, "decode_frame", lambda item, *more: decoded.append(item) or true_decode(item, *more)
    )
    again = build_crop_store(items, folder, 8.0, "f", items_per_commit=4)
    assert 0 < len(decoded) < 21
    whole = build_crop_store(items, tmp_path / "whole", 8.0, "f")
    assert again == whole
    assert len(again.skipped) == 1
    one, other = CropStore(folder), CropStore(tmp_path / "whole")
    assert one.track_names == other.track_names
    for target in range(len(one)):
        np.testing.assert_array_equal(one.frame(target), other.frame(target))
        assert one.box(target) == other.box(target)
        assert one.track_of(target) == other.track_of(target)
    decoded.clear()
    assert build_crop_store(items, folder, 8.0, "f") == whole
    assert not decoded
    for count, again in ((21, {"remake": True}), (42, {})):
        build_crop_store(items, folder, 8.0, "f" if again else "another", **again)
        assert len(decoded) == count


def test_what_cannot_be_read_is_named(config):
    prepare_store(config)
    with (
        lmdb.open(f"{config.store}/crops.lmdb", subdir=False, map_size=1 << 30) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"image%012d" % 2, b"no picture")
        transaction.delete(b"mask%012d" % 3)
    store = open_store(config)
    with pytest.raises(StoreError, match=r"image 2 \(first#first@2\) of .* is damaged"):
        store.frame(2)
    with pytest.raises(StoreError, match=r"mask 3 \(first#first@3\) of .* is missing"):
        store.mask(3)
    file = Path(config.store, "crops.lmdb")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(StoreError, match="cut short"):
        open_store(config)
    file.write_bytes(b"something else")
    with pytest.raises(StoreError, match="no readable crop store"):
        open_store(config)


def test_workers_read_it_side_by_side(config):
    prepare_store(config)
    lively = samples(config, AugmentationConfig())
    loader = torch.utils.data.DataLoader(lively, batch_size=2, sampler=range(8), num_workers=2)
    batches = list(loader)
    for number in range(8):
        torch.testing.assert_close(batches[number // 2]["search"][number % 2], lively[number]["search"])
