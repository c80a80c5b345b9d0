"""Gather what was kept of the trackers for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from siam_tracker_ros.evaluation.challenges import CHALLENGES, challenge_scores
from siam_tracker_ros.evaluation.report_data import TrackerReport, tracker_report
from siam_tracker_ros.evaluation.results import TrackerRun, find_run, read_run
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence


@dataclass(frozen=True, eq=False)
class Collected:
    """A tracker's report and the one-pass runs it was made from, by sequence."""

    report: TrackerReport
    runs: dict[str, TrackerRun]


def kept_trackers(out: Path) -> list[Path]:
    """The folders of trackers in what `siam-tracker eval --out` kept. Raises EvaluationError without any."""
    found = sorted(path for path in (out / "results").glob("*") if path.is_dir())
    if not found:
        raise EvaluationError(f"{out} has no results in it: give what `siam-tracker eval --out` was given")
    return found


def collect(
    folder: Path, sequences: Mapping[str, EvaluationSequence], eao_lengths: tuple[int, int]
) -> Collected:
    """What a tracker's folder holds, kept by us (with a folder for each experiment) or by others (without).

    Sequences without results are left out. Raises EvaluationError where there is not one, or a file is not
    what it should be.
    """
    ope = folder / "ope" if (folder / "ope").is_dir() else folder
    files = {name: find_run(ope, name) for name in sequences}
    runs = {
        name: read_run(path, len(sequences[name].images)) for name, path in files.items() if path is not None
    }
    if not runs:
        raise EvaluationError(f"{folder} has no results for any of {', '.join(list(sequences)[:5])}")
    own = {name: sequences[name] for name in runs}
    challenges = {
        experiment: challenge_scores(experiment, place, own, eao_lengths)
        for experiment in CHALLENGES
        if (place := ope if experiment == "longterm" else folder / experiment).is_dir()
    }
    report = tracker_report(
        folder.name,
        runs,
        own,
        {name: scored.measures for name, scored in challenges.items()},
        {name: scored.eao_curve for name, scored in challenges.items() if scored.eao_curve is not None},
    )
    return Collected(report, runs)
