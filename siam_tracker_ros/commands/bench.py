"""`siam-tracker bench`: speed, memory and energy on this machine, or the tracker node on a ROS 2 graph."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.engines.names import ENGINES, PRECISIONS
from siam_tracker_ros.errors import SiamTrackerError

if TYPE_CHECKING:
    from siam_tracker_ros.benchmark.configuration import Configuration
    from siam_tracker_ros.benchmark.measurement import Run

HELP = "measure speed, memory and energy on this machine, alone or beside PySOT's and OpenCV's trackers"

# Without auto, which stands for one of them.
_ENGINES, _PRECISIONS = ENGINES[1:], PRECISIONS[1:]
_DEFAULT_SECONDS, _DEFAULT_GRAPH_SECONDS = 5.0, 20.0


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


def _engine(text: str) -> str:
    engine, colon, precision = text.partition(":")
    if engine not in (*ENGINES, "all") or (colon and precision not in PRECISIONS):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no engine: {', '.join(ENGINES)}, or all; openvino:bf16 adds a precision"
        )
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bench`."""
    parser.description = (
        "Time whole track() calls: crop, network, decoding and, where the model has them, the mask and "
        "rotated box. Weights are random, as speed does not depend on them. Every combination of what is "
        "listed is measured in a process of its own; what this machine cannot do is listed with its reason."
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="zoo entries; without any, every distinct network"
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "--engines",
        nargs="+",
        type=_engine,
        metavar="E",
        help=f"{', '.join(_ENGINES)}, auto (the fastest here), or all; openvino:bf16 takes this precision "
        "alone (default torch; with --ros what the node itself chooses)",
    )
    what.add_argument(
        "--precisions",
        nargs="+",
        choices=(*PRECISIONS, "all"),
        default=["auto"],
        metavar="P",
        help=f"{', '.join(_PRECISIONS)}, auto (the engine's fastest on this device), or all (default auto)",
    )
    what.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        default=[(640, 480)],
        metavar="WxH",
        help="of the frame (default 640x480)",
    )
    what.add_argument(
        "--targets",
        nargs="+",
        type=_count,
        default=[1],
        metavar="N",
        help="numbers of targets tracked at once (default 1)",
    )
    what.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    what.add_argument("--threads", type=_count, help="CPU threads (default: what each engine chooses)")
    what.add_argument(
        "--frames", type=_count, default=100, help="timed frames of each, at most (default 100)"
    )
    what.add_argument(
        "--seconds",
        type=_seconds,
        help=f"time for each row, at most, beyond five frames (default {_DEFAULT_SECONDS:g}); with --ros "
        f"all of it (default {_DEFAULT_GRAPH_SECONDS:g})",
    )
    what.add_argument(
        "--roofline",
        action="store_true",
        help="measure what the device can compute and move, and say how near each row comes to it",
    )
    what.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="keep there what engines make of networks, for the next time (default: nowhere)",
    )
    beside = parser.add_argument_group("side by side, in one process, frame by frame")
    beside.add_argument(
        "--turns",
        action="store_true",
        help="let engines and precisions of a model take turns, so that what slows the machine slows all",
    )
    beside.add_argument(
        "--pysot",
        type=Path,
        metavar="FOLDER",
        help="a PySOT checkout: its tracker takes turns with ours, same weights; ratios of their times",
    )
    beside.add_argument(
        "--opencv",
        nargs="+",
        default=[],
        metavar="T",
        help="OpenCV's trackers take turns with ours: csrt, kcf, mil, or nano=FOLDER (of its two models)",
    )
    beside.add_argument(
        "--scores",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="what `siam-tracker eval --json` wrote: mean IoU beside the speed of each tracker in it; a file "
        "called MODEL-openvino-int8.json is of that row alone",
    )
    output = parser.add_argument_group("output, besides the Markdown on stdout")
    output.add_argument("--json", type=Path, metavar="FILE", help="store the run")
    output.add_argument("--markdown", type=Path, metavar="FILE", help="write the Markdown there too")
    output.add_argument("--compare", type=Path, metavar="FILE", help="set a stored run beside this one")
    output.add_argument("--figure", type=Path, metavar="FILE", help="draw the cost against --targets")
    output.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="what PyTorch's profiler sees of one frame of the only row, for Perfetto",
    )
    output.add_argument("--show", type=Path, metavar="FILE", help="measure nothing: print a stored run")
    graph = parser.add_argument_group("the nodes on a ROS 2 graph")
    graph.add_argument(
        "--ros",
        action="store_true",
        help="run a camera and the tracker node, with its default weights or those named as MODEL, and "
        "listen to it: from the camera's stamp of an image to its tracks in another process, by stage",
    )
    graph.add_argument(
        "--rates",
        nargs="+",
        type=_seconds,
        default=[30.0],
        metavar="HZ",
        help="images/s with --ros (default 30)",
    )
    graph.add_argument(
        "--composed", action="store_true", help="with --ros, camera and node in one process too"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print Markdown; see `add_arguments`."""
    if args.ros:
        return _run_on_graph(args)
    from dataclasses import replace

    from siam_tracker_ros.benchmark.comparison import comparison_markdown
    from siam_tracker_ros.benchmark.measurement import read_run
    from siam_tracker_ros.benchmark.scores import read_scores
    from siam_tracker_ros.benchmark.tables import run_markdown
    from siam_tracker_ros.footage.whole_file import check_output_file, check_picture_file, write_whole

    # What cannot be read or written is said before minutes are spent.
    for file in filter(None, (args.json, args.markdown, args.trace)):
        check_output_file(file)
    if args.figure:
        check_picture_file(args.figure)
    before = read_run(args.compare) if args.compare else None
    scores = read_scores(args.scores)
    measured = read_run(args.show) if args.show else _measure(args)
    measured = replace(measured, scores={**measured.scores, **scores})
    text = run_markdown(measured)
    if before is not None:
        text += "\n\n" + comparison_markdown(measured, before)
    print(text)
    if args.json:
        write_whole(args.json, measured.to_json())
    if args.markdown:
        write_whole(args.markdown, text + "\n")
    if args.figure:
        from siam_tracker_ros.benchmark.targets_figure import draw_cost_by_targets

        draw_cost_by_targets(measured, args.figure)
    if measured.unfinished and not args.show:
        raise KeyboardInterrupt
    return 0 if measured.measurements else 1


def _measure(args: argparse.Namespace) -> Run:
    from tqdm import tqdm

    from siam_tracker_ros.benchmark.bench_run import carry_out_all, make_jobs
    from siam_tracker_ros.benchmark.job import Job
    from siam_tracker_ros.engines.device import resolve_device

    if args.figure and len(set(args.targets)) < 2:
        raise BenchCommandError("--figure shows several numbers of targets: give --targets 1 2 4 8 16")
    device = str(resolve_device(args.device)[0])
    turns = bool(args.turns or args.pysot or args.opencv)
    configurations = _configurations(args, device)
    if args.trace and len(configurations) > 1:
        raise BenchCommandError(
            f"--trace is of one row: name one model, engine, precision, size and number of targets, not "
            f"{len(configurations)} rows"
        )
    how = Job(
        configurations,
        args.frames,
        args.seconds or _DEFAULT_SECONDS,
        args.threads or 0,
        str(args.pysot.absolute()) if args.pysot else "",
        args.roofline,
        str(args.trace.absolute()) if args.trace else "",
    )
    jobs = make_jobs(configurations, turns, how)
    cache = args.cache.absolute() if args.cache else None
    with tqdm(total=len(jobs), disable=not sys.stderr.isatty(), leave=False, unit="row") as bar:
        return carry_out_all(jobs, device, turns, cache, lambda _: bar.update())


def _configurations(args: argparse.Namespace, device: str) -> list[Configuration]:
    from siam_tracker_ros.benchmark.bench_run import distinct_entries
    from siam_tracker_ros.benchmark.configuration import OPENCV, PYSOT, Matrix, runners
    from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
    from siam_tracker_ros.models.zoo import get_entry

    models = [get_entry(name).name for name in dict.fromkeys(args.models)]
    named = args.engines or ["torch"]
    engines = list(_ENGINES) if "all" in named else named
    precisions = list(_PRECISIONS) if "all" in args.precisions else args.precisions
    ran = runners(engines, precisions)
    if args.pysot:
        from siam_tracker_ros.benchmark.pysot import PysotBaseline

        pysot = PysotBaseline(args.pysot)
        models = models or [entry.name for entry in distinct_entries() if pysot.has(entry.name)]
        ran = [(PYSOT, "fp32"), *ran]
    if args.opencv:
        models = models or [DEFAULT_WEIGHTS]
    models = models or [entry.name for entry in distinct_entries()]
    sizes, targets = list(dict.fromkeys(args.sizes)), sorted(set(args.targets))
    found = Matrix(models, ran, device, sizes, targets).configurations()
    others = [f"opencv:{name.removeprefix('opencv:')}" for name in dict.fromkeys(args.opencv)]
    return found + Matrix(others, [(OPENCV, "fp32")], device, sizes, targets).configurations()


def _run_on_graph(args: argparse.Namespace) -> int:
    """Measure the tracker node; see `add_arguments`."""
    try:
        from siam_tracker_ros.benchmark.graph import GraphRun, measure_graph
    except ImportError as error:
        raise BenchCommandError(f"--ros needs ROS 2 and this package's interfaces: {error}") from error
    from itertools import product

    from tqdm import tqdm

    from siam_tracker_ros.benchmark.graph_report import graph_markdown, graph_run
    from siam_tracker_ros.benchmark.machine import this_machine
    from siam_tracker_ros.bringup.own_domain import own_domain
    from siam_tracker_ros.footage.whole_file import check_output_file, write_whole

    parameters = _node_parameters(args)
    if args.json:
        check_output_file(args.json)
    seconds = args.seconds or _DEFAULT_GRAPH_SECONDS
    kinds = (False, True) if args.composed else (False,)
    runs = [
        GraphRun(width, height, rate, composed)
        for (width, height), rate, composed in product(args.sizes, args.rates, kinds)
    ]
    measured = []
    with own_domain(), tqdm(runs, disable=not sys.stderr.isatty(), leave=False, unit="row") as bar:
        for run in bar:
            measured.append(measure_graph(run, seconds, parameters))
    stored = graph_run(this_machine(), measured)
    print(graph_markdown(stored))
    if args.json:
        write_whole(args.json, json.dumps(stored, indent=2) + "\n")
    return 0


def _node_parameters(args: argparse.Namespace) -> dict[str, bool | int | float | str]:
    """The tracker node's; what is not given is as its own defaults have it."""
    if (
        args.pysot
        or args.opencv
        or args.turns
        or len(args.models) > 1
        or len(args.engines or ()) > 1
        or len(args.precisions) > 1
        or "all" in (*(args.engines or ()), *args.precisions)
        or args.targets != [1]
    ):
        raise BenchCommandError(
            "--ros measures one target of one model in one engine: leave out --pysot, --opencv, --turns, "
            "--targets and lists"
        )
    engine, colon, precision = (args.engines or ["auto"])[0].partition(":")
    parameters: dict[str, bool | int | float | str] = {
        "device": args.device,
        "engine": engine,
        "precision": precision if colon else args.precisions[0],
    }
    if args.models:
        parameters["weights"] = args.models[0]
    return parameters
