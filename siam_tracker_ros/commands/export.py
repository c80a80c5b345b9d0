"""`siam-tracker export`: a network as files that other programs run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siam_tracker_ros.models.config import ZooEntry
    from siam_tracker_ros.models.int8_calibration import Calibration
    from siam_tracker_ros.models.siamese import SiameseNetwork

HELP = "write a network as ONNX or OpenVINO files, checked against PyTorch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    parser.description = (
        "Write a network's graphs into a new folder, with a manifest that names their inputs and outputs. "
        "The template graph runs once a target, and what it gives are inputs of the search graph: a new "
        "target needs no new file. Every file is run and compared with PyTorch; where one differs by more "
        "than its precision explains, nothing is left. README says how to run them."
    )
    parser.add_argument("name", metavar="NAME|PATH", help="weights by name or path; a model with --random")
    parser.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    parser.add_argument(
        "--random",
        action="store_true",
        help="untrained weights, the same at every call: to see what a model costs elsewhere",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to make (default out/NAME_FORMAT_PRECISION)"
    )
    parser.add_argument(
        "--size",
        action="append",
        type=int,
        metavar="PX",
        help="side of the search region (default: the model's own); give it again for more sizes",
    )
    parser.add_argument(
        "--targets",
        type=int,
        default=1,
        metavar="N",
        help="targets that each graph takes at once (default 1)",
    )
    parser.add_argument("--format", choices=("onnx", "openvino"), default="onnx", help="default onnx")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="number type inside, between float32 ends (default fp32); int8 is of the search graph",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="FOLDER",
        help="of int8: labelled sequences (NAME/img, NAME/groundtruth.txt) to calibrate on; the calibration "
        "is written too, and beside the weights it serves every engine (default: the one that lies there)",
    )
    parser.add_argument(
        "--opset", type=int, metavar="N", help="version of ONNX's operators, 16 to 20 (default 17)"
    )


def run(args: argparse.Namespace) -> int:
    """Export, tell what was written and how far it differs, and return the exit status.

    Raises SiamTrackerError for what the user can put right.
    """
    from siam_tracker_ros.engines.errors import ExportError
    from siam_tracker_ros.engines.export import MANIFEST, ExportOptions, export
    from siam_tracker_ros.engines.onnx_file import DEFAULT_OPSET
    from siam_tracker_ros.models.int8_calibration import SUFFIX, write_calibration

    entry, network, digest = _random(args.name) if args.random else _loaded(args.name, args.model)
    if args.calibrate is not None:
        if args.precision != "int8":
            raise ExportError(f"--calibrate is of --precision int8, not of {args.precision}")
        network.calibration = _calibrated(entry, network, digest or "", args.calibrate)
    options = ExportOptions(
        search_sizes=tuple(dict.fromkeys(args.size or ())),
        targets=args.targets,
        opset=DEFAULT_OPSET if args.opset is None else args.opset,
        precision=args.precision,
        format=args.format,
    )
    folder = args.out or Path("out") / f"{Path(args.name).stem}_{args.format}_{args.precision}"
    export(entry, network, digest, options, folder)
    if args.calibrate is not None and network.calibration is not None:
        write_calibration(network.calibration, folder / f"{Path(args.name).stem}{SUFFIX}")
    print(f"wrote {folder}, described in {MANIFEST}")
    return 0


def _random(name: str) -> tuple[ZooEntry, SiameseNetwork, None]:
    import torch

    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.zoo import get_entry

    entry = get_entry(name)
    torch.manual_seed(0)
    return entry, SiameseNetwork(entry.model).eval(), None


def _loaded(name: str, model: str | None) -> tuple[ZooEntry, SiameseNetwork, str]:
    from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint
    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.weights import calibration_beside, find_weights, sha256_of

    path = find_weights(name)
    checkpoint = read_checkpoint(path)
    entry = entry_of(checkpoint, model, str(path))
    network = SiameseNetwork(entry.model).eval()
    load_state(network, checkpoint.state, str(path))
    network.calibration = calibration_beside(path)
    return entry, network, sha256_of(path)


def _calibrated(entry: ZooEntry, network: SiameseNetwork, digest: str, folder: Path) -> Calibration:
    from tqdm import tqdm

    from siam_tracker_ros.footage.sequence_folder import read_sequence, sequence_folders
    from siam_tracker_ros.training.int8_footage import calibrate_on_footage

    sequences = [read_sequence(each) for each in sequence_folders(folder)]
    with tqdm(total=len(sequences), desc="calibrating", unit="sequence", disable=None) as bar:
        return calibrate_on_footage(entry, network, digest, sequences, bar.update)
