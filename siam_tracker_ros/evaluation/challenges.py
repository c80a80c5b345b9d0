"""VOT's measures of the runs that are kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation import experiments, vot
from siam_tracker_ros.evaluation.results import read_one_pass, read_run, run_file
from siam_tracker_ros.evaluation.scores import anchored_run, long_term_run, supervised_run
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence

CHALLENGES = ("supervised", "anchored", "longterm")
VOT2020_LENGTHS = (115, 755)


@dataclass(frozen=True, eq=False)
class ChallengeScores:
    """Measures by name, and the curve of expected average overlap, [frames], where there is one."""

    measures: dict[str, float]
    eao_curve: NDArray[np.float64] | None = None


def kept_runs(experiment: str, folder: Path, sequence: EvaluationSequence) -> list[Path]:
    """Where a sequence's runs of an experiment are, or would be kept: one, or one for every anchor.

    As the VOT tool kit calls them: after the number of the run, or the frame of the anchor.
    """
    if experiment != "anchored":
        return [run_file(folder, sequence.name)]
    return [
        folder / sequence.name / f"{sequence.name}_{abs(anchor):08d}.txt"
        for anchor in experiments.anchors_of(sequence)
    ]


def challenge_scores(
    experiment: str,
    folder: Path,
    sequences: Mapping[str, EvaluationSequence],
    lengths: tuple[int, int] = VOT2020_LENGTHS,
) -> ChallengeScores:
    """The measures of `supervised`, `anchored` or `longterm` runs in a folder, over `sequences`.

    `lengths` are those that the expected average overlap is taken over, frames; it is NaN where no run is so
    long. Raises EvaluationError where a run is missing.
    """
    if experiment == "longterm":
        long = vot.long_term_scores(
            [long_term_run(one, read_one_pass(folder, one)) for one in sequences.values()]
        )
        return ChallengeScores({"precision": long.precision, "recall": long.recall, "f1": long.f1})
    if experiment == "supervised":
        runs = [supervised_run(one, read_one_pass(folder, one)) for one in sequences.values()]
        found = vot.supervised_scores(runs)
        curve = vot.supervised_eao_curve(runs)
        measures = {
            "accuracy": found.accuracy,
            "robustness": found.robustness,
            "reliability": found.reliability,
        }
    else:
        anchored = [_anchored(folder, one) for one in sequences.values()]
        scored = vot.anchored_scores(anchored)
        curve = vot.anchored_eao_curve(anchored, lengths[1] + 1)
        measures = {"accuracy": scored.accuracy, "robustness": scored.robustness}
    try:
        measures["eao"] = vot.eao(curve, *lengths)
    except vot.NoRunsError:
        measures["eao"] = float("nan")
    return ChallengeScores(measures, curve)


def _anchored(folder: Path, sequence: EvaluationSequence) -> vot.AnchoredSequence:
    frames = len(sequence.images)
    runs = []
    files = kept_runs("anchored", folder, sequence)
    for anchor, path in zip(experiments.anchors_of(sequence), files, strict=True):
        if not path.is_file():
            raise EvaluationError(f"{folder} has no run of {sequence.name} from frame {abs(anchor)}")
        seen = experiments.frames_from(anchor, frames)
        runs.append(anchored_run(sequence, read_run(path, len(seen)), seen))
    return vot.AnchoredSequence(frames, tuple(runs))
