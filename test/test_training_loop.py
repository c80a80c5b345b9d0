"""The loop: learns, resumes to the step, stops at a loss that is not a number."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_footage import STILL, drawn_data, short_run

from siam_tracker_ros.models.checkpoint import load_state, read_checkpoint
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.anchors import anchor_grid
from siam_tracker_ros.training import loop
from siam_tracker_ros.training.config import (
    LossConfig,
    OptimiserConfig,
    PairConfig,
    RunConfig,
    TrainConfig,
)
from siam_tracker_ros.training.frame_store import FrameStore
from siam_tracker_ros.training.loop import TrainingStoppedError, train
from siam_tracker_ros.training.pairs import split_tracks
from siam_tracker_ros.training.prepare import open_store, prepare_store
from siam_tracker_ros.training.sample_picture import TRUE_BGR, sample_picture
from siam_tracker_ros.training.target_store import StoreError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = drawn_data(tmp_path_factory.mktemp("footage"))
    prepare_store(config)
    return config


def tiny_run(data, folder, **more):
    run = TrainConfig(
        model="siammask_mobilev2_w10",
        steps=6,
        batch_size=2,
        data=data,
        run=short_run(folder, checkpoint_every=2, tensorboard=True),
        augmentation=STILL,
        pairs=PairConfig(negative_share=0.0),
        losses=LossConfig(mask_weight=4.0, masks_per_batch=1),
        optimiser=OptimiserConfig(rate=2e-3, final_rate=2e-3, warm_up_steps=1),
    )
    return replace(run, **more)


def rows(folder):
    with (Path(folder) / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_it_learns_resumes_to_the_step_and_leaves_weights_that_load(data, tmp_path):
    whole = train(tiny_run(data, tmp_path / "whole"))
    logged = rows(tmp_path / "whole")
    assert [int(row["step"]) for row in logged] == [1, 2, 3, 4, 5, 6]
    assert float(logged[-1]["total"]) < 0.7 * float(logged[0]["total"])
    assert float(logged[-1]["val_iou"]) >= 0

    class StoppedHereError(Exception):
        pass

    calls = 0
    true_losses = loop.batch_losses

    def stopping(*args):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise StoppedHereError
        return true_losses(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "batch_losses", stopping)
        with pytest.raises(StoppedHereError):
            train(tiny_run(data, tmp_path / "halved"))
    resumed = train(tiny_run(data, tmp_path / "halved"))
    assert [int(row["step"]) for row in rows(tmp_path / "halved")] == [1, 2, 3, 4, 5, 6]
    one, other = read_checkpoint(whole), read_checkpoint(resumed)
    assert one.entry_name == "siammask_mobilev2_w10"
    for key, value in one.state.items():
        torch.testing.assert_close(other.state[key], value, msg=key)
    load_state(SiameseNetwork(get_entry(one.entry_name).model), one.state, "trained")


def test_opened_layers_of_the_backbone_learn_and_the_others_do_not(data, tmp_path):
    optimiser = OptimiserConfig(
        rate=1e-3, warm_up_steps=1, ema_decay=0.0, backbone_layers=(7,), backbone_opens_at=0.5
    )
    config = tiny_run(data, tmp_path, steps=2, optimiser=optimiser)
    trained = read_checkpoint(train(config)).state
    start = loop.build_network(get_entry(config.model), config).state_dict()
    moved = {
        key.split(".")[1]
        for key, value in trained.items()
        if key.startswith("backbone.") and not torch.equal(value, start[key].half())
    }
    assert moved == {"layer7"}


def resumes_at(folder):
    return torch.load(Path(folder) / "checkpoint.pt", weights_only=True)["step"]


def broken_losses(from_call, **factors):
    """`batch_losses` whose values or gradients are not numbers from some call on."""
    calls = 0

    def broken(*args):
        nonlocal calls
        calls += 1
        losses = true_losses(*args)
        if calls < from_call:
            return losses
        if "gradient" in factors:
            return replace(losses, total=losses.total + NanGradient.apply(losses.cls))
        return replace(losses, total=losses.total * float("nan"))

    true_losses = loop.batch_losses
    return broken


class NanGradient(torch.autograd.Function):
    """Zero, with a gradient that is not a number."""

    @staticmethod
    def forward(ctx, x):
        return x * 0.0

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


ITEMS = r"the batch: (first|second|still\d)#.*@\d+ -> (first|second|still\d)#"


@pytest.mark.parametrize(
    ("factors", "told"), [({}, "the loss is not finite"), ({"gradient": 1}, "the gradient is not finite")]
)
def test_what_is_not_a_number_stops_with_step_items_and_last_checkpoint(
    data, tmp_path, monkeypatch, factors, told
):
    monkeypatch.setattr(loop, "batch_losses", broken_losses(4, **factors))
    with pytest.raises(TrainingStoppedError, match=f"{told}.* at step 3; {ITEMS}") as stopped:
        train(tiny_run(data, tmp_path))
    last = f"{tmp_path}/checkpoint.pt, {tmp_path}/siammask_mobilev2_w10.safetensors"
    assert str(stopped.value).endswith(f"last good checkpoint: {last}")
    assert resumes_at(tmp_path) == 2
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state["network"].values())
    assert all(t.isfinite().all() for t in read_checkpoint(Path(last.split(", ")[1])).state.values())
    monkeypatch.undo()
    train(tiny_run(data, tmp_path, steps=4))
    assert resumes_at(tmp_path) == 4


def test_before_the_first_checkpoint_there_is_none_to_name(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "batch_losses", broken_losses(1))
    with pytest.raises(TrainingStoppedError, match=r"at step 0; .*last good checkpoint: none yet"):
        train(tiny_run(data, tmp_path))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_made_stops_with_step_item_and_checkpoint(
    data, tmp_path, monkeypatch, workers
):
    true_frame = FrameStore.frame
    asked = []

    def damaged(store, target):
        asked.append(target)
        if len(asked) > 10:
            raise StoreError(f"image {target} ({store.name(target)}) of the store is damaged")
        return true_frame(store, target)

    monkeypatch.setattr(FrameStore, "frame", damaged)
    config = tiny_run(data, tmp_path)
    config = replace(config, run=replace(config.run, workers=workers, validation_pairs=0))
    told = (
        r"a sample cannot be made \(.*image \d+ \((first|second|still\d)#.* is damaged\) at step [2-4]; last"
    )
    with pytest.raises(TrainingStoppedError, match=told):
        train(config)


def test_curves_and_pictures_are_kept(data, tmp_path):
    config = tiny_run(data, tmp_path, steps=2)
    train(replace(config, run=replace(config.run, picture_every=1, validate_every=2)))
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"images": 0})
    events.Reload()
    assert {"loss/total", "loss/cls", "loss/loc", "loss/mask", "validation/val_iou"} <= set(
        events.Tags()["scalars"]
    )
    total = [(point.step, point.value) for point in events.Scalars("loss/total")]
    logged = [(int(row["step"]), float(row["total"])) for row in rows(tmp_path)]
    assert [step for step, _ in total] == [1, 2]
    for (_, one), (_, other) in zip(total, logged, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert [point.step for point in events.Images("samples")] == [1, 2]
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == ["00000001.png", "00000002.png"]
    image = cv2.imread(str(tmp_path / "pictures" / "00000002.png"))
    # Two pairs; exemplar, boxes, mask and response of each; gaps of 3 px between.
    assert image.shape == (2 * 255 + 3, 4 * 255 + 9, 3)


def test_a_picture_shows_the_true_box_and_the_best_cell(data):
    config = tiny_run(data, "unused")
    entry = get_entry(config.model)
    store = open_store(data)
    held_out = split_tracks(store, data)[1]
    (batch,) = loop.validation_batches(store, held_out, config, entry)
    network = loop.build_network(entry, config).eval()
    anchors = anchor_grid(entry.tracking.anchors, 25)
    image = sample_picture(network, network.backbone, batch, anchors, 8, 0.3, rows=1)
    boxed = image[:, 258:513]
    rows_, cols = np.nonzero((boxed == TRUE_BGR).all(axis=2))
    cx, cy, w, h = batch["box"][0].tolist()
    found = cols.min() - 127, cols.max() - 127, rows_.min() - 127, rows_.max() - 127
    np.testing.assert_allclose(found, (cx - w / 2, cx + w / 2, cy - h / 2, cy + h / 2), atol=2.6)


def test_training_with_crops_made_on_the_device_learns(data, tmp_path):
    config = tiny_run(data, tmp_path)
    train(replace(config, run=replace(config.run, augment_on="device", validation_pairs=0)))
    logged = rows(tmp_path)
    assert float(logged[-1]["total"]) < 0.7 * float(logged[0]["total"])


@pytest.mark.parametrize(
    ("where", "device", "expected"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("cpu", "cuda", False), ("device", "cpu", True)],
)
def test_where_crops_are_made(where, device, expected):
    run = RunConfig(folder="unused", augment_on=where)
    assert loop.augments_on_device(run, torch.device(device)) == expected
