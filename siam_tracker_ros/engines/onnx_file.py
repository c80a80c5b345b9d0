"""One graph as an ONNX file: written, run, and compared with PyTorch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from siam_tracker_ros.engines.errors import EngineUnavailableError, ExportError
from siam_tracker_ros.engines.graphs import Graph, Tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

OPSETS = range(16, 21)
"""Versions of ONNX's operators that can be written: 16 brought GridSample, PyTorch's exporter ends at 20."""
DEFAULT_OPSET = 17

FilePrecision = Literal["fp32", "fp16", "int8"]
TOLERANCES = {"fp32": 1e-3, "fp16": 0.1, "int8": 0.2}
"""How far an output may be (`difference`) from PyTorch's: in fp32, in int8 of the rounded network."""


class _HalfInside(nn.Module):
    """A graph that computes in half precision between float32 ends; regions stay what they are, px."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.inside = copy.deepcopy(graph.module).half()
        self.exact = tuple(name == "regions" for name in graph.input_names)

    def forward(self, *inputs: Tensor) -> Tensors:
        halved = (x if exact else x.half() for x, exact in zip(inputs, self.exact, strict=True))
        outputs = self.inside(*halved)
        return tuple(y.float() for y in ((outputs,) if isinstance(outputs, Tensor) else outputs))


def write_onnx(
    graph: Graph, path: Path, opset: int = DEFAULT_OPSET, precision: FilePrecision = "fp32"
) -> None:
    """Write `graph` to `path`, its ends float32.

    Raises EngineUnavailableError where what PyTorch writes ONNX by is missing.
    """
    require_writer()
    module = _HalfInside(graph).eval() if precision == "fp16" else graph.module
    # The exporter that traces: every entry of the zoo passes by it, in less than half the time of the one on
    # torch.export, without onnxscript, and in the older PyTorch of many robots.
    with torch.inference_mode(False), torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            graph.inputs,
            str(path),
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            opset_version=opset,
            dynamo=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of sizes that become constants, which they are meant to, and of the exporter's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require_writer() -> None:
    """Raises EngineUnavailableError where ONNX files cannot be written."""
    if find_spec("onnx") is None:
        raise EngineUnavailableError("PyTorch writes ONNX files by the package onnx: pip install onnx")


def runner() -> str:
    """What runs ONNX files here to check them: ONNX Runtime, or slowly the reference of ONNX itself."""
    return "onnx" if find_spec("onnxruntime") is None else "onnxruntime"


def run_onnx(path: Path, names: Sequence[str], inputs: Sequence[Tensor]) -> Tensors:
    """Run a file once on the CPU, with inputs by name, by `runner`."""
    feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    if runner() == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        outputs = list(session.run(None, feed))
    else:
        from onnx.reference import ReferenceEvaluator

        outputs = list(ReferenceEvaluator(str(path)).run(None, feed))
    return tuple(torch.from_numpy(output) for output in outputs)


def reference_outputs(graph: Graph) -> Tensors:
    """What PyTorch gives for the graph's inputs, in fp32."""
    with torch.inference_mode(False), torch.no_grad():
        outputs = graph.module(*graph.inputs)
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def difference(outputs: Tensors, expected: Tensors, precision: FilePrecision) -> float:
    """Largest difference between outputs, each as a part of the largest value expected of it.

    In int8 values on the edge between two levels fall to either side, and from layer to layer others with
    them: a rounded network differs from itself by a tenth where its input changes by a thousandth of a grey
    level. So there it is the root mean square of the differences, as a part of that of the values.

    Raises ExportError where their number, shapes or types differ, or a value is not finite.
    """
    if [(y.shape, y.dtype) for y in outputs] != [(y.shape, y.dtype) for y in expected]:
        raise ExportError(f"outputs are {_described(outputs)}, PyTorch's {_described(expected)}")
    largest = 0.0
    for output, wanted in zip(outputs, expected, strict=True):
        if not torch.isfinite(output).all():
            raise ExportError("an output has values that are not finite")
        size = _root_mean_square if precision == "int8" else _largest
        largest = max(largest, size(output - wanted) / max(size(wanted), 1e-6))
    return largest


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _described(tensors: Tensors) -> str:
    return ", ".join(f"{str(y.dtype).removeprefix('torch.')} {list(y.shape)}" for y in tensors)
