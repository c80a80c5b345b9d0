"""Int8: what is rounded, what corrected biases are for, and that engines and files round as PyTorch does."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil

import cv2
import numpy as np
import pytest
import torch
from training_footage import draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.inference import inference_copy
from siam_tracker_ros.models.int8_calibration import (
    SUFFIX,
    Calibration,
    QuantisationError,
    Rounding,
    read_calibration,
    write_calibration,
)
from siam_tracker_ros.models.quantisation import (
    FLOATING,
    RoundedConv2d,
    SearchInputs,
    calibrate,
    rounded_copy,
)
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import calibration_beside, find_weights, sha256_of
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.boxes import box_iou
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

ENTRY = get_entry("siammask_mobilev2_w10_l23")


@pytest.fixture(scope="module")
def random_network() -> SiameseNetwork:
    torch.manual_seed(3)
    return SiameseNetwork(ENTRY.model).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def inputs(random_network) -> list[SearchInputs]:
    generator = torch.Generator().manual_seed(5)
    found = []
    for _ in range(2):
        exemplar, crops = (torch.rand(1, 3, side, side, generator=generator) * 255 for side in (127, 255))
        found.append(SearchInputs(crops, random_network.template(exemplar).rpn))
    return found


@pytest.fixture(scope="module")
def calibration(random_network, inputs) -> Calibration:
    return calibrate(random_network, inputs, "ab" * 32)


def test_a_convolution_rounds_to_the_levels_it_is_given():
    conv = torch.nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data[:] = 0.5
    rounded = RoundedConv2d(conv, 0.0, 255.0)
    # Levels one apart, and a weight that is the largest of its channel: inputs alone are rounded.
    x = torch.tensor([0.0, 0.4, 0.6, 1.5, 254.6, 300.0, -7.0])[:, None, None, None]
    expected = torch.tensor([0.0, 0.0, 1.0, 2.0, 255.0, 255.0, 0.0]) / 2
    assert torch.allclose(rounded(x).flatten(), expected)
    # A range that lies above zero still has zero among its levels: padding is made of it.
    assert RoundedConv2d(conv, 3.0, 6.0)(torch.zeros(1, 1, 1, 1)).item() == 0


def test_the_search_side_is_rounded_and_the_channels_keep_their_means(random_network, inputs, calibration):
    random_network.calibration = calibration
    rounded = rounded_copy(random_network)
    names = {name for name, module in rounded.named_modules() if isinstance(module, RoundedConv2d)}
    assert names == set(calibration.convolutions)
    assert "neck.downsample3.downsample.0" in names
    assert not any("conv_kernel" in name or name.startswith((*FLOATING, "mask", "refine")) for name in names)

    crops = torch.cat([each.crops for each in inputs])
    exact, approximate = (network.features(crops).levels for network in (random_network, rounded))
    fused = inference_copy(random_network, torch.device("cpu"), torch.float64)
    without = dataclasses.replace(
        calibration,
        convolutions={
            name: dataclasses.replace(each, bias=tuple(fused.get_submodule(name).bias.tolist()))
            for name, each in calibration.convolutions.items()
        },
    )
    random_network.calibration = without
    uncorrected = rounded_copy(random_network).features(crops).levels
    random_network.calibration = None
    for right, corrected, plain in zip(exact, approximate, uncorrected, strict=True):
        means = [(each - right).mean((0, 2, 3)).abs().mean() for each in (corrected, plain)]
        assert means[0] < means[1] / 10
        assert (corrected - right).std() < 0.1 * right.std()


def test_a_calibration_is_read_as_it_was_written(tmp_path, calibration):
    write_calibration(calibration, tmp_path / "x.json")
    read = read_calibration(tmp_path / "x.json")
    assert (read.weights_sha256, read.frames) == ("ab" * 32, 2)
    for name, wanted in calibration.convolutions.items():
        each = read.convolutions[name]
        assert (each.low, each.high) == (wanted.low, wanted.high)
        assert each.bias == pytest.approx(wanted.bias, rel=1e-5)
    (tmp_path / "x.json").write_text('{"frames": 3}')
    with pytest.raises(QuantisationError, match=r"x\.json is no int8 calibration"):
        read_calibration(tmp_path / "x.json")


def test_what_cannot_be_rounded_is_named(random_network, calibration):
    with pytest.raises(QuantisationError, match="nothing to calibrate on"):
        calibrate(random_network, [], "")
    with pytest.raises(QuantisationError, match="--calibrate FOLDER"):
        rounded_copy(random_network)
    other = {"neck.downsample9": Rounding(0, 1, (0.0,))}
    random_network.calibration = dataclasses.replace(calibration, convolutions=other)
    with pytest.raises(QuantisationError, match=r"neck\.downsample9"):
        rounded_copy(random_network)
    random_network.calibration = None


def test_a_calibration_beside_weights_has_to_be_theirs(tmp_path, random_network, calibration, caplog):
    weights = tmp_path / "mine.safetensors"
    save_weights(random_network, weights, ENTRY.name)
    assert calibration_beside(weights) is None
    file = tmp_path / f"mine{SUFFIX}"
    write_calibration(dataclasses.replace(calibration, weights_sha256=sha256_of(weights)), file)
    assert calibration_beside(weights) is not None
    manifest = "weights:\n- {name: mine, entry: x, file: mine.safetensors, sha256: y, int8_sha256: "
    (tmp_path / "zoo.yaml").write_text(manifest + sha256_of(file) + "}\n")
    assert calibration_beside(weights) is not None
    (tmp_path / "zoo.yaml").write_text(manifest + "f" * 64 + "}\n")
    with pytest.raises(QuantisationError, match=r"zoo\.yaml says ffff"):
        calibration_beside(weights)
    (tmp_path / "zoo.yaml").unlink()
    save_weights(random_network, weights, ENTRY.name, torch.float32)
    with caplog.at_level(logging.WARNING):
        assert calibration_beside(weights) is None
    assert "made for other weights" in caplog.text


def test_export_calibrates_on_footage_and_writes_what_rounds_alike(tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="NOT TESTED: ONNX Runtime is not installed")
    onnx = pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed")
    draw_sequence(tmp_path / "footage" / "one", 0, frames=12, masks=False)
    shutil.copy(find_weights(ENTRY.name), tmp_path / "mine.safetensors")
    command = ["export", str(tmp_path / "mine.safetensors"), "--precision", "int8"]
    assert main([*command, "--out", str(tmp_path / "none")]) == 1
    assert "calibration" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main([*command, "--calibrate", str(tmp_path / "footage"), "--out", str(out)]) == 0
    assert json.loads((out / "manifest.json").read_text())["precision"] == "int8"
    kinds = [node.op_type for node in onnx.load(out / "search_255.onnx").graph.node]
    count = len(read_calibration(out / f"mine{SUFFIX}").convolutions)
    # One pair for the weights of each convolution, and one for its inputs, which two may share.
    assert count < kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") <= 2 * count
    assert "QuantizeLinear" not in [node.op_type for node in onnx.load(out / "template.onnx").graph.node]
    shutil.copy(out / f"mine{SUFFIX}", tmp_path)
    assert calibration_beside(tmp_path / "mine.safetensors") is not None


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_shipped_int8_follows_real_footage_as_fp32_does(engine, data_dir):
    pytest.importorskip(engine, reason=f"NOT TESTED: {engine} is not installed")
    folder = data_dir / "sequences" / "davis_bmx-trees"
    images = [cv2.imread(str(path)) for path in sorted((folder / "img").glob("*.jpg"))[:12]]
    box = np.loadtxt(folder / "groundtruth.txt", delimiter=",")[0]
    exact = SiamTracker.from_weights(ENTRY.name, device="cpu", precision="fp32", engine="torch")
    rounded = SiamTracker.from_weights(ENTRY.name, device="cpu", precision="int8", engine=engine)
    assert rounded.engine.precision == "int8"
    targets = [tracker.init(images[0], box) for tracker in (exact, rounded)]
    overlaps, confidences = [], []
    for image in images[1:]:
        (wanted,), (found,) = (
            tracker.track(image, [target]) for tracker, target in zip((exact, rounded), targets, strict=True)
        )
        overlaps.append(box_iou(wanted.box, found.box))
        confidences.append(abs(wanted.confidence - found.confidence))
    assert np.mean(overlaps) > 0.9
    assert min(overlaps) > 0.75
    assert np.mean(confidences) < 0.1
