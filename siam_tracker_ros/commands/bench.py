"""`siam-tracker bench`: frame rates of the zoo on this machine, or the tracker node on a ROS 2 graph."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.markdown_table import markdown_table

if TYPE_CHECKING:
    import numpy as np

    from siam_tracker_ros.benchmark.pysot import PysotBaseline
    from siam_tracker_ros.models.config import ZooEntry

HELP = "measure frame rates on this machine, per model of the zoo"

_WARM_UP = 3


class BenchCommandError(SiamTrackerError):
    """Options of `bench` that say nothing that can be measured."""


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or min(int(match[1]), int(match[2])) < 32:
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 640x480 (at least 32x32)")
    return int(match[1]), int(match[2])


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no count: a whole number above 0")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bench`."""
    parser.description = (
        "Time whole track() calls: crop, network, decoding and, where the model has them, the mask and "
        "rotated box. Weights are random, as speed does not depend on them."
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="zoo entries; without any, every distinct network"
    )
    parser.add_argument("--frames", type=_count, default=20, help="timed frames per model (default 20)")
    parser.add_argument(
        "--size", type=_size, default=(640, 480), metavar="WxH", help="frame (default 640x480)"
    )
    parser.add_argument("--targets", type=_count, default=1, help="targets tracked at once (default 1)")
    parser.add_argument("--threads", type=_count, help="CPU threads (default: what PyTorch chooses)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto")
    parser.add_argument(
        "--pysot",
        type=Path,
        metavar="FOLDER",
        help="a PySOT checkout: its tracker takes turns with ours, frame by frame, same weights and threads",
    )
    parser.add_argument(
        "--ros",
        action="store_true",
        help="run the tracker node instead, with its default weights or those named as MODEL, and publish "
        "images to it: latency from an image's arrival to its tracks, by stage, and memory over time",
    )
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="how long with --ros (default 20)")
    parser.add_argument("--rate", type=_seconds, default=30.0, help="images/s with --ros (default 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measure and print a Markdown table; see `add_arguments`."""
    if args.ros:
        return _run_on_graph(args)
    import torch
    from tqdm import tqdm

    from siam_tracker_ros.models.zoo import get_entry

    if args.pysot and (args.targets > 1 or args.device not in ("auto", "cpu")):
        raise BenchCommandError("--pysot compares one target on the CPU: leave out --targets and --device")
    entries = [get_entry(name) for name in args.models] or _distinct_entries()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.pysot:
        from siam_tracker_ros.benchmark.pysot import PysotBaseline

        pysot = PysotBaseline(args.pysot)
        args.device = "cpu"
    else:
        pysot = None
    machine = _describe_machine(args)
    print(f"{machine['processor']}, {machine['device']}, {machine['threads']} threads")
    print(f"PyTorch {machine['torch']}, {machine['precision']}, frames of {machine['size']}, ", end="")
    print(f"{args.targets} target{'s' if args.targets > 1 else ''}, {args.frames} frames each\n")
    rows = []
    for entry in tqdm(entries, disable=not sys.stderr.isatty(), leave=False, unit="model"):
        rows.append(_measure(entry, args, pysot))
    _print_table(rows)
    for row in rows:
        if row["same_network"]:
            print(f"\n{row['model']} stands for {', '.join(row['same_network'])} too: the same network.")
    _write_json(args.json, {"machine": machine, "models": rows})
    return 0


def _write_json(file: Path | None, figures: dict[str, Any]) -> None:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise BenchCommandError(f"cannot write {file}: {error.strerror}") from error


def _run_on_graph(args: argparse.Namespace) -> int:
    """Measure the tracker node; see `add_arguments`."""
    try:
        from siam_tracker_ros.benchmark.graph import measure_graph
    except ImportError as error:
        raise BenchCommandError(f"--ros needs ROS 2 and this package's interfaces: {error}") from error
    from tqdm import tqdm

    if args.pysot or args.targets > 1 or len(args.models) > 1:
        raise BenchCommandError("--ros measures one target of one model: leave out --pysot and --targets")
    parameters = {"device": args.device, "precision": args.precision}
    if args.models:
        parameters["weights"] = args.models[0]
    width, height = args.size
    side = min(width, height) // 6
    box = (width // 2 - side // 2, height // 2 - side // 2, side, side)
    with tqdm(total=args.seconds, disable=not sys.stderr.isatty(), leave=False, unit="s") as bar:

        def progress(now_s: float) -> None:
            bar.update(min(now_s, args.seconds) - bar.n)

        figures = measure_graph(
            _scene(width, height),
            box,
            args.rate,
            args.seconds,
            parameters,
            progress,
        )
    machine = _describe_machine(args)
    print(f"{machine['processor']}, {machine['device']}, {machine['precision']}")
    print(f"{figures.published} images of {machine['size']} in {figures.seconds:.0f} s, ", end="")
    print(f"{figures.tracked} tracked in, {figures.dropped} passed over, {figures.lost} lost\n")
    times = figures.percentiles()
    rows = [[name, f"{p50:.2f} ms", f"{p95:.2f} ms"] for name, (p50, p95) in times.items()]
    print(markdown_table(["time", "p50", "p95"], rows))
    memory = [mib for _, mib in figures.memory]
    slope = figures.memory_slope()
    print(f"\nmemory of the node: {memory[0]:.1f} MiB at the start, {memory[-1]:.1f} MiB at the end", end="")
    print(f" ({slope:+.2f} MiB a minute)")
    report = {
        "images": {name: getattr(figures, name) for name in ("published", "tracked", "dropped", "lost")},
        "seconds": figures.seconds,
        "ms": {name: {"p50": p50, "p95": p95} for name, (p50, p95) in times.items()},
        "memory_mib": {"start": memory[0], "end": memory[-1], "slope_per_minute": slope},
    }
    _write_json(args.json, {"machine": machine, "node": report})
    return 0


def _distinct_entries() -> list[ZooEntry]:
    """The zoo without the entries that differ from an earlier one in tracking constants only."""
    from siam_tracker_ros.models.zoo import ZOO

    by_network: dict[Any, ZooEntry] = {}
    for entry in ZOO.values():
        by_network.setdefault(entry.model, entry)
    return list(by_network.values())


def _describe_machine(args: argparse.Namespace) -> dict[str, Any]:
    import torch

    from siam_tracker_ros.doctor.checks import processor_name
    from siam_tracker_ros.engines.device import resolve_device, resolve_dtype

    device, note = resolve_device(args.device)
    return {
        "processor": processor_name(),
        "device": note,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": str(resolve_dtype(args.precision, device)).removeprefix("torch."),
        "size": "x".join(map(str, args.size)),
    }


def _scene(width: int, height: int) -> np.ndarray:
    """A frame with structure at every scale, the same each time."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    frame = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (4, 16, 64):
        noise = rng.random((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        frame += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(frame * 85, 0, 255).astype(np.uint8)


def _measure(entry: ZooEntry, args: argparse.Namespace, pysot: PysotBaseline | None) -> dict[str, Any]:
    import numpy as np
    import torch

    from siam_tracker_ros.benchmark.timing import time_in_turns
    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.zoo import ZOO
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker

    torch.manual_seed(0)
    network = SiameseNetwork(entry.model).eval()
    tracker = SiamTracker(entry, network, args.device, args.precision)
    width, height = args.size
    frame = _scene(width, height)
    side = min(width, height) / 6
    box = (width / 2 - side / 2, height / 2 - side / 2, side, side)
    targets = [tracker.init(frame, box) for _ in range(args.targets)]
    start = targets[0].box

    def ours() -> None:
        # Random weights would let the box drift, and with it the size of the crop.
        tracker.track(frame, [replace(target) for target in targets], masks=tracker.has_masks)

    calls = [ours]
    if pysot and pysot.has(entry.name):
        theirs = pysot.tracker(entry.name, network)
        theirs.init(frame, list(box))

        def baseline() -> None:
            theirs.center_pos, theirs.size = np.array(start[:2]), np.array(start[2:])
            theirs.longterm_state = False
            theirs.track(frame)

        calls.append(baseline)
    timings = time_in_turns(calls, args.frames, _WARM_UP)
    row: dict[str, Any] = {
        "model": entry.name,
        "same_network": [e.name for e in ZOO.values() if e.model == entry.model and e is not entry],
        "parameters": sum(p.numel() for p in network.parameters()),
        "masks": tracker.has_masks,
        "median_ms": timings[0].median_ms,
        "p99_ms": timings[0].p99_ms,
        "fps": timings[0].fps,
    }
    if len(timings) > 1:
        row["pysot_fps"] = timings[1].fps
        row["ratio"] = timings[1].median_ms / timings[0].median_ms
    return row


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "model": lambda r: r["model"],
        "parameters": lambda r: f"{r['parameters'] / 1e6:.1f} M",
        "median": lambda r: f"{r['median_ms']:.1f} ms",
        "p99": lambda r: f"{r['p99_ms']:.1f} ms",
        "FPS": lambda r: f"{r['fps']:.1f}",
    }
    if any("ratio" in row for row in rows):
        columns["PySOT FPS"] = lambda r: f"{r['pysot_fps']:.1f}" if "ratio" in r else "-"
        columns["ratio"] = lambda r: f"{r['ratio']:.2f}" if "ratio" in r else "-"
    print(markdown_table(list(columns), [[show(row) for show in columns.values()] for row in rows]))
