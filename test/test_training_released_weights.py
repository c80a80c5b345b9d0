"""Every released weight file is the one its manifest describes, and loads strictly into its entry."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import yaml

from siam_tracker_ros.models.checkpoint import load_state, read_checkpoint
from siam_tracker_ros.models.int8_calibration import SUFFIX
from siam_tracker_ros.models.quantisation import rounded_copy
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import calibration_beside
from siam_tracker_ros.models.zoo import get_entry

FOLDER = Path(__file__).resolve().parents[1] / "weights"
MANIFEST = yaml.safe_load((FOLDER / "zoo.yaml").read_text(encoding="utf-8"))["weights"]
CALIBRATED = [released for released in MANIFEST if "int8_sha256" in released]


@pytest.mark.parametrize("released", MANIFEST, ids=lambda released: released["name"])
def test_released_weights_are_those_of_the_manifest(released):
    path = FOLDER / released["file"]
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == released["sha256"]
    assert len(content) == released["bytes"] < 25_000_000
    checkpoint = read_checkpoint(path)
    assert checkpoint.entry_name == released["entry"]
    network = SiameseNetwork(get_entry(released["entry"]).model)
    load_state(network, checkpoint.state, str(path))
    assert all(tensor.dtype == torch.float16 for tensor in checkpoint.state.values())


@pytest.mark.parametrize("released", CALIBRATED, ids=lambda released: released["name"])
def test_released_int8_calibrations_are_those_of_the_manifest_and_fit_their_weights(released):
    path = FOLDER / released["file"]
    assert (
        hashlib.sha256((FOLDER / f"{path.stem}{SUFFIX}").read_bytes()).hexdigest() == released["int8_sha256"]
    )
    network = SiameseNetwork(get_entry(released["entry"]).model)
    network.calibration = calibration_beside(path)
    rounded_copy(network)


def test_every_released_file_is_in_the_manifest():
    assert {path.name for path in FOLDER.glob("*.safetensors")} == {released["file"] for released in MANIFEST}
    calibrations = {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")}
    assert calibrations == {released["name"] for released in CALIBRATED}
    assert MANIFEST
