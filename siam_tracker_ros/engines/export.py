"""A network as a folder of files for programs elsewhere: its graphs, and a manifest of them."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from siam_tracker_ros.engines import openvino_runtime
from siam_tracker_ros.engines.errors import ExportError
from siam_tracker_ros.engines.graphs import OF_ONE_SIZE, Graph, Tensors, cut
from siam_tracker_ros.engines.onnx_file import (
    DEFAULT_OPSET,
    OPSETS,
    TOLERANCES,
    FilePrecision,
    difference,
    reference_outputs,
    require_writer,
    run_onnx,
    runner,
    write_onnx,
)
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.inference import fuse_batch_norm
from siam_tracker_ros.models.quantisation import rounded_copy
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import sha256_of

MANIFEST = "manifest.json"
FileFormat = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class ExportOptions:
    """What to write: graphs for search regions of `search_sizes` px (none: the entry's own) and for
    `targets` targets at once, as files of a format and precision.
    """

    search_sizes: tuple[int, ...] = ()
    targets: int = 1
    opset: int = DEFAULT_OPSET
    precision: FilePrecision = "fp32"
    format: FileFormat = "onnx"


def export(
    entry: ZooEntry,
    network: SiameseNetwork,
    weights_sha256: str | None,
    options: ExportOptions,
    folder: Path,
    say: Callable[[str], None] = print,
) -> None:
    """Write the graphs of `network` (`engines.graphs`) and a manifest into a new `folder`.

    Every file is run and compared with PyTorch, which `say` tells line by line. `weights_sha256` is None for
    a network without weights of its own. Raises ExportError where an option makes no sense, the folder exists
    or cannot be made, or a file does not do what PyTorch does; no folder is left then. Raises
    EngineUnavailableError where a package that this needs is missing.
    """
    _check(entry, options)
    require_writer()
    checked_with = runner() if options.format == "onnx" else f"openvino {openvino_runtime.version()}"
    if folder.exists():
        raise ExportError(f"{folder} exists already: remove it, or name another with --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ExportError(f"{folder} cannot be made: {error.strerror or error}") from error
    try:
        graphs = _write_graphs(entry, network, options, part, say)
        manifest = _manifest(entry, weights_sha256, options, graphs, checked_with)
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        # Temporary folders are their owner's alone; this one is for others too.
        part.chmod(0o755)
        part.replace(folder)
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check(entry: ZooEntry, options: ExportOptions) -> None:
    exemplar_size = entry.tracking.exemplar_size
    for size in options.search_sizes:
        if size <= exemplar_size:
            raise ExportError(
                f"a search region of {size} px is no larger than the exemplar, {exemplar_size} px; "
                f"{entry.name} has {entry.tracking.instance_size}"
            )
    if options.targets < 1:
        raise ExportError(f"there is at least one target, not {options.targets}")
    if options.opset not in OPSETS:
        raise ExportError(f"opset {options.opset} is none of {OPSETS.start} to {OPSETS.stop - 1}")


def _write_graphs(
    entry: ZooEntry,
    network: SiameseNetwork,
    options: ExportOptions,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, dict[str, object]]:
    """Write every graph; what the manifest says of each, by name."""
    network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    rounded = rounded_copy(network) if options.precision == "int8" else None
    with torch.inference_mode(False), torch.no_grad():
        fuse_batch_norm(network)
    described: dict[str, dict[str, object]] = {}
    for size in options.search_sizes or (entry.tracking.instance_size,):
        # Tensors that were made in inference mode cannot be traced.
        with torch.inference_mode(False):
            graphs = cut(network, entry.tracking, size, options.targets)
            if rounded is not None:
                graphs["search"] = cut(rounded, entry.tracking, size, options.targets)["search"]
        for name, graph in graphs.items():
            file = name if name in OF_ONE_SIZE else f"{name}_{size}"
            if file in described:
                continue
            precision = options.precision
            if precision == "int8" and name != "search":
                precision = "fp32"
            path, found = _write_checked(file, graph, replace(options, precision=precision), folder)
            described[file] = {**_described(graph, path), "precision": precision, "difference": found}
            written = sum(part.stat().st_size for part in folder.glob(f"{file}.*"))
            say(f"{path.name}: {written / 1e6:.1f} MB, {precision}, differs by {found:.1e}")
    return described


def _write_checked(file: str, graph: Graph, options: ExportOptions, folder: Path) -> tuple[Path, float]:
    """The file of a graph, and how far what it gives is from what PyTorch does. Raises ExportError."""
    expected = reference_outputs(graph)
    path = folder / f"{file}.onnx"
    if options.format == "openvino":
        write_onnx(graph, path, options.opset)
        path = _as_openvino(path, options.precision)
        outputs = _run_openvino(path, graph.inputs)
    else:
        write_onnx(graph, path, options.opset, options.precision)
        outputs = run_onnx(path, graph.input_names, graph.inputs)
    try:
        found = difference(outputs, expected, options.precision)
    except ExportError as error:
        raise ExportError(f"{path.name} is wrong: {error}") from error
    if found > TOLERANCES[options.precision]:
        raise ExportError(
            f"{path.name} is wrong: its outputs differ from PyTorch's by {found:.1e} of their values, and in "
            f"{options.precision} by {TOLERANCES[options.precision]:.0e} at most"
        )
    return path, found


def _as_openvino(onnx: Path, precision: str) -> Path:
    """An ONNX file made OpenVINO's: FILE.xml and FILE.bin in its place, the weights in `precision`."""
    library = openvino_runtime.openvino()
    path = onnx.with_suffix(".xml")
    library.save_model(library.convert_model(onnx), path, compress_to_fp16=precision == "fp16")
    onnx.unlink()
    return path


def _run_openvino(path: Path, inputs: Tensors) -> Tensors:
    compiled = openvino_runtime.core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = compiled([tensor.numpy() for tensor in inputs])
    return tuple(torch.from_numpy(outputs[index].copy()) for index in range(len(compiled.outputs)))


def _described(graph: Graph, path: Path) -> dict[str, object]:
    outputs = reference_outputs(graph)
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "inputs": {n: list(x.shape) for n, x in zip(graph.input_names, graph.inputs, strict=True)},
        "outputs": {n: list(y.shape) for n, y in zip(graph.output_names, outputs, strict=True)},
    }


def _manifest(
    entry: ZooEntry,
    weights_sha256: str | None,
    options: ExportOptions,
    graphs: Mapping[str, Mapping[str, object]],
    checked_with: str,
) -> dict[str, object]:
    return {
        "entry": entry.name,
        "weights_sha256": weights_sha256,
        "format": options.format,
        "opset": options.opset,
        "precision": options.precision,
        "targets": options.targets,
        "images": "float32 [N, 3, H, W], channels blue, green, red, 0..255",
        "graphs": graphs,
        "tolerance": TOLERANCES[options.precision],
        "checked_with": checked_with,
        "torch": torch.__version__,
        "tracking": asdict(entry.tracking),
    }
