"""The synthetic source: masks and boxes are of what is seen, every frame follows from the seed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_footage import draw_stills

from siam_tracker_ros.training.config import DataConfig, DataSource, SyntheticConfig
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, DatasetError
from siam_tracker_ros.training.datasets.cutouts import find_cutouts
from siam_tracker_ros.training.datasets.rendered_model import RenderingError
from siam_tracker_ros.training.datasets.synthetic import read_synthetic
from siam_tracker_ros.training.prepare import open_store, prepare_store

CALM = SyntheticConfig(
    sequences=4, frames=6, width=320, height=200, distractors=0, occluders=0, blur=0, light=0, camera_motion=1
)
COLOURS = {"fruit": (30, 30, 230), "tool": (230, 60, 30)}


def draw_cutout(path: Path, colour: tuple[int, int, int], side: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((side + 20, side + 40, 4), np.uint8)
    cv2.ellipse(
        picture, (side // 2 + 20, side // 2 + 10), (side // 2, side // 3), 20, 0, 360, (*colour, 255), -1
    )
    cv2.imwrite(str(path), picture)


@pytest.fixture
def material(tmp_path):
    for kind, colour in COLOURS.items():
        for number in range(2):
            draw_cutout(tmp_path / "cutouts" / kind / f"{number}.png", colour)
    (tmp_path / "backgrounds").mkdir()
    rng = np.random.default_rng(1)
    for number in range(2):
        noise = cv2.resize(rng.integers(90, 160, (20, 30, 1), dtype=np.uint8), (600, 400))
        cv2.imwrite(str(tmp_path / "backgrounds" / f"{number}.jpg"), cv2.cvtColor(noise, cv2.COLOR_GRAY2BGR))
    return tmp_path


def frames_of(material, config):
    items = list(read_synthetic(material, config))
    assert all(isinstance(item, AnnotatedFrame) for item in items)
    return items


def near(pixels, colour):
    return np.abs(pixels.astype(int) - colour).max(axis=2) < 90


def test_masks_and_boxes_are_of_what_is_seen(material):
    frames = frames_of(material, CALM)
    assert len(frames) == 24
    assert {frame.group for frame in frames} == {f"synthetic_{n:06d}" for n in range(4)}
    labelled = 0
    for frame in frames:
        assert frame.pixels.shape == (200, 320, 3)
        for target in frame.targets:
            seen = near(frame.pixels, COLOURS["fruit"]) | near(frame.pixels, COLOURS["tool"])
            assert (seen & target.mask).sum() / (seen | target.mask).sum() > 0.9
            rows, cols = np.nonzero(target.mask)
            x, y, w, h = target.box
            assert (x, y) == (cols.min(), rows.min())
            assert (w, h) == (cols.max() - cols.min() + 1, rows.max() - rows.min() + 1)
            labelled += 1
    assert labelled > 12
    moved = [
        abs(one.targets[0].box.x - other.targets[0].box.x)
        for one, other in pairwise(frames)
        if one.group == other.group and one.targets and other.targets
    ]
    assert max(moved) > 1


def test_distractors_are_of_the_same_kind_and_targets_too(material):
    frames = frames_of(material, replace(CALM, sequences=12, frames=2, distractors=2))
    several = [frame for frame in frames if len(frame.targets) > 1]
    assert several
    for frame in several:
        colours = [
            next(k for k, c in COLOURS.items() if near(frame.pixels, c)[target.mask].mean() > 0.5)
            for target in frame.targets
        ]
        assert len(set(colours)) == 1


def test_what_is_hidden_is_in_no_mask(material):
    frames = frames_of(material, replace(CALM, sequences=20, frames=5, occluders=2, camera_motion=0))
    partly = 0
    for frame in frames:
        masks = [target.mask for target in frame.targets]
        for target in frame.targets:
            kind = [near(frame.pixels, c)[target.mask].mean() for c in COLOURS.values()]
            assert max(kind) > 0.85
            share = target.mask.sum() / (target.box.w * target.box.h)
            partly += share < 0.6
        assert not masks or np.sum(masks, axis=0).max() <= 1
    assert partly


def test_a_sequence_follows_from_seed_and_number(material):
    lively = replace(CALM, blur=1, light=1, distractors=2, occluders=2)
    one, other = frames_of(material, lively), frames_of(material, replace(lively, sequences=2))
    for a, b in zip(one, other, strict=False):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert [t.box for t in a.targets] == [t.box for t in b.targets]
    changed = frames_of(material, replace(lively, seed=1))
    assert any((a.pixels != b.pixels).any() for a, b in zip(one, changed, strict=True))


def test_light_changes_over_a_sequence(material):
    def spread(frames):
        return np.std([frame.pixels.mean() for frame in frames[:6]])

    still = replace(CALM, camera_motion=0)
    assert spread(frames_of(material, replace(still, light=2))) > 3 * spread(frames_of(material, still))


def test_unusable_cutouts_are_named_and_others_taken(material):
    (material / "cutouts" / "fruit" / "broken.png").write_bytes(b"no picture")
    draw_cutout(material / "cutouts" / "tool" / "tiny.png", (0, 0, 0), side=12)
    items = list(read_synthetic(material, replace(CALM, sequences=20, frames=1)))
    broken = {Path(item.name).name for item in items if isinstance(item, BrokenItem)}
    assert broken == {"broken.png", "tiny.png"}
    assert sum(isinstance(item, AnnotatedFrame) for item in items) == 20


def test_masked_objects_of_stills_are_cut_out(tmp_path):
    coco = draw_stills(tmp_path / "stills")
    items = list(read_synthetic(tmp_path, replace(CALM, frames=1), (coco, coco.parent / "images")))
    frames = [item for item in items if isinstance(item, AnnotatedFrame)]
    assert len(frames) == 4
    for frame in frames:
        for target in frame.targets:
            assert (
                np.abs(frame.pixels[target.mask].astype(int) - (40, 220, 250)).max(axis=1) < 60
            ).mean() > 0.9


def test_missing_material_is_named(tmp_path, material):
    for picture in (material / "cutouts").rglob("*.png"):
        picture.unlink()
    with pytest.raises(DatasetError, match="nothing to show"):
        list(read_synthetic(material, CALM))
    with pytest.raises(DatasetError, match="no photographs"):
        list(read_synthetic(tmp_path / "absent", CALM))


CUBE = """v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1
f 1 3 2\nf 1 4 3\nf 5 6 7\nf 5 7 8\nf 1 2 6\nf 1 6 5\nf 3 4 8\nf 3 8 7
f 2 3 7\nf 2 7 6\nf 1 5 8\nf 1 8 4\n"""


def test_models_are_rendered_where_that_is_possible(material):
    path = material / "models" / "furniture" / "cube.obj"
    path.parent.mkdir(parents=True)
    path.write_text(CUBE)
    (cutout,) = [c for c in find_cutouts(material) if c.name == str(path)]
    assert cutout.kind == "models/furniture"
    rng = np.random.default_rng(0)
    if importlib.util.find_spec("pyrender") is None:
        with pytest.raises(RenderingError, match="pip install trimesh pyrender"):
            cutout.views(3, rng)
        pytest.skip("NOT TESTED: rendering of models, as pyrender is not installed")
    try:
        views = cutout.views(3, rng)
    except ImportError as error:
        pytest.skip(f"NOT TESTED: rendering of models, no OpenGL without a screen: {error}")
    assert len(views) == 3
    assert all(0.4 < (view[..., 3] > 127).mean() < 1 for view in views)
    assert any(one.shape != other.shape or (one != other).any() for one, other in pairwise(views))


def test_it_is_a_source_of_the_configuration(material):
    config = DataConfig(
        sources=(DataSource("synthetic", str(material), synthetic=replace(CALM, distractors=1)),),
        store=str(material / "store"),
        format="crops",
    )
    summary = prepare_store(config)
    assert summary.masks == summary.targets > 12
    store = open_store(config)
    assert set(store.track_groups) <= {f"synthetic_{n:06d}" for n in range(4)}
    assert not store.track_is_still.any()
