"""ONNX Runtime and TensorRT, each where it is installed, track as PyTorch does; what is missing is named."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_engine_graphs import tracks_as_pytorch
from test_networks import SMALL, seeded
from test_tracker import ENTRY
from test_training_family import small

from siam_tracker_ros.engines import onnx_engine
from siam_tracker_ros.engines.build import build_engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.gpu import gpu_file_name
from siam_tracker_ros.engines.onnx_engine import resolve_file_precision
from siam_tracker_ros.engines.onnxruntime_engine import OnnxRuntimeEngine, providers_of
from siam_tracker_ros.engines.tensorrt_engine import (
    TensorRtEngine,
    check_version,
    plan_name,
    tensorrt_library,
)
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

CPU = torch.device("cpu")


@pytest.fixture
def onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return pytest.importorskip("onnxruntime", reason="NOT TESTED: no ONNX Runtime here")


@pytest.mark.parametrize(
    "entry",
    [small("siammask_r50_sharp"), small("siamattn_r50"), ZOO["siamfc_cir_resnet22"]],
    ids=lambda entry: entry.name,
)
def test_tracks_as_pytorch_does(entry: ZooEntry, onnxruntime) -> None:
    network = seeded(entry.model)
    tracks_as_pytorch(entry, network, OnnxRuntimeEngine(entry, network, CPU, "auto"))


def test_real_footage_is_followed_as_in_pytorch(data_dir: Path, onnxruntime) -> None:
    """The shipped weights, within the tolerances that PySOT's own numbers are held to."""
    theirs, ours = (
        SiamTracker.from_weights(DEFAULT_WEIGHTS, device="cpu", engine=engine, precision="fp32")
        for engine in ("torch", "onnxruntime")
    )
    footage = data_dir / "sequences" / "davis_blackswan"
    frames = [cv2.imread(str(path)) for path in sorted((footage / "img").iterdir())[:8]]
    box = np.loadtxt(footage / "groundtruth.txt", delimiter=",")[0][:4]
    targets = [tracker.init(frames[0], box) for tracker in (theirs, ours)]
    for frame in frames[1:]:
        (expected,), (result,) = (
            tracker.track(frame, [target], masks=True)
            for tracker, target in zip((theirs, ours), targets, strict=True)
        )
        np.testing.assert_allclose(result.box, expected.box, rtol=0, atol=0.05)
        assert result.score == pytest.approx(expected.score, abs=1e-3)
        our_mask, their_mask = result.mask.to_frame(), expected.mask.to_frame()
        assert (our_mask & their_mask).sum() > 0.985 * (our_mask | their_mask).sum()


def test_files_are_written_once_for_the_same_weights(onnxruntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("this was to be found in the cache")

    OnnxRuntimeEngine(ENTRY, seeded(SMALL), CPU, "fp32")
    monkeypatch.setattr(onnx_engine, "write_onnx", never)
    OnnxRuntimeEngine(ENTRY, seeded(SMALL), CPU, "fp32")
    with pytest.raises(AssertionError, match="found in the cache"):
        OnnxRuntimeEngine(ENTRY, seeded(SMALL, seed=1), CPU, "fp32")


def test_a_provider_that_this_onnx_runtime_lacks_is_named(onnxruntime) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("NOT TESTED: this ONNX Runtime has CUDA")
    with pytest.raises(EngineUnavailableError, match="no CUDAExecutionProvider for device cuda:0; it has"):
        OnnxRuntimeEngine(ENTRY, seeded(SMALL), torch.device("cuda", 0), "auto")


def test_onnx_runtime_on_cuda_tracks_as_pytorch_does(onnxruntime) -> None:
    if not torch.cuda.is_available() or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("NOT TESTED: no CUDA device, or an ONNX Runtime without CUDA")
    entry = small("siammask_r50_sharp")
    network = seeded(entry.model)
    tracks_as_pytorch(entry, network, OnnxRuntimeEngine(entry, network, torch.device("cuda", 0), "fp32"))


def test_tensorrt_tracks_as_pytorch_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt", reason="NOT TESTED: no TensorRT here")
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED: no CUDA device")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    entry, device = small("siammask_r50_sharp"), torch.device("cuda", 0)
    network = seeded(entry.model)
    tracks_as_pytorch(entry, network, TensorRtEngine(entry, network, device, "fp32"))
    plans = list(tmp_path.rglob("*.plan"))
    assert plans
    plans[0].write_bytes(b"damaged")
    tracks_as_pytorch(entry, network, TensorRtEngine(entry, network, device, "fp32"))
    assert plans[0].read_bytes() != b"damaged"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailableError, match="runs on CUDA devices, not on cpu"):
        build_engine("tensorrt", ENTRY, seeded(SMALL), CPU, "auto")
    with pytest.raises(EngineUnavailableError, match=r"TensorRT 10 or newer, and this is 8\.6\.1"):
        check_version("8.6.1")
    check_version("10.13.3.9")
    for name in ("onnxruntime", "tensorrt"):
        monkeypatch.setitem(sys.modules, name, None)
    tensorrt_library.cache_clear()
    with pytest.raises(EngineUnavailableError, match=r"JetPack .* pip install tensorrt; or take"):
        tensorrt_library()
    with pytest.raises(EngineUnavailableError, match="pip install onnxruntime, for a GPU onnxruntime-gpu"):
        OnnxRuntimeEngine(ENTRY, seeded(SMALL), CPU, "auto")


def test_a_precision_that_files_do_not_have_is_named() -> None:
    cuda = torch.device("cuda", 0)
    assert resolve_file_precision("auto", CPU, "onnxruntime") == "fp32"
    assert resolve_file_precision("auto", cuda, "onnxruntime") == "fp16"
    with pytest.raises(EngineUnavailableError, match="'onnxruntime' has no fp16 on cpu; it has fp32"):
        resolve_file_precision("fp16", CPU, "onnxruntime")
    with pytest.raises(EngineUnavailableError, match="'tensorrt' has no bf16 on cuda; it has fp16, fp32"):
        resolve_file_precision("bf16", cuda, "tensorrt")


def test_a_plan_is_another_for_each_thing_it_depends_on() -> None:
    gpu = gpu_file_name("NVIDIA GeForce RTX 4070 (Laptop)", 8, 9)
    assert gpu == "nvidia-geforce-rtx-4070-laptop-sm89"
    names = {
        plan_name("search-255-fp16", gpu, "10.9.0.34", "a" * 64),
        plan_name("search-287-fp16", gpu, "10.9.0.34", "a" * 64),
        plan_name("search-255-fp16", gpu_file_name("Orin", 8, 7), "10.9.0.34", "a" * 64),
        plan_name("search-255-fp16", gpu, "10.13.3.9", "a" * 64),
        plan_name("search-255-fp16", gpu, "10.9.0.34", "b" * 64),
    }
    assert len(names) == 5
    assert all(len(Path(name).parts) == 2 for name in names)


def test_cuda_runs_on_the_stream_it_is_given() -> None:
    (cuda,) = providers_of("CUDAExecutionProvider", torch.device("cuda", 1), 4711)
    assert cuda == ("CUDAExecutionProvider", {"device_id": "1", "user_compute_stream": "4711"})
    assert providers_of("CPUExecutionProvider", CPU, 0) == [("CPUExecutionProvider", {})]
