"""Weight files: what loads, what is refused, and what the refusal says."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from siam_tracker_ros.models.checkpoint import (
    AmbiguousModelError,
    CheckpointError,
    fitting_entries,
    load_state,
    normalise_state,
    read_checkpoint,
    save_weights,
)
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import WEIGHTS_ENV, find_weights, list_weights
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

NAME = "siamrpn_mobilev2_w10"


@pytest.fixture(scope="module")
def network() -> SiameseNetwork:
    torch.manual_seed(0)
    return SiameseNetwork(ZOO[NAME].model).eval()


def original_siammask_key(key: str) -> str:
    """The name that the original SiamMask code gives a key."""
    for ours, theirs in (
        ("backbone.", "features.features."),
        ("neck.downsample.", "features.downsample."),
        ("rpn_head.", "rpn_model."),
        ("mask_head.", "mask_model.mask."),
        ("refine_head.", "refine_model."),
    ):
        if key.startswith(ours):
            return theirs + key[len(ours) :]
    raise AssertionError(key)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 20, "best": 0.5},
        lambda state: {"state_dict": OrderedDict((f"module.{k}", v) for k, v in state.items())},
        lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    ],
    ids=["bare", "wrapped", "data-parallel", "before-0.4.1"],
)
def test_pysot_checkpoints_load(network: SiameseNetwork, tmp_path: Path, wrap: Callable) -> None:
    path = tmp_path / "model.pth"
    torch.save(wrap(network.state_dict()), path)
    assert_loads(path, network)


def assert_loads(path: Path, network: SiameseNetwork, atol: float = 0.0) -> None:
    fresh = SiameseNetwork(network.config).eval()
    load_state(fresh, read_checkpoint(path).state, str(path))
    for (key, ours), theirs in zip(fresh.state_dict().items(), network.state_dict().values(), strict=True):
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=atol, msg=key)


def test_original_siammask_checkpoint_loads(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = SiameseNetwork(ZOO["siammask_r50_l3"].model).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    path = tmp_path / "SiamMask_VOT.pth"
    torch.save({"state_dict": {f"module.{original_siammask_key(k)}": v for k, v in state.items()}}, path)
    assert read_checkpoint(path).state.keys() == state.keys()
    sharp = ["siammask_r50_sharp", "siammask_r50_sharp_vot", "siammask_r50_sharp_vot18"]
    assert fitting_entries(read_checkpoint(path).state) == ["siammask_r50_l3", *sharp]


def test_safetensors_round_trip_names_its_entry(network: SiameseNetwork, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(network, path, NAME)
    assert path.stat().st_size < 25e6
    assert read_checkpoint(path).entry_name == NAME
    assert_loads(path, network, atol=2e-3)
    assert SiamTracker.from_weights(path, device="cpu").entry == ZOO[NAME]


class Payload:
    """Runs code when it is unpickled by a careless reader."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.witness,))


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    network: SiameseNetwork, tmp_path: Path, protocol: str
) -> None:
    witness, path = tmp_path / "ran", tmp_path / "evil.pth"
    content = {"state_dict": network.state_dict(), "extra": Payload(witness)}
    if protocol == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=r"evil\.pth was refused"):
        read_checkpoint(path)
    assert not witness.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 broken zip", b"\x80\x02garbage"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged"):
        read_checkpoint(path)


def test_truncated_checkpoint_is_named(network: SiameseNetwork, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"epoch": 3}])
def test_files_without_a_state_dict_say_what_they_hold(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"other\.pth holds"):
        read_checkpoint(path)


def spoil(state: dict[str, Tensor]) -> dict[str, Tensor]:
    state = dict(state)
    del state["backbone.layer0.0.weight"]
    state["neck.extra"] = torch.zeros(1)
    state["rpn_head.cls_weight"] = torch.zeros(7)
    return state


def test_a_misfit_lists_every_kind_of_difference(network: SiameseNetwork) -> None:
    with pytest.raises(CheckpointError) as error:
        load_state(SiameseNetwork(network.config), spoil(network.state_dict()), "file.pth")
    message = str(error.value)
    assert "1 missing: backbone.layer0.0.weight" in message
    assert "1 unexpected: neck.extra" in message
    assert "1 wrong shape: rpn_head.cls_weight (7,) for (3,)" in message
    assert message.endswith("it fits no entry of the zoo")


def test_a_misfit_names_the_entry_that_would_fit(network: SiameseNetwork) -> None:
    with torch.device("meta"):
        other = SiameseNetwork(ZOO["siamrpn_alex_dwxcorr_16gpu"].model)
    with pytest.raises(CheckpointError, match=f"it fits {NAME}$"):
        load_state(other, network.state_dict(), "file.pth")


def test_values_that_are_not_finite_are_refused(network: SiameseNetwork) -> None:
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["rpn_head.loc_weight"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"not finite in rpn_head\.loc_weight"):
        load_state(SiameseNetwork(network.config), state, "file.pth")


def test_an_ambiguous_file_asks_which_model_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(SiameseNetwork(ZOO["siamrpn_alex_dwxcorr"].model).state_dict(), path)
    with pytest.raises(AmbiguousModelError, match="fits siamrpn_alex_dwxcorr, siamrpn_alex_dwxcorr_otb: say"):
        SiamTracker.from_weights(path, device="cpu")
    tracker = SiamTracker.from_weights(path, model="siamrpn_alex_dwxcorr_otb", device="cpu")
    assert tracker.entry.name == "siamrpn_alex_dwxcorr_otb"


def test_weights_are_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_ENV, str(tmp_path))
    mine = tmp_path / "mine.safetensors"
    mine.touch()
    assert find_weights("mine") == mine
    assert find_weights(mine) == mine
    assert list_weights()["mine"] == mine
    with pytest.raises(
        CheckpointError, match=r"no weights called 'yours': it is no file, and .* have .*mine"
    ):
        find_weights("yours")


def test_normalise_leaves_pysots_keys_alone(network: SiameseNetwork) -> None:
    assert normalise_state(network.state_dict(), "x").keys() == network.state_dict().keys()
