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

from siam_tracker_ros.models import zoo
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamdw_config import entry_from_siamdw
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO, get_entry
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


def drawn_footage(data) -> tuple[list[np.ndarray], list[Box]]:
    """Images and boxes of the sequence that networks learn."""
    sequence = Path(data.sources[0].path) / "first"
    frames = [cv2.imread(str(path)) for path in sorted((sequence / "img").glob("*.jpg"))]
    boxes = [Box(*map(float, line.split(","))) for line in (sequence / "groundtruth.txt").read_text().split()]
    return frames, boxes


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
    tracker = SiamTracker.from_weights(weights, device="cpu", engine="torch")
    assert tracker.entry.name == "siamfc_alexnet"
    frames, boxes = drawn_footage(data)
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


def slim(name: str) -> ZooEntry:
    """An entry, also one of SiamDW's that the zoo leaves out, on small images and with a narrow head."""
    combined = name.removeprefix("siamrpn_cir_") if name not in ZOO else None
    entry = ZOO[name] if combined is None else entry_from_siamdw(name, f"SiamRPN{COMBINED[combined]}", {})
    channels = 16 if entry.model.head == "up_channel" else None
    tracking = replace(entry.tracking, exemplar_size=111, instance_size=175, small_target=None)
    return replace(entry, model=replace(entry.model, head_channels=channels), tracking=tracking)


COMBINED = {"incep22": "Incep22", "next22": "Next22", "resnet22w": "Res22W"}


@pytest.fixture
def slim_zoo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an entry of a zoo that has no other, and that slim."""
    monkeypatch.setattr(zoo, "ZOO", {request.param: slim(request.param)})
    return request.param


def settled(name: str, data, folder: Path) -> str:
    """First weights whose batch norms hold the statistics of images, as those of a trained backbone do."""
    torch.manual_seed(0)
    network = SiameseNetwork(zoo.ZOO[name].model)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    frames, _ = drawn_footage(data)
    with torch.no_grad():
        network.backbone.train()(torch.from_numpy(np.stack(frames[:2])).permute(0, 3, 1, 2).float())
    path = folder / "settled.safetensors"
    save_weights(network, path, name, torch.float32)
    return str(path)


def overfit(config: TrainConfig, data, folder: Path) -> Path:
    """Train on pairs of one sequence alone, one at a time, from settled weights."""
    pairs = PairConfig(sequence_share=1.0, negative_share=0.0)
    start, threads = settled(config.model, data, folder), torch.get_num_threads()
    # So few steps come out the same only with the same order of sums.
    run = replace(config.run, threads=1)
    try:
        return train(replace(config, batch_size=1, pairs=pairs, start_from=start, run=run))
    finally:
        torch.set_num_threads(threads)


def leap_iou(weights: Path, model: str, data) -> float:
    """How well the target is found after leaps of 12 and 8 px; standing still would be 0.41."""
    frames, boxes = drawn_footage(data)
    tracker = SiamTracker.from_weights(weights, model=model, device="cpu", engine="torch")
    target = tracker.init(frames[0], boxes[0])
    tracker.track(frames[3], [target])
    (result,) = tracker.track(frames[5], [target])
    return box_iou(result.box, boxes[5])


@pytest.mark.parametrize(
    "slim_zoo",
    ["siamfc_cir_resnet22", "siamfc_cir_resnet22w", "siamfc_cir_incep22", "siamfc_cir_next22"],
    indirect=True,
)
def test_cropping_backbones_learn_and_track_what_they_were_shown(slim_zoo, data, tmp_path) -> None:
    learning = {"backbone_layers": (0, 1, 2), "backbone_rate": 1.0, "backbone_opens_at": 0.0}
    optimiser = OptimiserConfig(rate=2e-3, final_rate=1e-4, warm_up_steps=1, ema_decay=0.0, **learning)
    # Units that add up what they find take longer to settle.
    config = tiny_run(data, tmp_path, slim_zoo, 32 if "resnet" in slim_zoo else 20, optimiser)
    weights = overfit(config, data, tmp_path)
    logged = losses(tmp_path)
    assert np.mean(logged[-5:]) < 0.3 * np.mean(logged[:3])
    assert leap_iou(weights, slim_zoo, data) > 0.45


@pytest.mark.parametrize("slim_zoo", ["siamrpn_cir_next22"], indirect=True)
def test_an_up_channel_head_learns_and_tracks_what_it_was_shown(slim_zoo, data, tmp_path) -> None:
    optimiser = OptimiserConfig(rate=3e-5, final_rate=3e-6, warm_up_steps=1, ema_decay=0.0)
    config = tiny_run(data, tmp_path, slim_zoo, 40, optimiser)
    weights = overfit(config, data, tmp_path)
    logged = losses(tmp_path)
    assert np.mean(logged[-10:]) < 0.85 * np.mean(logged[:5])
    assert leap_iou(weights, slim_zoo, data) > 0.45


@pytest.mark.parametrize(
    "slim_zoo",
    ["siamrpn_alexnet", "siamrpn_cir_resnet22", "siamrpn_cir_resnet22w", "siamrpn_cir_incep22"],
    indirect=True,
)
def test_up_channel_heads_take_steps_on_the_other_backbones(slim_zoo, data, tmp_path) -> None:
    opened = {"backbone_layers": (5 if slim_zoo == "siamrpn_alexnet" else 2,), "backbone_opens_at": 0.0}
    optimiser = OptimiserConfig(rate=3e-5, warm_up_steps=1, **opened)
    config = tiny_run(data, tmp_path, slim_zoo, 2, optimiser)
    overfit(config, data, tmp_path)
    assert np.isfinite(losses(tmp_path)).all()


def test_a_network_that_could_learn_nothing_is_refused(data, tmp_path) -> None:
    with pytest.raises(TrainConfigError, match="no weights outside its backbone"):
        train(tiny_run(data, tmp_path, "siamfc_alexnet", 1, OptimiserConfig()))
