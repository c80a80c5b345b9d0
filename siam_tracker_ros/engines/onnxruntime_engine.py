"""ONNX Runtime as the engine: the network's graphs as ONNX files, on the CPU or by CUDA or TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.gpu import gpu_key
from siam_tracker_ros.engines.graph_store import cache_folder
from siam_tracker_ros.engines.graphs import Tensors
from siam_tracker_ros.engines.onnx_engine import OnnxEngine, RunsGraph
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

Provider = Literal["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
Options = dict[str, str]
# Errors alone: of every operator that a GPU leaves to the CPU there is a warning.
_LOG_ERRORS = 3


def onnxruntime_library() -> ModuleType:
    """ONNX Runtime. Raises EngineUnavailableError where it is not installed or cannot be loaded."""
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"engine 'onnxruntime' needs ONNX Runtime, which cannot be imported ({error}): "
            "pip install onnxruntime, for a GPU onnxruntime-gpu, or take engine torch"
        ) from error
    module: ModuleType = onnxruntime
    return module


def offers_tensorrt() -> bool:
    """Whether TensorRT is here as ONNX Runtime's provider alone, without a Python package of its own."""
    if find_spec("tensorrt") is not None or find_spec("onnxruntime") is None:
        return False
    return "TensorrtExecutionProvider" in onnxruntime_library().get_available_providers()


class OnnxRuntimeEngine(OnnxEngine):
    """Runs graphs by ONNX Runtime. Tensors stay on the device from one graph to the next."""

    name = "onnxruntime"

    def __init__(
        self,
        entry: ZooEntry,
        network: SiameseNetwork,
        device: torch.device,
        precision: str,
        provider: Provider | None = None,
    ) -> None:
        """Make all graphs ready that `entry` is known to use. `network` is kept, and must not change.

        Without a `provider` it is the one named as the device. Raises EngineUnavailableError where ONNX
        Runtime, in it the provider, or `precision` is missing.
        """
        if provider is None:
            provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
        _check_available(provider, device)
        super().__init__(entry, network, device, precision)
        stream = 0 if self.stream is None else self.stream.cuda_stream
        self._providers = providers_of(provider, device, stream)
        self.make_ready(entry)

    def load(self, name: str, file: Path) -> RunsGraph:
        """See `OnnxEngine`."""
        return _Session(file, self._providers, self.device).run


def _check_available(provider: Provider, device: torch.device) -> None:
    if provider != "CPUExecutionProvider" and device.type != "cuda":
        raise EngineUnavailableError(f"{provider} runs on CUDA devices, not on {device}")
    available = onnxruntime_library().get_available_providers()
    if provider not in available:
        raise EngineUnavailableError(
            f"this ONNX Runtime has no {provider} for device {device}; it has {', '.join(available)}: "
            "install onnxruntime-gpu in its place, or take engine torch"
        )


def providers_of(provider: Provider, device: torch.device, stream: int) -> list[tuple[str, Options]]:
    """Providers with options, each for what the one before leaves; all run on the CUDA stream at `stream`."""
    if provider == "CPUExecutionProvider":
        return [(provider, {})]
    cuda = {"device_id": str(device.index or 0), "user_compute_stream": str(stream)}
    if provider == "CUDAExecutionProvider":
        return [(provider, cuda)]
    tensorrt = _tensorrt_options(gpu_key(device), onnxruntime_library().__version__)
    return [(provider, {**cuda, **tensorrt}), ("CUDAExecutionProvider", cuda)]


def _tensorrt_options(gpu: str, version: str) -> Options:
    """Where the TensorRT provider keeps its engines: apart for each GPU and ONNX Runtime.

    An ONNX Runtime is built for one version of TensorRT. No precision is allowed beside that of the files,
    which say of every operator what it computes in.
    """
    folder = cache_folder() / "tensorrt" / f"{gpu}-onnxruntime-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


class _Session:
    """One graph, loaded; it reads and writes PyTorch's memory."""

    def __init__(self, file: Path, providers: list[tuple[str, Options]], device: torch.device) -> None:
        library = onnxruntime_library()
        options = library.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait by spinning take twice the processor time a frame, from cropping and other nodes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _LOG_ERRORS
        self._session: Any = library.InferenceSession(file, options, providers=providers)
        wanted, used = providers[0][0], self._session.get_providers()
        if used[0] != wanted:
            raise EngineUnavailableError(
                f"ONNX Runtime could not load its {wanted} and would run on {used[0]} instead: the libraries "
                "that it needs are missing or of another version"
            )
        self._run_options = library.RunOptions()
        if device.type == "cuda":
            # The stream keeps the order; nothing has to wait for the device.
            self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._place = device.type, device.index or 0
        self._input_names = [each.name for each in self._session.get_inputs()]
        self._binding = self._session.io_binding()
        outputs = self._session.get_outputs()
        self._outputs = tuple(torch.empty(each.shape, device=device) for each in outputs)
        for each, tensor in zip(outputs, self._outputs, strict=True):
            shape = tuple(tensor.shape)
            self._binding.bind_output(each.name, *self._place, np.float32, shape, tensor.data_ptr())
        self._inputs: Sequence[Tensor] = ()

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        for name, tensor in zip(self._input_names, inputs, strict=True):
            shape = tuple(tensor.shape)
            self._binding.bind_input(name, *self._place, np.float32, shape, tensor.data_ptr())
        # Kept for as long as they may be read.
        self._inputs = inputs
        self._session.run_with_iobinding(self._binding, self._run_options)
        return self._outputs
