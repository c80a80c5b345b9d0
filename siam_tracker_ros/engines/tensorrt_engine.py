"""TensorRT as the engine: the network's graphs compiled for one GPU, from ONNX files.

It is TensorRT's own library, which every Jetson has with its system, and not the provider of ONNX Runtime, of
which a Jetson needs a build of its own; where that provider is all there is, `engines.build` takes it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.gpu import gpu_key
from siam_tracker_ros.engines.graph_store import cache_folder, kept
from siam_tracker_ros.engines.graphs import Tensors
from siam_tracker_ros.engines.onnx_engine import OnnxEngine, RunsGraph
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import sha256_of

logger = logging.getLogger(__name__)

_PLAN = "graph.plan"
# The first whose networks are typed by their ONNX files, which the precisions here rest on.
_FIRST_MAJOR = 10


@cache
def tensorrt_library() -> ModuleType:
    """TensorRT. Raises EngineUnavailableError where it is not installed, cannot be loaded, or is too old."""
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"engine 'tensorrt' needs TensorRT's Python package, which cannot be imported ({error}): on a "
            "Jetson it comes with JetPack (apt install python3-libnvinfer, and a virtual environment with "
            "--system-site-packages), elsewhere pip install tensorrt; or take engine torch"
        ) from error
    check_version(tensorrt.__version__)
    module: ModuleType = tensorrt
    return module


def check_version(version: str) -> None:
    """Raises EngineUnavailableError for a TensorRT that is too old."""
    if int(version.partition(".")[0]) < _FIRST_MAJOR:
        raise EngineUnavailableError(
            f"engine 'tensorrt' needs TensorRT {_FIRST_MAJOR} or newer, and this is {version}: "
            "take engine torch"
        )


def plan_name(graph: str, gpu: str, version: str, onnx_sha256: str) -> str:
    """Where a compiled graph is kept, in its network's folder: another for each thing that it depends on."""
    return f"tensorrt-{version}-{gpu}/{graph}-{onnx_sha256[:16]}"


class TensorRtEngine(OnnxEngine):
    """Runs graphs by TensorRT. Compiled once for a GPU, which takes minutes, they are kept in the cache."""

    name = "tensorrt"

    def __init__(
        self, entry: ZooEntry, network: SiameseNetwork, device: torch.device, precision: str
    ) -> None:
        """Make all graphs ready that `entry` is known to use. `network` is kept, and must not change.

        Raises EngineUnavailableError where TensorRT is missing or cannot compile the network, or without
        `precision`.
        """
        if device.type != "cuda":
            raise EngineUnavailableError(f"engine 'tensorrt' runs on CUDA devices, not on {device}")
        tensorrt_library()
        super().__init__(entry, network, device, precision)
        self.make_ready(entry)

    def load(self, name: str, file: Path) -> RunsGraph:
        """See `OnnxEngine`."""
        version, gpu = tensorrt_library().__version__, gpu_key(self.device)
        place = plan_name(name, gpu, version, sha256_of(file))
        build = partial(_build, file, cache_folder() / "tensorrt" / f"{gpu}-{version}.timing", self.device)
        folder = kept(self.network_key, place, build)
        try:
            plan = _Plan(folder / _PLAN, self.device, self.stream)
        except EngineUnavailableError as error:
            logger.warning("%s, so it is compiled again", error)
            shutil.rmtree(folder, ignore_errors=True)
            plan = _Plan(kept(self.network_key, place, build) / _PLAN, self.device, self.stream)
        return plan.run


def _log(library: ModuleType) -> Any:
    """TensorRT's logger, which speaks through ours."""

    class Log(library.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            is_error = severity in (library.Logger.INTERNAL_ERROR, library.Logger.ERROR)
            logger.log(logging.ERROR if is_error else logging.DEBUG, "TensorRT: %s", message)

    return Log()


def _build(file: Path, timing: Path, device: torch.device, folder: Path) -> None:
    """Compile an ONNX file into `folder`. What is learnt of the GPU's speed is kept in `timing`."""
    library = tensorrt_library()
    logger.info("TensorRT compiles %s, which takes a while and is done once", file.parent.name)
    log = _log(library)
    with torch.cuda.device(device):
        builder = library.Builder(log)
        typed = library.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        network = builder.create_network(1 << int(typed))
        parser = library.OnnxParser(network, log)
        if not parser.parse_from_file(str(file)):
            errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise EngineUnavailableError(
                f"TensorRT cannot read {file.parent.name}: {errors}; take engine torch"
            )
        config = builder.create_builder_config()
        # Held until the plan is built, as TensorRT asks.
        cache = config.create_timing_cache(timing.read_bytes() if timing.is_file() else b"")
        config.set_timing_cache(cache, False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineUnavailableError(
                f"TensorRT cannot compile {file.parent.name}, for the reasons it logged; take engine torch"
            )
        (folder / _PLAN).write_bytes(plan)
        _keep_timing(timing, bytes(cache.serialize()))


def _keep_timing(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        logger.warning("%s cannot be written, so that compiling takes longer: %s", path, error)


class _Plan:
    """One compiled graph, with its execution context; it reads and writes PyTorch's memory."""

    def __init__(self, file: Path, device: torch.device, stream: torch.cuda.Stream | None) -> None:
        """Raises EngineUnavailableError for a file that TensorRT does not take."""
        assert stream is not None
        library = tensorrt_library()
        with torch.cuda.device(device):
            # The runtime has to live as long as what it has read.
            self._runtime = library.Runtime(_log(library))
            self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
            self._context: Any = None
            if self._engine is not None:
                self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineUnavailableError(
                f"TensorRT does not take {file}, which is damaged or of another build"
            )
        self._stream = stream.cuda_stream
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        of_input = library.TensorIOMode.INPUT
        self._input_names = [name for name in names if self._engine.get_tensor_mode(name) == of_input]
        output_names = [name for name in names if name not in self._input_names]
        self._outputs = tuple(
            torch.empty(tuple(self._engine.get_tensor_shape(name)), device=device) for name in output_names
        )
        for name, tensor in zip(output_names, self._outputs, strict=True):
            self._bind(name, tensor)
        self._inputs: Sequence[Tensor] = ()

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        for name, tensor in zip(self._input_names, inputs, strict=True):
            self._bind(name, tensor)
        # Kept for as long as they may be read.
        self._inputs = inputs
        if not self._context.execute_async_v3(self._stream):
            raise RuntimeError("TensorRT failed to run a graph, for the reasons it logged")
        return self._outputs

    def _bind(self, name: str, tensor: Tensor) -> None:
        if not self._context.set_tensor_address(name, tensor.data_ptr()):
            raise RuntimeError(f"TensorRT does not take the memory of '{name}'")
