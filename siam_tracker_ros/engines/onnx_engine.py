"""What all engines share that run a network's graphs as ONNX files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from siam_tracker_ros.engines.cut_network import CutNetwork
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.graph_engine import GraphEngine
from siam_tracker_ros.engines.graph_store import kept, network_key
from siam_tracker_ros.engines.graphs import (
    OF_ONE_SIZE,
    GraphName,
    Tensors,
    graph_names,
    search_sizes,
)
from siam_tracker_ros.engines.onnx_file import DEFAULT_OPSET, FilePrecision, write_onnx
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

_FILE = "graph.onnx"

RunsGraph = Callable[[Sequence[Tensor]], Tensors]
"""Inputs of a graph, float32, contiguous and on the engine's device -> its outputs there."""


class OnnxEngine(GraphEngine):
    """Runs graphs from ONNX files in the user's cache, which are written when first needed.

    A subclass loads a file. On CUDA its work is queued on `stream`, which is not the default one: engines
    are slow on that or refuse it.
    """

    stream: torch.cuda.Stream | None

    def __init__(
        self, entry: ZooEntry, network: SiameseNetwork, device: torch.device, precision: str
    ) -> None:
        """`network` is kept, and must not change.

        Raises EngineUnavailableError for a `precision` that it has not, QuantisationError for int8 without a
        calibration.
        """
        super().__init__(entry)
        self.device = device
        self._file_precision = resolve_file_precision(precision, device, self.name)
        self.precision = self._file_precision
        self.stream = None
        if device.type == "cuda":
            self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._cut = CutNetwork(entry, network, rounded=precision == "int8")
        self.network_key = network_key(entry, self._cut.source("search"))
        self._loaded: dict[tuple[GraphName, int], RunsGraph] = {}
        self._search_size = entry.tracking.instance_size

    @abstractmethod
    def load(self, name: str, file: Path) -> RunsGraph:
        """Make an ONNX file ready to be run; `name` tells it from the network's others."""

    def make_ready(self, entry: ZooEntry) -> None:
        """Load all graphs that `entry` is known to use."""
        for size in search_sizes(entry.tracking):
            for graph in graph_names(entry.model):
                self._graph(graph, size)
        self._cut.forget()

    def run(self, graph: GraphName, inputs: Sequence[Tensor]) -> Tensors:
        """See `GraphEngine`."""
        if graph == "search":
            self._search_size = inputs[0].shape[-1]
        runs = self._graph(graph, self._search_size)
        ready = [tensor.to(torch.float32).contiguous() for tensor in inputs]
        if self.stream is None:
            return runs(ready)
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        outputs = runs(ready)
        # What comes after on the current stream waits too, so that it may overwrite the inputs.
        current.wait_stream(self.stream)
        return outputs

    def _graph(self, graph: GraphName, search_size: int) -> RunsGraph:
        """`graph` for search regions of this size; those that do not depend on it are there once."""
        size = 0 if graph in OF_ONE_SIZE else search_size
        if (graph, size) not in self._loaded:
            name = f"{graph}-{size}-{self._file_precision}"
            write = partial(self._write, graph, search_size)
            folder = kept(self.network_key, f"onnx-opset{DEFAULT_OPSET}/{name}", write)
            self._loaded[graph, size] = self.load(name, folder / _FILE)
        return self._loaded[graph, size]

    def _write(self, graph: GraphName, search_size: int, folder: Path) -> None:
        part = self._cut.graph(graph, search_size)
        write_onnx(part, folder / _FILE, precision=self._file_precision)


def resolve_file_precision(precision: str, device: torch.device, engine: str) -> FilePrecision:
    """The precision of files: on the CPU fp32 unless int8 is asked for, on CUDA fp16 unless fp32 is.

    Raises EngineUnavailableError for any other.
    """
    known: tuple[FilePrecision, ...] = ("fp16", "fp32") if device.type == "cuda" else ("fp32", "int8")
    if precision == "auto":
        return known[0]
    for each in known:
        if precision == each:
            return each
    raise EngineUnavailableError(
        f"engine '{engine}' has no {precision} on {device.type}; it has {', '.join(known)}"
    )
