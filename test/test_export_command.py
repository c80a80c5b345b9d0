"""`siam-tracker export`: files that do what PyTorch does, for every kind of network; and errors that help."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from test_networks import SMALL, seeded
from test_readme import README
from test_tracker import ENTRY, scene
from test_training_family import small

from siam_tracker_ros.cli import main
from siam_tracker_ros.engines import export as export_module
from siam_tracker_ros.engines.errors import EngineUnavailableError, ExportError
from siam_tracker_ros.engines.export import ExportOptions, export
from siam_tracker_ros.engines.onnx_file import run_onnx
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.models.weights import find_weights, sha256_of
from siam_tracker_ros.models.zoo import ZOO

pytest.importorskip("onnxruntime", reason="NOT TESTED: no ONNX Runtime here")


def _manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def _graph(folder: Path, name: str, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run one graph of an exported folder by what its manifest says of it alone."""
    graph = _manifest(folder)["graphs"][name]
    assert {key: list(tensor.shape) for key, tensor in inputs.items()} == graph["inputs"]
    outputs = run_onnx(folder / graph["file"], list(inputs), list(inputs.values()))
    assert [list(output.shape) for output in outputs] == list(graph["outputs"].values())
    return dict(zip(graph["outputs"], outputs, strict=True))


def _images(count: int, side: int) -> torch.Tensor:
    frames = np.stack([scene(side, side, seed) for seed in range(count)])
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().contiguous()


@pytest.mark.parametrize(
    "entry",
    [small("siammask_r50_sharp"), small("siamattn_r50"), ZOO["siamfc_cir_resnet22"]],
    ids=lambda entry: entry.name,
)
def test_the_files_chained_do_what_the_whole_network_does(entry: ZooEntry, tmp_path: Path) -> None:
    network = seeded(entry.model)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    lines: list[str] = []
    export(entry, network, None, ExportOptions(), tmp_path / "out", lines.append)
    manifest = _manifest(tmp_path / "out")
    assert len(lines) == len(manifest["graphs"]) == len(list((tmp_path / "out").iterdir())) - 1
    tracking = entry.tracking
    scales = tracking.pyramid.count if tracking.pyramid else 1
    exemplar, crops = _images(1, tracking.exemplar_size), _images(scales, tracking.instance_size)
    template = _graph(tmp_path / "out", "template", exemplar=exemplar)
    search_name = f"search_{tracking.instance_size}"
    wanted = list(manifest["graphs"][search_name]["inputs"])[1:]
    search = _graph(tmp_path / "out", search_name, search=crops, **{name: template[name] for name in wanted})
    with torch.no_grad():
        cls, loc = network(exemplar, crops)
    torch.testing.assert_close(search["cls"], cls, rtol=1e-3, atol=1e-3 * float(cls.abs().max()))
    torch.testing.assert_close(search["loc"], loc, rtol=1e-3, atol=1e-3 * float(loc.abs().max()) + 1e-6)
    # The network itself is as it was.
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_several_targets_and_sizes_in_one_folder(tmp_path: Path) -> None:
    network = seeded(SMALL)
    options = ExportOptions(search_sizes=(255, 287), targets=3)
    export(ENTRY, network, None, options, tmp_path / "out", lambda line: None)
    exemplar, crops = _images(3, 127), _images(3, 287)
    template = _graph(tmp_path / "out", "template", exemplar=exemplar)
    wanted = list(_manifest(tmp_path / "out")["graphs"]["search_287"]["inputs"])[1:]
    search = _graph(tmp_path / "out", "search_287", search=crops, **{name: template[name] for name in wanted})
    with torch.no_grad():
        for number in range(3):
            cls, loc = network(exemplar[number : number + 1], crops[number : number + 1])
            torch.testing.assert_close(search["cls"][number : number + 1], cls, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(search["loc"][number : number + 1], loc, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{"precision": "fp16"}, {"format": "openvino"}], ids=str)
def test_other_precisions_and_formats_are_held_to_pytorch_too(options: dict, tmp_path: Path) -> None:
    if "openvino" in options.values():
        pytest.importorskip("openvino", reason="NOT TESTED: no OpenVINO here")
    export(ENTRY, seeded(SMALL), None, ExportOptions(**options), tmp_path / "out", lambda line: None)
    manifest = _manifest(tmp_path / "out")
    for graph in manifest["graphs"].values():
        assert graph["sha256"] == sha256_of(tmp_path / "out" / graph["file"])
        assert graph["precision"] == manifest["precision"]
        assert 0 < graph["difference"] < manifest["tolerance"]


def test_the_program_in_readme_finds_the_target(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Shipped weights, exported by the command that README names, on real footage."""
    section = README.split("\n## Export\n")[1].split("\n## ")[0]
    (command,) = re.findall(r"^siam-tracker (export \S+)$", section, re.MULTILINE)
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    footage = data_dir / "sequences" / "davis_car-shadow"
    truth = np.loadtxt(footage / "groundtruth.txt", delimiter=",")[:6, :4]
    monkeypatch.chdir(tmp_path)
    with av.open("video.mp4", "w") as video:
        images = [cv2.imread(str(path)) for path in sorted((footage / "img").iterdir())[:6]]
        stream = video.add_stream("mpeg4", rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.bit_rate = 8_000_000
        for image in images:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        video.mux(stream.encode())
    assert main(command.split()) == 0
    (written,) = Path("out").iterdir()
    manifest = _manifest(written)
    assert manifest["weights_sha256"] == sha256_of(find_weights(DEFAULT_WEIGHTS))
    assert manifest["entry"] == DEFAULT_WEIGHTS
    capsys.readouterr()
    box = ", ".join(f"{number:g}" for number in truth[0])
    program, count = re.subn(r"(?m)^(x, y, w, h = ).*", rf"\g<1>{box}", program)
    assert count == 1
    exec(compile(program, "README.md", "exec"), {})
    found = [tuple(map(float, line.split()[:2])) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 5
    x, y, w, h = truth[5]
    # Cells are 8 px of a search region of 255 px, which is some five times the target's side.
    np.testing.assert_allclose(found[-1], (x + w / 2, y + h / 2), atol=0.2 * np.sqrt(w * h))


def test_a_file_that_is_wrong_fails_the_export_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_module.TOLERANCES, "fp32", 1e-12)
    with pytest.raises(ExportError, match=r"template\.onnx is wrong: .* differ from PyTorch's by"):
        export(ENTRY, seeded(SMALL), None, ExportOptions(), tmp_path / "out", lambda line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ExportOptions(search_sizes=(127,)), "127 px is no larger than the exemplar, 127 px"),
        (ExportOptions(targets=0), "at least one target, not 0"),
        (ExportOptions(opset=9), "opset 9 is none of 16 to 20"),
    ],
)
def test_options_that_make_no_sense_are_named(options: ExportOptions, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        export(ENTRY, seeded(SMALL), None, options, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="exists already: remove it, or name another with --out"):
        export(ENTRY, seeded(SMALL), None, ExportOptions(), tmp_path / "out")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ExportError, match="file/out cannot be made"):
        export(ENTRY, seeded(SMALL), None, ExportOptions(), tmp_path / "file" / "out")


def test_what_has_to_be_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailableError, match="pip install onnx"):
        export(ENTRY, seeded(SMALL), None, ExportOptions(), tmp_path / "out")


def test_without_onnx_runtime_the_reference_evaluator_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="NOT TESTED: no onnx here")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    export(
        ENTRY, seeded(SMALL), None, ExportOptions(search_sizes=(135,)), tmp_path / "out", lambda line: None
    )
    assert _manifest(tmp_path / "out")["checked_with"] == "onnx"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no weights called 'nothing'"),
        (["nothing", "--random"], "no model called 'nothing'"),
        ([DEFAULT_WEIGHTS, "--model", "siamfc_alexnet"], "does not fit"),
    ],
)
def test_unknown_names_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["export", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
