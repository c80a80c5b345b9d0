"""`siam-tracker report`: what `siam-tracker eval` kept, as one page to read and tables to go on with."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "make a page of kept results: tables, plots, worst moments"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `report`."""
    parser.add_argument(
        "--dataset", type=Path, required=True, metavar="FOLDER", help="folder of the benchmark that was run"
    )
    parser.add_argument("--layout", default="auto", metavar="NAME", help="as for eval")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="what eval was given as --out: every tracker in it is shown",
    )
    parser.add_argument(
        "--tracker", nargs="+", default=[], metavar="FOLDER", help="folders of other trackers' result files"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="report.html, report.json and report.csv go there",
    )
    parser.add_argument("--title", default="Tracker evaluation", help="heading of the page")
    parser.add_argument(
        "--moments", type=int, default=8, metavar="N", help="worst moments of each tracker (default: 8)"
    )
    parser.add_argument(
        "--eao-lengths",
        type=int,
        nargs=2,
        default=(115, 755),
        metavar=("LOW", "HIGH"),
        help="lengths, frames, that the expected average overlap is taken over (default: VOT2020's, 115 755)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the three files, tell where; the exit status."""
    from siam_tracker_ros.evaluation.datasets.benchmarks import read_dataset
    from siam_tracker_ros.evaluation.report import collect, kept_trackers
    from siam_tracker_ros.evaluation.report_clips import moment_clip
    from siam_tracker_ros.evaluation.report_data import report_csv, report_json
    from siam_tracker_ros.evaluation.report_page import report_page
    from siam_tracker_ros.evaluation.sequence import EvaluationError

    dataset = read_dataset(args.dataset, args.layout)
    sources = [*(kept_trackers(args.results) if args.results else []), *map(Path, args.tracker)]
    if not sources:
        raise EvaluationError("nothing to report: give --results (what eval kept) or --tracker folders")
    sequences = {name: read() for name, read in dataset.items()}
    collected = [collect(source, sequences, tuple(args.eao_lengths)) for source in sources]
    reports = [each.report for each in collected]
    clips = {
        each.report.name: [
            moment_clip(moment, sequences[moment.sequence], each.runs[moment.sequence])
            for moment in each.report.moments[: args.moments]
        ]
        for each in collected
    }
    frames = sum(len(sequence.images) for sequence in sequences.values())
    subtitle = f"{args.dataset.name}: {len(sequences)} sequences, {frames} frames"
    args.out.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.html": report_page(reports, clips, args.title, subtitle),
        "report.json": json.dumps(report_json(reports), indent=2) + "\n",
        "report.csv": report_csv(reports),
    }
    for name, text in texts.items():
        (args.out / name).write_text(text, encoding="utf-8")
    print(f"{args.out / 'report.html'}")
    return 0
