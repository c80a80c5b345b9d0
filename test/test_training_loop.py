"""The loop: learns, resumes to the step, stops at a loss that is not a number."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_footage import STILL, drawn_data

from siam_tracker_ros.models.checkpoint import load_state, read_checkpoint
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.training import loop
from siam_tracker_ros.training.config import (
    LossConfig,
    OptimiserConfig,
    PairConfig,
    RunConfig,
    TrainConfig,
)
from siam_tracker_ros.training.loop import TrainingStoppedError, train
from siam_tracker_ros.training.prepare import prepare_store


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
        run=RunConfig(
            folder=str(folder),
            precision="fp32",
            workers=0,
            log_every=1,
            checkpoint_every=2,
            validate_every=1000,
            validation_pairs=2,
        ),
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


def test_a_loss_that_is_not_a_number_stops_with_step_and_items(data, tmp_path):
    def broken(*args):
        losses = true_losses(*args)
        return replace(losses, total=losses.total * float("nan"))

    true_losses = loop.batch_losses
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "batch_losses", broken)
        with pytest.raises(
            TrainingStoppedError, match=r"not finite at step 0 .*(first|second|still\d)#.* -> "
        ):
            train(tiny_run(data, tmp_path))
