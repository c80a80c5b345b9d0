"""Readers, each on a small folder in the layout its dataset is published in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from training_footage import drawn_data

from siam_tracker_ros.training.config import DataSource
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, DatasetError
from siam_tracker_ros.training.prepare import open_store, prepare_store, read_source, read_sources


def picture(path: Path, size: tuple[int, int] = (60, 80)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))


def indexed(path: Path, boxes: dict[int, tuple[int, int, int, int]], palette: bool = True) -> None:
    """A mask file with `boxes` x, y, w, h filled with their numbers."""
    indices = np.zeros((60, 80), np.uint8)
    for number, (x, y, w, h) in boxes.items():
        indices[y : y + h, x : x + w] = number
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices)
    if palette:
        # Colours whose grey is far from the number, as DAVIS's are.
        image.putpalette([value for n in range(256) for value in (n * 37 % 256, n * 91 % 256, 128)])
    image.save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def read(layout: str, folder: Path, **more):
    items = list(read_source(DataSource(layout, str(folder), **more)))
    frames = [item for item in items if isinstance(item, AnnotatedFrame)]
    assert all(frame.image.is_file() for frame in frames)
    return frames, [item for item in items if isinstance(item, BrokenItem)]


def boxes(frames) -> list[dict[str, tuple[float, ...]]]:
    return [{target.track: tuple(target.box) for target in frame.targets} for frame in frames]


def test_davis_2017_has_a_track_for_each_number(tmp_path):
    text(tmp_path / "ImageSets/2017/train.txt", "bear\ndogs\nabsent\n")
    for name, shapes in (("bear", {1: (5, 6, 7, 8)}), ("dogs", {1: (0, 0, 4, 5), 2: (30, 20, 9, 3)})):
        for number in range(2):
            picture(tmp_path / f"JPEGImages/480p/{name}/{number:05d}.jpg")
            indexed(tmp_path / f"Annotations/480p/{name}/{number:05d}.png", shapes)
    (tmp_path / "Annotations/480p/dogs/00001.png").write_bytes(b"no mask")
    frames, broken = read("davis", tmp_path)
    assert boxes(frames) == [
        {"1": (5, 6, 7, 8)},
        {"1": (5, 6, 7, 8)},
        {"1": (0, 0, 4, 5), "2": (30, 20, 9, 3)},
    ]
    assert frames[2].targets[1].mask.sum() == 27
    assert frames[2].targets[1].mask[20:23, 30:39].all()
    assert not any(frame.is_still for frame in frames)
    assert [item.name for item in broken] == ["dogs/00001", "absent"]


def test_davis_2016_has_one_target_and_white_masks(tmp_path):
    text(tmp_path / "ImageSets/2016/train.txt", "bear\n")
    picture(tmp_path / "JPEGImages/480p/bear/00000.jpg")
    indexed(tmp_path / "Annotations/480p/bear/00000.png", {255: (5, 6, 7, 8)}, palette=False)
    frames, _ = read("davis", tmp_path, split="2016/train")
    assert boxes(frames) == [{"target": (5, 6, 7, 8)}]


def test_youtube_vos_takes_the_frames_its_list_names(tmp_path):
    objects = {
        "1": {"category": "penguin", "frames": ["00000", "00005"]},
        "2": {"category": "penguin", "frames": ["00005"]},
    }
    text(tmp_path / "train/meta.json", json.dumps({"videos": {"0a": {"objects": objects}, "0b": {}}}))
    for number in range(6):
        picture(tmp_path / f"train/JPEGImages/0a/{number:05d}.jpg")
    indexed(tmp_path / "train/Annotations/0a/00000.png", {1: (1, 2, 10, 12)})
    indexed(tmp_path / "train/Annotations/0a/00005.png", {1: (3, 2, 10, 12), 2: (40, 30, 8, 8)})
    frames, broken = read("youtube_vos", tmp_path)
    assert boxes(frames) == [{"1": (1, 2, 10, 12)}, {"1": (3, 2, 10, 12), "2": (40, 30, 8, 8)}]
    assert [item.name for item in broken] == ["0b"]


def test_got10k_leaves_out_absent_targets_and_broken_sequences(tmp_path):
    text(tmp_path / "train/list.txt", "GOT-10k_Train_000001\nGOT-10k_Train_000002\nGOT-10k_Train_000003\n")
    first, second = (tmp_path / "train" / f"GOT-10k_Train_00000{n}" for n in (1, 2))
    for number in (1, 2, 3):
        picture(first / f"{number:08d}.jpg")
        picture(second / f"{number:08d}.jpg")
    text(first / "groundtruth.txt", "1.0000,2.0000,30.5000,20.0000\n2,2,30,20\n3,2,30,20\n")
    text(first / "absence.label", "0\n1\n0\n")
    text(first / "cover.label", "8\n0\n8\n")
    text(second / "groundtruth.txt", "1,2,30,20\n1,2,thirty,20\n3,2,30,20\n")
    frames, broken = read("got10k", tmp_path)
    assert boxes(frames) == [{"target": (1, 2, 30.5, 20)}, {}, {"target": (3, 2, 30, 20)}]
    assert [item.name for item in broken] == ["GOT-10k_Train_000002", "GOT-10k_Train_000003"]
    assert "groundtruth.txt:2" in broken[0].reason
    thinned, _ = read("got10k", tmp_path, every=2)
    assert boxes(thinned) == [{"target": (1, 2, 30.5, 20)}, {"target": (3, 2, 30, 20)}]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [("", "3 images, but 3, 0 labels"), ("0\n1\n", "but 3, 2 labels"), ("0 2 0", "expected 0 or 1")],
    ids=["none", "too few", "no flag"],
)
def test_flags_that_do_not_fit_leave_the_sequence_out(tmp_path, flags, reason):
    text(tmp_path / "train/list.txt", "GOT-10k_Train_000001\n")
    folder = tmp_path / "train" / "GOT-10k_Train_000001"
    for number in (1, 2, 3):
        picture(folder / f"{number:08d}.jpg")
    text(folder / "groundtruth.txt", "1,2,30,20\n" * 3)
    text(folder / "absence.label", flags)
    frames, (broken,) = read("got10k", tmp_path)
    assert not frames
    assert reason in broken.reason


@pytest.mark.parametrize("packed", [True, False], ids=["by class", "side by side"])
def test_lasot_takes_the_sequences_of_its_list(tmp_path, packed):
    text(tmp_path / "training_set.txt", "airplane-1\nairplane-9\n")
    for name in ("airplane-1", "airplane-2"):
        sequence = tmp_path / ("airplane" if packed else "") / name
        for number in (1, 2, 3):
            picture(sequence / "img" / f"{number:08d}.jpg")
        text(sequence / "groundtruth.txt", "1,2,30,20\n2,2,30,20\n0,0,0,0\n")
        text(sequence / "full_occlusion.txt", "0,1,0")
        text(sequence / "out_of_view.txt", "0,0,1")
        text(sequence / "nlp.txt", "white airplane")
    frames, broken = read("lasot", tmp_path)
    assert [frame.group for frame in frames] == ["airplane-1"] * 3
    assert boxes(frames) == [{"target": (1, 2, 30, 20)}, {}, {}]
    assert [item.name for item in broken] == ["airplane-9"]
    assert len(read("lasot", tmp_path, split="all")[0]) == 6
    with pytest.raises(DatasetError, match=r"testing_set\.txt.*evaluation toolkit"):
        read("lasot", tmp_path, split="testing_set")


def test_trackingnet_counts_its_frames_without_leading_zeros(tmp_path):
    for chunk in ("TRAIN_0", "TRAIN_1"):
        for number in range(11):
            picture(tmp_path / chunk / "frames" / f"{chunk}_video" / f"{number}.jpg")
        lines = "".join(f"{number},2,30,20\n" for number in range(11))
        text(tmp_path / chunk / "anno" / f"{chunk}_video.txt", lines)
    text(tmp_path / "TRAIN_1/anno/without_frames.txt", "1,2,3,4\n")
    frames, broken = read("trackingnet", tmp_path)
    assert [int(frame.image.stem) for frame in frames] == [*range(11), *range(11)]
    assert all(frame.targets[0].box.x == int(frame.image.stem) for frame in frames)
    assert [item.name for item in broken] == ["without_frames"]
    assert len(read("trackingnet", tmp_path, split="TRAIN_1")[0]) == 11


VID = """<annotation><folder>ILSVRC2015_VID_train_0000/v1</folder><filename>{number:06d}</filename>
<size><width>80</width><height>60</height></size>{objects}</annotation>"""
OBJECT = """<object>{track}<name>n02691156</name><bndbox><xmax>41</xmax><xmin>11</xmin><ymax>32</ymax>
<ymin>12</ymin></bndbox><occluded>0</occluded><generated>0</generated></object>"""


def test_imagenet_vid_follows_track_numbers(tmp_path):
    place = "VID/train/ILSVRC2015_VID_train_0000/v1"
    for number in range(3):
        picture(tmp_path / f"Data/{place}/{number:06d}.JPEG")
    track = OBJECT.format(track="<trackid>3</trackid>")
    text(tmp_path / f"Annotations/{place}/000000.xml", VID.format(number=0, objects=track))
    text(tmp_path / f"Annotations/{place}/000001.xml", VID.format(number=1, objects=""))
    text(tmp_path / f"Annotations/{place}/000002.xml", VID.format(number=2, objects=track)[:150])
    frames, broken = read("imagenet_vid", tmp_path)
    assert boxes(frames) == [{"3": (11, 12, 30, 20)}, {}]
    assert {frame.group for frame in frames} == {"v1"}
    assert [item.name for item in broken] == ["ILSVRC2015_VID_train_0000/v1/000002.xml"]
    assert broken[0].reason.count("000002.xml")


def test_imagenet_det_has_stills_in_folders_and_beside_them(tmp_path):
    for place in ("ILSVRC2013_train/n01440764", "ILSVRC2014_train_0000"):
        name = f"{place.split('_')[0]}_{place[-4:]}"
        picture(tmp_path / f"Data/DET/train/{place}/{name}.JPEG")
        objects = OBJECT.format(track="") * 2
        text(tmp_path / f"Annotations/DET/train/{place}/{name}.xml", VID.format(number=0, objects=objects))
    frames, broken = read("imagenet_det", tmp_path)
    assert not broken
    assert [frame.group for frame in frames] == ["ILSVRC2013_0764", "ILSVRC2014_0000"]
    assert all(frame.is_still for frame in frames)
    assert boxes(frames) == [{"0": (11, 12, 30, 20), "1": (11, 12, 30, 20)}] * 2


LAYOUTS = ("davis", "got10k", "imagenet_det", "imagenet_vid", "lasot", "trackingnet", "youtube_vos")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_in_another_layout_is_named(tmp_path, layout):
    with pytest.raises(DatasetError, match=str(tmp_path)):
        read(layout, tmp_path)


def test_broken_items_are_named_beside_the_store_and_not_fatal(tmp_path):
    text(tmp_path / "got/train/list.txt", "absent\n")
    drawn = drawn_data(tmp_path)
    config = replace(drawn, sources=(*drawn.sources, DataSource("got10k", str(tmp_path / "got"))))
    summary = prepare_store(config)
    assert set(summary.skipped) == {"absent"}
    assert summary.tracks == 6


def test_sequences_of_one_name_in_two_datasets_stay_apart(tmp_path):
    drawn = drawn_data(tmp_path)
    config = replace(drawn, sources=(drawn.sources[0], drawn.sources[0]))
    groups = {item.group for item in read_sources(config.sources)}
    assert groups == {"first", "held", "second"} | {
        f"{name} (sequence_folder 1)" for name in ("first", "held", "second")
    }
    prepare_store(config)
    assert len(open_store(config).track_names) == 6
