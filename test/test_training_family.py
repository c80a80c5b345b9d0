"""Every kind of network learns through the one command, and what it has learnt is tracked."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_footage import STILL, drawn_data

from siam_tracker_ros.models import zoo
from siam_tracker_ros.models.config import MaskConfig, RegionConfig, ZooEntry
from siam_tracker_ros.tracking.boxes import Box, box_iou
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.training import samples
from siam_tracker_ros.training.config import (
    LossConfig,
    OptimiserConfig,
    PairConfig,
    RunConfig,
    TrainConfig,
    read_config,
)
from siam_tracker_ros.training.loop import train
from siam_tracker_ros.training.prepare import prepare_store
from siam_tracker_ros.training.region_targets import NO_MASK, region_targets

REFINE = {"refine_layers": (1, 2, 3), "refine_channels": (4, 6, 8)}
SMALL_PARTS = {
    "siammask_r50_base": {"mask": MaskConfig(None, None, hidden=16)},
    "siammask_r50_sharp": {"mask": MaskConfig(**REFINE, hidden=16)},
    "siammask_r50_two_branch": {"mask": MaskConfig(**REFINE, hidden=16)},
    "siamattn_r50": {
        "region": RegionConfig(stages=(1, 2), hidden=16, mask_pool=8, box_hidden=32, offset_hidden=32),
        "rpn_layers": (3, 5, 7),
        "rpn_channels": (16, 16, 16),
    },
}
SIAMATTN_LOSSES = read_config(
    Path(__file__).resolve().parents[1] / "config" / "train_siamattn_r50.yaml"
).losses


def small(name: str) -> ZooEntry:
    """The zoo's entry on a small backbone, all else as it is."""
    entry = zoo.ZOO[name]
    parts = {"rpn_layers": (5,), "rpn_channels": (16,)} | SMALL_PARTS[name]
    return replace(entry, model=replace(entry.model, backbone="mobilenetv2", width_mult=0.25, **parts))


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    config = drawn_data(tmp_path_factory.mktemp("footage"))
    prepare_store(config)
    return config


@pytest.mark.parametrize("name", SMALL_PARTS)
def test_the_loss_falls_and_the_overfit_pair_is_tracked(
    name: str, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = small(name)
    monkeypatch.setattr(zoo, "ZOO", {name: entry})
    # A mask cut at one half needs surer logits; a score without boxes, no hard negatives.
    from_mask = entry.tracking.box_source == "mask"
    rate, final_rate = (4e-3, 1e-3) if from_mask else (3e-3, 2e-4)
    losses = SIAMATTN_LOSSES if name == "siamattn_r50" else LossConfig(mask_weight=4.0)
    config = TrainConfig(
        model=name,
        steps=60 if entry.model.region else 110 if from_mask else 220,
        batch_size=2,
        data=replace(data, held_out_sequences=("second", "held")),
        run=RunConfig(str(tmp_path), precision="fp32", threads=1, workers=0, log_every=1, validation_pairs=0),
        augmentation=replace(STILL, search_shift=8.0 if from_mask else 16.0),
        pairs=PairConfig(sequence_share=1.0, negative_share=0.0),
        losses=replace(losses, masks_per_batch=2, hard_negatives=0 if from_mask else 16),
        optimiser=OptimiserConfig(rate=rate, final_rate=final_rate, warm_up_steps=5, ema_decay=0.8),
    )
    torch.manual_seed(0)
    weights = train(config)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    first, last = (np.mean([float(row["total"]) for row in part]) for part in (rows[:3], rows[-5:]))
    assert last < 0.6 * first
    if entry.model.region is not None:
        box = [float(row["box"]) for row in rows]
        assert np.mean(box[-5:]) < 0.8 * np.mean(box[:3])

    tracker = SiamTracker.from_weights(weights, model=name, device="cpu", engine="torch")
    folder = Path(data.sources[0].path) / "first"
    truth = np.loadtxt(folder / "groundtruth.txt", delimiter=",")
    frames = [cv2.imread(str(path)) for path in sorted((folder / "img").iterdir())]
    target = tracker.init(frames[0], truth[0])
    (result,) = tracker.track(frames[1], [target], masks=True)
    assert box_iou(result.box, Box(*truth[1])) > 0.5
    x, y, w, h = truth[1].astype(int)
    drawn = np.zeros(frames[0].shape[:2], bool)
    drawn[y : y + h, x : x + w] = True
    found = result.mask.to_frame()
    assert (found & drawn).sum() / (found | drawn).sum() > 0.5


def test_siamattn_is_trained_with_the_papers_weights() -> None:
    losses = SIAMATTN_LOSSES
    weights = losses.cls_weight, losses.loc_weight, losses.refined_box_weight, losses.mask_weight
    assert weights == (1.0, 0.2, 0.2, 0.1)


def test_region_targets_lead_back_to_the_truth() -> None:
    box = np.array([10.0, -6.0, 60.0, 40.0], np.float32)
    mask = np.zeros((255, 255), np.uint8)
    # The px whose centres lie in the box: the search region's centre is that of px 127.
    mask[101:141, 107:167] = 255
    config = RegionConfig(mask_pool=16)
    targets = region_targets(box, mask, 255, config, np.random.default_rng(0))
    regions, deltas, masks = (targets[f"region{part}"].numpy() for part in ("s", "_deltas", "_masks"))
    assert masks.shape == (len(regions), 64, 64)
    for region, delta, cut in zip(regions, deltas, masks, strict=True):
        size = region[2:] - region[:2] + 1
        centre = (region[2:] + region[:2]) / 2 - 127.5
        np.testing.assert_allclose(centre + delta[:2] * size, box[:2], atol=1e-4)
        np.testing.assert_allclose(size * np.exp(delta[2:]), box[2:], rtol=1e-5)
        # The part of the region that the box covers, measured apart from the mask.
        low = np.maximum(centre - size / 2, box[:2] - box[2:] / 2)
        high = np.minimum(centre + size / 2, box[:2] + box[2:] / 2)
        assert cut.mean() == pytest.approx(np.prod(high - low) / np.prod(size), abs=0.05)
    without = region_targets(box, None, 255, config, np.random.default_rng(0))
    assert (without["region_masks"] == NO_MASK).all()


def test_only_networks_with_regions_are_asked_for_them(data, monkeypatch: pytest.MonkeyPatch) -> None:
    from siam_tracker_ros.training.pairs import split_tracks
    from siam_tracker_ros.training.prepare import open_store

    entry = small("siamattn_r50")
    monkeypatch.setattr(zoo, "ZOO", {"siamattn_r50": entry, "siammask_r50_base": small("siammask_r50_base")})
    store = open_store(data)
    split = split_tracks(store, data)[0]
    for name in ("siamattn_r50", "siammask_r50_base"):
        config = TrainConfig(model=name, steps=1, data=data, run=RunConfig("unused"))
        sample = samples.PairSamples(store, split, config, entry.tracking, 0)[0]
        assert ("regions" in sample) == (name == "siamattn_r50")
