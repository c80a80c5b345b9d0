"""OpenVINO as the engine: the network's graphs compiled for this machine's CPU."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siam_tracker_ros.engines import openvino_runtime
from siam_tracker_ros.engines.cut_network import CutNetwork
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.graph_engine import GraphEngine
from siam_tracker_ros.engines.graph_store import kept, network_key
from siam_tracker_ros.engines.graphs import (
    OF_IMAGES,
    OF_ONE_SIZE,
    Graph,
    GraphName,
    Tensors,
    graph_names,
    search_sizes,
)
from siam_tracker_ros.engines.one_thread import one_thread
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

logger = logging.getLogger(__name__)

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_FILE = "graph.xml"
_CPU = torch.device("cpu")


def resolve_precision(precision: str) -> str:
    """The precision that is meant; auto is fp32. Raises EngineUnavailableError for one that this CPU has not.

    Other CPUs would compute in fp32 whatever they are told.
    """
    if precision == "auto":
        return "fp32"
    native = openvino_runtime.native_precisions() & {*_HINTS, "int8"}
    if precision not in native:
        raise EngineUnavailableError(
            f"engine 'openvino' has no {precision} on this CPU, which computes in {', '.join(sorted(native))}"
        )
    return precision


class OpenVinoEngine(GraphEngine):
    """Runs a network's graphs on the CPU. Made ready once, they are kept in the user's cache."""

    name = "openvino"

    def __init__(self, entry: ZooEntry, network: SiameseNetwork, precision: str) -> None:
        """Make all graphs ready that `entry` is known to use. `network` is kept, and must not change.

        In int8 it is the search graph that is rounded, as the network's calibration says; the rest of the
        work is done in bf16 where the CPU has that. Raises EngineUnavailableError where OpenVINO is not
        installed, or without `precision`, or in int8 without a calibration.
        """
        super().__init__(entry)
        self.device = _CPU
        self.precision = resolve_precision(precision)
        beside = "bf16" if "bf16" in openvino_runtime.native_precisions() else "fp32"
        self._hint = _HINTS[beside if self.precision == "int8" else self.precision]
        self._cut = CutNetwork(entry, network, rounded=precision == "int8")
        self._key = self._search_key = network_key(entry, network)
        if self._cut.rounded is not None:
            self._search_key = network_key(entry, self._cut.rounded)
        self._compiled: dict[tuple[GraphName, int], _Compiled] = {}
        self._search_size = entry.tracking.instance_size
        for size in search_sizes(entry.tracking):
            for graph in graph_names(entry.model):
                self._graph(graph, size)
        self._cut.forget()

    def run(self, graph: GraphName, inputs: Sequence[Tensor]) -> Tensors:
        """See `GraphEngine`. Images are rounded to whole grey levels."""
        if graph == "search":
            self._search_size = inputs[0].shape[-1]
        if graph in OF_IMAGES:
            images = inputs[0].permute(0, 2, 3, 1)
            if images.is_floating_point():
                images = images.round().clamp(0, 255).to(torch.uint8)
            inputs = (images, *inputs[1:])
        return self._graph(graph, self._search_size).run(inputs)

    def _graph(self, graph: GraphName, search_size: int) -> _Compiled:
        """`graph` for search regions of this size; those that do not depend on it are there once."""
        size = 0 if graph in OF_ONE_SIZE else search_size
        if (graph, size) not in self._compiled:
            name = f"openvino-{openvino_runtime.version()}/{graph}-{size}"
            key = self._search_key if graph == "search" else self._key
            make = partial(self._convert, graph, search_size)
            folder = kept(key, name, make)
            try:
                compiled = _Compiled(folder / _FILE, self._hint)
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                logger.warning("%s is not what was written there, and is made anew: %s", folder, reason)
                shutil.rmtree(folder)
                compiled = _Compiled(kept(key, name, make) / _FILE, self._hint)
            self._compiled[graph, size] = compiled
        return self._compiled[graph, size]

    def _convert(self, graph: GraphName, search_size: int, folder: Path) -> None:
        part = self._cut.graph(graph, search_size)
        # The tracker may be running in inference mode, whose tensors cannot be traced.
        with torch.inference_mode(False), torch.no_grad():
            model = _converted(part, graph in OF_IMAGES)
        openvino_runtime.openvino().save_model(model, folder / _FILE, compress_to_fp16=False)


def _converted(graph: Graph, of_images: bool) -> Any:
    """`graph` as a model of OpenVINO with fixed shapes: images [N, H, W, 3] uint8, outputs float32."""
    ov = openvino_runtime.openvino()
    with warnings.catch_warnings():
        # Sizes and branches are meant to become constants.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.simplefilter("ignore", DeprecationWarning)
        # Traced as a function, as a module's own parts would take longer than the network.
        traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
            lambda *inputs: graph.module(*inputs), graph.inputs, check_trace=False
        )
        model = ov.convert_model(traced, example_input=graph.inputs)
    model.reshape({i: list(tensor.shape) for i, tensor in enumerate(graph.inputs)})
    ends = ov.preprocess.PrePostProcessor(model)
    if of_images:
        images = ends.input(0)
        images.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        images.model().set_layout(ov.Layout("NCHW"))
    for index in range(len(model.outputs)):
        ends.output(index).tensor().set_element_type(ov.Type.f32)
    return ends.build()


class _Compiled:
    """One graph, compiled; it reads and writes PyTorch's memory."""

    def __init__(self, file: Path, hint: str) -> None:
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Bound to a core, a thread would wait for whatever else runs on it.
            "ENABLE_CPU_PINNING": False,
            "CACHE_DIR": str(file.parent),
        }
        compiled = openvino_runtime.core().compile_model(file, "CPU", options)
        self._tensor = openvino_runtime.openvino().Tensor
        self._request = compiled.create_infer_request()
        self._inputs: list[Tensor | None] = [None] * len(compiled.inputs)
        self._outputs = tuple(torch.empty(tuple(output.shape)) for output in compiled.outputs)
        for index, output in enumerate(self._outputs):
            self._request.set_output_tensor(index, self._tensor(output.numpy(), shared_memory=True))

    def run(self, inputs: Sequence[Tensor]) -> Tensors:
        with one_thread(_CPU):
            bounds = [tensor.contiguous() for tensor in inputs]
        for index, bound in enumerate(bounds):
            # Kept for as long as the request reads it: a target's template stays the same over many frames.
            if bound is not self._inputs[index]:
                self._request.set_input_tensor(index, self._tensor(bound.numpy(), shared_memory=True))
                self._inputs[index] = bound
        self._request.infer(share_inputs=True, share_outputs=True)
        return self._outputs
