"""`siam-tracker eval`: measure a tracker on labelled sequences, one pass from the first box, no resets."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HELP = "measure a tracker on labelled sequences"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `eval`."""
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of sequences: NAME/img/*.jpg, NAME/groundtruth.txt (x,y,w,h a line), "
        "NAME/mask/*.png where there are masks",
    )
    parser.add_argument("--weights", required=True, metavar="NAME|PATH", help="weights by name or path")
    parser.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--long-term",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="search further and further once the target is lost (default: as the model says)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores there")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these sequences alone")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write the JSON; the exit status."""
    from tqdm import tqdm

    from siam_tracker_ros.evaluation.one_pass import EvaluationError, evaluate_sequence, summarise, table
    from siam_tracker_ros.footage.sequence_folder import read_sequences
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker

    sequences = read_sequences(args.dataset)
    if args.only:
        unknown = set(args.only) - {sequence.name for sequence in sequences}
        if unknown:
            raise EvaluationError(f"{args.dataset} has no sequence called {', '.join(sorted(unknown))}")
        sequences = [sequence for sequence in sequences if sequence.name in args.only]
    tracker = SiamTracker.from_weights(
        args.weights, model=args.model, device=args.device, long_term=args.long_term
    )
    print(f"{tracker.entry.name} on {tracker.device}: {tracker.device_note}", file=sys.stderr)
    scores = {}
    for sequence in tqdm(sequences, unit="sequence", disable=None):
        scores[sequence.name] = evaluate_sequence(tracker, sequence)
    evaluation = summarise(scores)
    print(table(evaluation))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(evaluation.to_json(), indent=2) + "\n", encoding="utf-8")
    return 0
