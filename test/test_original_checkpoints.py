"""State dicts as SiamFC's, SiamDW's and DaSiamRPN's code writes them are recognised and loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from siam_tracker_ros.models.checkpoint import CheckpointError
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

PUBLISHED = {
    "siamfc_alexnet": "siamfc_alexnet",
    "siamdw_fcres22_vot17": "siamfc_cir_resnet22",
    "siamdw_rpnres22_vot17": "siamrpn_cir_resnet22",
}


def random_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {key: torch.rand(shape) for key, shape in shapes.items()}


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest, parity_dir: Path) -> tuple[str, dict[str, torch.Tensor]]:
    keys = json.loads((parity_dir / "family" / "ref" / request.param / "keys.json").read_text())
    return PUBLISHED[request.param], random_state({name: shape for name, shape, _ in keys})


def dasiamrpn_state() -> dict[str, torch.Tensor]:
    """The names and shapes of DaSiamRPN's SiamRPN for VOT: five convolutions in one list, then the head's."""
    channels, places = (3, 96, 256, 384, 384, 256), (0, 4, 8, 11, 14)
    kernels = (11, 5, 3, 3, 3)
    shapes: dict[str, list[int]] = {}
    for place, kernel, inputs, outputs in zip(places, kernels, channels, channels[1:], strict=False):
        shapes[f"featureExtract.{place}.weight"] = [outputs, inputs, kernel, kernel]
        shapes[f"featureExtract.{place}.bias"] = [outputs]
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"featureExtract.{place + 1}.{name}"] = [outputs]
    for name, outputs in (("conv_r1", 5120), ("conv_r2", 256), ("conv_cls1", 2560), ("conv_cls2", 256)):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = [outputs, 256, 3, 3], [outputs]
    shapes["regress_adjust.weight"], shapes["regress_adjust.bias"] = [20, 20, 1, 1], [20]
    return random_state(shapes)


def test_a_published_state_dict_is_recognised_and_loads(published: tuple, tmp_path: Path) -> None:
    """Bare and without counters, as of torch 0.3, or wrapped and prefixed by data parallelism."""
    name, state = published
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    bare, wrapped = tmp_path / "bare.pth", tmp_path / "wrapped.pth"
    torch.save(old, bare)
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 50}, wrapped)
    for path in (bare, wrapped):
        tracker = SiamTracker.from_weights(path, device="cpu")
        assert tracker.entry.name == name
        target = tracker.init(np.zeros((96, 128, 3), np.uint8), (40, 30, 30, 30))
        assert tracker.track(np.zeros((96, 128, 3), np.uint8), [target])


def test_siamrpn_of_dasiamrpn_is_recognised_and_loads(tmp_path: Path) -> None:
    torch.save(dasiamrpn_state(), tmp_path / "SiamRPNVOT.model")
    tracker = SiamTracker.from_weights(tmp_path / "SiamRPNVOT.model", device="cpu")
    assert tracker.entry.name == "siamrpn_alexnet"


def test_what_is_missing_is_named(published: tuple, tmp_path: Path) -> None:
    name, state = published
    state.pop(next(key for key in state if key.endswith("running_mean")))
    torch.save(state, tmp_path / "torn.pth")
    with pytest.raises(CheckpointError, match=r"1 missing: backbone\..*running_mean"):
        SiamTracker.from_weights(tmp_path / "torn.pth", model=name, device="cpu")
