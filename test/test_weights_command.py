"""`siam-tracker weights` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import sha256_of
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.nodes.load_tracker import WeightsHashError, checked_digest
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

NAME = "siamrpn_mobilev2_w10"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's weights folder, empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SIAM_TRACKER_WEIGHTS", raising=False)
    return tmp_path / "data" / "siam_tracker" / "weights"


@pytest.fixture(scope="module")
def pth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pysot") / "model.pth"
    state = SiameseNetwork(ZOO[NAME].model).state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    return path


def test_an_imported_file_is_found_by_name(own: Path, pth: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["weights", "import", str(pth), "--name", "mine"]) == 0
    kept = own / "mine.safetensors"
    assert f"sha256 {sha256_of(kept)}" in capsys.readouterr().out
    assert SiamTracker.from_weights("mine", device="cpu").entry.name == NAME
    assert main(["weights", "list"]) == 0
    assert f"for {NAME}, {kept}" in capsys.readouterr().out
    assert main(["weights", "verify", "mine"]) == 0
    assert f"{kept}: ok" in capsys.readouterr().out


def test_an_import_keeps_what_is_there(own: Path, pth: Path, capsys: pytest.CaptureFixture) -> None:
    own.mkdir(parents=True)
    (own / f"{NAME}.safetensors").write_text("precious")
    assert main(["weights", "import", str(pth)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (own / f"{NAME}.safetensors").read_text() == "precious"


def test_an_import_for_the_wrong_model_leaves_nothing(
    own: Path, pth: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["weights", "import", str(pth), "--model", "siamrpn_alex_dwxcorr"]) == 1
    assert f"it fits {NAME}" in capsys.readouterr().err
    assert not own.exists()


def test_full_precision_can_be_kept(own: Path, pth: Path) -> None:
    assert main(["weights", "import", str(pth), "--name", "half"]) == 0
    assert main(["weights", "import", str(pth), "--name", "full", "--fp32"]) == 0
    sizes = [(own / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert 1.9 < sizes[1] / sizes[0] < 2.1


def test_verify_names_a_wrong_hash_and_a_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    save_weights(SiameseNetwork(ZOO[NAME].model), whole, NAME)
    cut.write_bytes(whole.read_bytes()[:-1000])
    manifest = "weights: [{{name: whole, entry: {}, file: whole.safetensors, sha256: {}}}]\n"
    (tmp_path / "zoo.yaml").write_text(manifest.format(NAME, sha256_of(whole)))
    assert main(["weights", "verify", str(whole)]) == 0
    (tmp_path / "zoo.yaml").write_text(manifest.format(NAME, "0" * 64))
    assert main(["weights", "verify", str(whole), str(cut)]) == 1
    out = capsys.readouterr().out
    assert f"{whole}: its SHA-256 is not the one of the manifest" in out
    assert f"{cut}: {cut} is not a readable safetensors file" in out


def test_the_node_holds_a_file_to_the_manifest_too(tmp_path: Path) -> None:
    path = tmp_path / "listed.safetensors"
    path.write_bytes(b"any bytes")
    assert checked_digest(path) == sha256_of(path)
    manifest = "weights: [{{name: listed, entry: {}, file: listed.safetensors, sha256: {}}}]\n"
    (tmp_path / "zoo.yaml").write_text(manifest.format(NAME, sha256_of(path)))
    assert checked_digest(path) == sha256_of(path)
    (tmp_path / "zoo.yaml").write_text(manifest.format(NAME, "f" * 64))
    with pytest.raises(WeightsHashError, match=r"zoo\.yaml says ffff"):
        checked_digest(path)


def test_a_broken_manifest_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "zoo.yaml").write_text("weights: [{name: x}]\n")
    (tmp_path / "x.safetensors").write_bytes(b"")
    assert main(["weights", "verify", str(tmp_path / "x.safetensors")]) == 1
    assert "zoo.yaml is no manifest of weights: KeyError('entry')" in capsys.readouterr().out


def test_released_weights_verify(capsys: pytest.CaptureFixture) -> None:
    folder = Path(__file__).resolve().parents[1] / "weights"
    names = [str(path) for path in folder.glob("*.safetensors")]
    assert names
    assert main(["weights", "verify", *names]) == 0
