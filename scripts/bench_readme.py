"""Measure what README says of speed, and write it there.

usage: bench_readme.py [--pysot FOLDER] [--nano FOLDER] [--scores FILE ...] [--gpu] [--only NAME ...]
       bench_readme.py --render

Each run of `siam-tracker bench` is stored in docs/bench/NAME.json; README's block NAME, between its markers,
is that run as the command prints it, and the columns of frame rates in the table of models come from the runs
`models` and `pysot`. Ten minutes on two idle cores. --gpu makes the runs of a GPU instead. --render measures
nothing: it writes README from what is stored.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from siam_tracker_ros.benchmark.bench_run import distinct_entries
from siam_tracker_ros.benchmark.graph_report import Stored, graph_markdown, read_graph_run
from siam_tracker_ros.benchmark.measurement import Run, read_run
from siam_tracker_ros.benchmark.tables import run_markdown, runner_of
from siam_tracker_ros.cli import main as siam_tracker
from siam_tracker_ros.footage.whole_file import write_whole
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
STORED = ROOT / "docs" / "bench"
FIGURES = {name: f"docs/bench/{name}.svg" for name in ("targets", "gpu_targets")}
BLOCK = re.compile(r"(<!-- bench (\w+) -->\n).*?(<!-- end of bench -->)", re.DOTALL)
# The table of models is known by this column, and has the frame rates after it.
COST = "MACs a frame"
RATES = ("torch fp32", "openvino bf16")
GRAPH = "graph"

GPU_ENGINES = ["torch:fp16", "torch:fp32", "tensorrt:fp16"]
ENGINES = ["torch:fp32", "openvino:fp32", "openvino:bf16", "openvino:int8"]
PYSOT_MODELS = [
    "siamrpn_r50_l234_dwxcorr",
    "siamrpn_mobilev2_l234_dwxcorr",
    "siamrpn_alex_dwxcorr",
    "siammask_r50_l3",
]


def commands(pysot: Path | None, nano: Path | None, scores: Sequence[Path]) -> dict[str, list[str]]:
    """The arguments of `siam-tracker bench` for each run that can be made with what there is."""
    found = {
        "default": [
            DEFAULT_WEIGHTS, "--engines", *ENGINES, "--frames", "200", "--seconds", "20", "--opencv", "csrt",
            *([f"nano={nano}"] if nano else []), *(["--scores", *map(str, scores)] if scores else []),
        ],
        "matrix": [
            DEFAULT_WEIGHTS, "--engines", "torch:fp32", "openvino:bf16", "openvino:int8",
            "--sizes", "640x480", "1920x1080", "--seconds", "3",
        ],
        "targets": [
            DEFAULT_WEIGHTS, "--engines", "torch:fp32", "openvino:bf16", "openvino:int8",
            "--targets", "1", "2", "4", "8", "16", "--seconds", "2",
            "--figure", str(ROOT / FIGURES["targets"]),
        ],
        GRAPH: [
            "--ros", "--composed", "--seconds", "10",
            "--sizes", "640x480", "1920x1080", "--rates", "30", "60",
        ],
        "models": [
            *(entry.name for entry in distinct_entries() if not pysot or entry.name not in PYSOT_MODELS),
            "--turns", "--engines", "torch:fp32", "openvino:bf16", "--frames", "30", "--seconds", "2",
        ],
    }  # fmt: skip
    if pysot:
        found["pysot"] = [
            *PYSOT_MODELS, "--pysot", str(pysot), "--engines", "torch:fp32", "openvino:bf16", "openvino:int8",
            "--seconds", "10",
        ]  # fmt: skip
    return found


def gpu_commands(pysot: Path | None) -> dict[str, list[str]]:
    """The same for a GPU."""
    on_gpu = ["--device", "cuda", "--frames", "300", "--roofline", "--engines", *GPU_ENGINES]
    found = {
        "gpu_matrix": [DEFAULT_WEIGHTS, *PYSOT_MODELS, *on_gpu],
        "gpu_targets": [
            DEFAULT_WEIGHTS, "siamrpn_r50_l234_dwxcorr", *on_gpu,
            "--targets", "1", "2", "4", "8", "16", "--figure", str(ROOT / FIGURES["gpu_targets"]),
        ],
    }  # fmt: skip
    if pysot:
        found["gpu_pysot"] = [*PYSOT_MODELS, "--pysot", str(pysot), *on_gpu]
    return found


def measure(name: str, arguments: Sequence[str], cache: str) -> None:
    """Make a run and store it."""
    print(f"\n# siam-tracker bench {' '.join(arguments)}\n", flush=True)
    status = siam_tracker(["bench", *arguments, "--cache", cache, "--json", str(STORED / f"{name}.json")])
    if status:
        sys.exit(status)


def render(readme: str, runs: Mapping[str, Run | Stored]) -> str:
    """README with the blocks and the columns that `runs` give; what has no run stays as it is."""

    def block(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in runs:
            return match[0]
        run = runs[name]
        text = run_markdown(run, details=False) if isinstance(run, Run) else graph_markdown(run)
        if name in FIGURES:
            text += f"\n\n![time of a frame, and time a target, by number of targets]({FIGURES[name]})"
        return f"{begin}\n{text}\n\n{end}"

    readme = BLOCK.sub(block, readme)
    found = [run for name in ("models", "pysot") if isinstance(run := runs.get(name), Run)]
    return with_frame_rates(readme, found) if found else readme


def with_frame_rates(readme: str, runs: Sequence[Run]) -> str:
    """README with a column of frame rates for each of `RATES`."""
    rates: dict[str, dict[str, str]] = {f"FPS, {runner}": {} for runner in RATES}
    for run in runs:
        for each in run.measurements:
            model = each.configuration.model
            for name in (model, *run.stands_for.get(model, ())):
                rates.get(f"FPS, {runner_of(each)}", {}).setdefault(name, f"{each.fps:.1f}")
    lines = readme.split("\n")
    head = next(i for i, line in enumerate(lines) if line.startswith("|") and f"| {COST} |" in line)
    columns = _cells(lines[head])
    kept = [i for i, column in enumerate(columns) if not column.startswith("FPS, ")]
    place = kept.index(columns.index(COST)) + 1
    for number in range(head, len(lines)):
        if not lines[number].startswith("|"):
            break
        cells = _cells(lines[number])
        name = cells[0].strip("`")
        if number == head:
            added = list(rates)
        elif number == head + 1:
            added = ["---"] * len(rates)
        else:
            added = [rates[column].get(name, "") for column in rates]
        cells = [cells[i] for i in kept]
        cells[place:place] = added
        line = "|".join(f" {cell} " if number != head + 1 else cell for cell in cells)
        lines[number] = f"|{line}|"
    return "\n".join(lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def stored_runs() -> dict[str, Run | Stored]:
    """What is stored, by name."""
    return {
        path.stem: read_graph_run(path) if path.stem == GRAPH else read_run(path)
        for path in sorted(STORED.glob("*.json"))
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pysot", type=Path, metavar="FOLDER", help="a PySOT checkout")
    parser.add_argument("--nano", type=Path, metavar="FOLDER", help="the two models of OpenCV's TrackerNano")
    parser.add_argument(
        "--scores", nargs="+", type=Path, default=[], metavar="FILE", help="of siam-tracker eval --json"
    )
    parser.add_argument("--gpu", action="store_true", help="the runs of a GPU")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these runs alone")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.render:
        of_cpu = commands(args.pysot, args.nano, args.scores)
        with tempfile.TemporaryDirectory(prefix="bench_readme_") as cache:
            for name, arguments in (gpu_commands(args.pysot) if args.gpu else of_cpu).items():
                if not args.only or name in args.only:
                    measure(name, arguments, cache)
    write_whole(README, render(README.read_text(encoding="utf-8"), stored_runs()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
