"""Training networks that give response maps: what they are asked for, and that they learn it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_footage import STILL, drawn_data, short_run

from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.anchors import anchor_grid
from siam_tracker_ros.tracking.boxes import Box, box_iou
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.training.config import (
    OptimiserConfig,
    PairConfig,
    TrainConfig,
    TrainConfigError,
)
from siam_tracker_ros.training.loop import train
from siam_tracker_ros.training.losses import classification_loss
from siam_tracker_ros.training.prepare import prepare_store
from siam_tracker_ros.training.response_targets import response_targets

FROM_NOTHING = OptimiserConfig(
    rate=1e-3,
    final_rate=1e-3,
    warm_up_steps=1,
    ema_decay=0.0,
    backbone_layers=(1, 2, 3, 4, 5),
    backbone_rate=1.0,
    backbone_opens_at=0.0,
    backbone_norms=True,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = drawn_data(tmp_path_factory.mktemp("footage"))
    prepare_store(config)
    return config


def tiny_run(data, folder, model, steps, optimiser):
    return TrainConfig(
        model=model,
        steps=steps,
        batch_size=2,
        data=data,
        run=short_run(folder),
        augmentation=replace(STILL, search_shift=16.0),
        pairs=PairConfig(negative_share=0.0),
        optimiser=optimiser,
    )


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as file:
        return [float(row["total"]) for row in csv.DictReader(file)]


def test_cells_within_the_radius_are_positive() -> None:
    tracking = get_entry("siamfc_alexnet").tracking
    grid = anchor_grid(tracking.anchors, 17)
    targets = response_targets(grid, 17, np.array([8, -16, 50, 60], np.float32), False, radius=16.0)
    # Cells are 8 px apart and cell 8 is the centre: the target is at row 6, column 9, two cells reach 16 px.
    expected = np.zeros((17, 17), np.int8)
    for row, col in np.ndindex(17, 17):
        expected[row, col] = (row - 6) ** 2 + (col - 9) ** 2 <= 4
    np.testing.assert_array_equal(targets.labels[0], expected)
    none = response_targets(grid, 17, np.array([8, -16, 50, 60], np.float32), True, radius=16.0)
    assert not none.labels.any()


def test_the_loss_is_the_balanced_logistic_one() -> None:
    """SiamFC, equation 1: log(1 + exp(-y v)), with the two kinds of cell weighing the same."""
    torch.manual_seed(0)
    response = torch.randn(2, 1, 17, 17)
    labels = (torch.rand(2, 1, 17, 17) < 0.1).to(torch.int8)
    sign = labels.float() * 2 - 1
    each = torch.log1p(torch.exp(-sign * response))
    expected = 0.5 * each[labels == 1].mean() + 0.5 * each[labels == 0].mean()
    ours = classification_loss(F.pad(response, (0, 0, 0, 0, 1, 0)), labels)
    torch.testing.assert_close(ours, expected)


def test_siamfc_learns_from_nothing_and_tracks_what_it_was_shown(data, tmp_path) -> None:
    weights = train(tiny_run(data, tmp_path, "siamfc_alexnet", 12, FROM_NOTHING))
    logged = losses(tmp_path)
    assert np.mean(logged[-3:]) < 0.3 * logged[0]
    tracker = SiamTracker.from_weights(weights, device="cpu")
    assert tracker.entry.name == "siamfc_alexnet"
    sequence = Path(data.sources[0].path) / "first"
    frames = [cv2.imread(str(path)) for path in sorted((sequence / "img").glob("*.jpg"))]
    boxes = [Box(*map(float, line.split(","))) for line in (sequence / "groundtruth.txt").read_text().split()]
    target = tracker.init(frames[0], boxes[0])
    for frame, box in zip(frames[1:], boxes[1:], strict=True):
        (result,) = tracker.track(frame, [target])
        assert box_iou(result.box, box) > 0.3
    # Where the target is painted out, the response and what is made of it fall.
    gone = frames[-1].copy()
    gone[60:120, 90:180] = gone[0:60, 90:180]
    for _ in range(5):
        (lost,) = tracker.track(gone, [target])
    assert lost.score < result.score
    assert lost.confidence < result.confidence


@pytest.mark.parametrize("model", ["siamrpn_alexnet", "siamrpn_cir_resnet22", "siamfc_cir_next22"])
def test_the_others_take_a_step(model, data, tmp_path) -> None:
    optimiser = OptimiserConfig(warm_up_steps=1, backbone_layers=(2,), backbone_opens_at=0.0)
    train(tiny_run(data, tmp_path, model, 1, optimiser))
    assert np.isfinite(losses(tmp_path)).all()


def test_a_network_that_could_learn_nothing_is_refused(data, tmp_path) -> None:
    with pytest.raises(TrainConfigError, match="no weights outside its backbone"):
        train(tiny_run(data, tmp_path, "siamfc_alexnet", 1, OptimiserConfig()))
