"""`siam-tracker calibrate`: how far confidence and LOST can be believed, on labelled footage."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.compute_options import add_compute_options, compute_options

if TYPE_CHECKING:
    from siam_tracker_ros.footage.sequence_folder import LabelledSequence
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker
    from siam_tracker_ros.training.calibration import Observation

HELP = "measure how far confidence and LOST can be believed, and fit them"

_FITTED = ("bias", "score", "margin", "plausibility")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `calibrate`."""
    parser.add_argument("weights", metavar="WEIGHTS", help="weights by name or path")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of labelled sequences that were not trained on (NAME/img, NAME/groundtruth.txt)",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these sequences alone")
    parser.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    add_compute_options(parser)
    parser.add_argument("--starts", type=int, default=4, help="boxes to start on in each (%(default)s)")
    parser.add_argument("--length", type=int, default=90, help="frames tracked from each (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="draw the reliability curve there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")


def run(args: argparse.Namespace) -> int:
    """Observe, print the tables and the fitted constants, draw."""
    from siam_tracker_ros.footage.whole_file import check_output_file, told_of
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker
    from siam_tracker_ros.training.calibration import (
        CalibrationError,
        draw_calibration,
        fit_confidence,
        frames_to_lost,
        lost_rates,
        reliability,
        with_confidence,
    )

    for path in (args.out, args.json):
        if path is not None:
            check_output_file(path)
    tracker = SiamTracker.from_weights(args.weights, model=args.model, **compute_options(args))
    name, grace = tracker.entry.name, frames_to_lost(tracker.entry.tracking)
    _check_length(args, grace)
    sequences = _wanted_sequences(args.data, args.only)
    seen = _observations(tracker, sequences, args)
    print(f"{name} on {tracker.device}: {tracker.device_note}; {tracker.engine_note}", file=sys.stderr)
    if not seen:
        raise CalibrationError(f"{args.data}: no frame could be tracked")

    error = _tell(f"{len(sequences)} sequences, {len(seen)} frames, constants of {name}", seen)
    rates = lost_rates(seen, grace)
    print(
        f"\nCOASTING or LOST while on the target: {rates.false_alarm:.3f} of {rates.on_target_frames} frames"
        "\n"
        f"neither, though the target is gone for {grace} frames or more: {rates.miss:.3f} of "
        f"{rates.gone_frames} frames (not LOST: {rates.miss_lost:.3f})\n"
        f"noticed in {rates.noticed:.2f} of the runs, after {rates.delay:.0f} frames (median)"
    )
    fitted, fitted_error = None, None
    try:
        constants = fit_confidence(seen)
    except CalibrationError as problem:
        print(f"\nno fit: {problem}")
    else:
        fitted = {constant: getattr(constants, constant) for constant in _FITTED}
        fitted_error = _tell("the same frames, constants fitted to them", with_confidence(seen, constants))
        shown = ", ".join(f"{constant}={value:.2f}" for constant, value in fitted.items())
        print(f"\nfitted constants: ConfidenceConfig({shown})")
    if args.out is not None:
        draw_calibration(seen, args.out, f"{name}, {len(sequences)} sequences, {len(seen)} frames")
        print(args.out)
    if args.json is not None:
        content = {
            "entry": name,
            "sequences": [sequence.name for sequence in sequences],
            "frames": len(seen),
            "reliability": [dataclasses.asdict(b) for b in reliability(seen)],
            "calibration_error": error,
            "lost": dataclasses.asdict(rates),
            "fitted": fitted,
            "fitted_calibration_error": fitted_error,
        }
        with told_of(args.json):
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _check_length(args: argparse.Namespace, grace: int) -> None:
    from siam_tracker_ros.training.calibration import PRESENT_FRAMES, CalibrationError

    least = PRESENT_FRAMES + grace + 1
    if args.starts < 1 or args.length < least:
        raise CalibrationError(
            f"--starts has to be 1 at least, --length {least}: {PRESENT_FRAMES} frames with the target and "
            f"{grace} until LOST"
        )


def _wanted_sequences(folder: Path, only: Sequence[str] | None) -> list[LabelledSequence]:
    from siam_tracker_ros.footage.sequence_folder import read_sequence, sequence_folders
    from siam_tracker_ros.training.calibration import CalibrationError

    sequences = [read_sequence(path) for path in sequence_folders(folder)]
    unknown = set(only or ()) - {sequence.name for sequence in sequences}
    if unknown:
        raise CalibrationError(f"{folder} has no sequence called {', '.join(sorted(unknown))}")
    return [sequence for sequence in sequences if not only or sequence.name in only]


def _observations(
    tracker: SiamTracker, sequences: Sequence[LabelledSequence], args: argparse.Namespace
) -> list[Observation]:
    from tqdm import tqdm

    from siam_tracker_ros.training.calibration import observe

    seen: list[Observation] = []
    with tqdm(unit="frame", disable=None) as bar:
        for sequence in sequences:
            seen += observe(tracker, sequence, args.starts, args.length, bar.update)
    return seen


def _tell(what: str, observations: Sequence[Observation]) -> float:
    """Print the reliability of confidences; the expected calibration error."""
    from siam_tracker_ros.training.calibration import calibration_error, reliability

    bins = reliability(observations)
    error = calibration_error(bins)
    print(f"\n{what}: expected calibration error {error:.3f}\nconfidence    frames  mean  on target")
    for b in bins:
        print(f"{b.low:.1f} to {b.high:.1f}  {b.frames:8d}  {b.mean:.2f}  {b.on_target:9.2f}")
    return error
