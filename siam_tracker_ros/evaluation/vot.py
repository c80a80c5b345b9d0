"""The measures of the VOT challenges, from the overlaps of each run.

Supervised (VOT2016 to VOT2019): the tracker is started again five frames after it lost the target; Kristan
et al., "A Novel Performance Evaluation Methodology for Single-Target Trackers", TPAMI 2016. Anchor-based
(VOT2020 on): it starts at every anchor, forward or backward, and is never helped; "The Eighth Visual Object
Tracking VOT2020 Challenge Results", ECCVW 2020, section 2. Long-term: Lukezic et al., "Now You See Me:
Evaluating Performance in Long-Term Visual Tracking", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siam_tracker_ros.errors import SiamTrackerError

Float = NDArray[np.float64]

RESTART_AFTER = 5
"""Frames between a failure and the next start."""
BURN_IN = 10
"""Frames after a start that accuracy leaves out, as they are too easy."""
SENSITIVITY = 30.0
"""How long a stretch, frames, the reliability of the AR plot is the chance of surviving."""
FAILURE_OVERLAP = 0.1
GRACE = 10
"""An anchored run has failed once the overlap was at most FAILURE_OVERLAP for GRACE frames running."""


class NoRunsError(SiamTrackerError, ValueError):
    """Nothing to measure."""


@dataclass(frozen=True)
class SupervisedRun:
    """One run with restarts: overlaps [frames], and in which frames it was started and failed.

    What stands in `overlaps` between a failure and the next start is not looked at.
    """

    overlaps: Float
    starts: tuple[int, ...]
    failures: tuple[int, ...]


@dataclass(frozen=True)
class AnchoredRun:
    """One run from an anchor, in the order in which it was tracked.

    `overlaps` [frames], that of the anchor first; `visible` [frames] tells where the target is in view.
    """

    overlaps: Float
    visible: NDArray[np.bool_]


@dataclass(frozen=True)
class AnchoredSequence:
    """The runs through one sequence of `frames` images."""

    frames: int
    runs: tuple[AnchoredRun, ...]


@dataclass(frozen=True)
class LongTermRun:
    """One long-term run: overlaps and confidences [frames], and where the target is in view.

    A confidence is NaN where the tracker gave none; the overlap is 0 where it reported nothing.
    """

    overlaps: Float
    confidences: Float
    visible: NDArray[np.bool_]


def supervised_accuracy(run: SupervisedRun, burn_in: int = BURN_IN) -> float:
    """Mean overlap of the frames that count; 0 without any."""
    counted = np.ones(len(run.overlaps), dtype=np.bool_)
    for failure in run.failures:
        following = [start for start in run.starts if start > failure]
        counted[failure : min(following, default=len(counted))] = False
    for start in run.starts:
        counted[start : start + burn_in] = False
    return float(run.overlaps[counted].mean()) if counted.any() else 0.0


def reliability(failures: float, frames: float, sensitivity: float = SENSITIVITY) -> float:
    """Chance of tracking on for `sensitivity` frames, by how often it failed: the x axis of the AR plot."""
    return math.exp(-sensitivity * failures / frames)


@dataclass(frozen=True)
class SupervisedScores:
    """Accuracy (mean overlap), robustness (failures a sequence) and reliability, weighted by length."""

    accuracy: float
    robustness: float
    reliability: float


def supervised_scores(runs: Sequence[SupervisedRun]) -> SupervisedScores:
    """Over sequences, one run each, every sequence weighted by its length. Raises NoRunsError."""
    _needs(runs)
    lengths = np.array([len(run.overlaps) for run in runs], dtype=np.float64)
    weights = lengths / lengths.sum()
    accuracy = float(np.dot(weights, [supervised_accuracy(run) for run in runs]))
    failures = float(np.dot(weights, [len(run.failures) for run in runs]))
    return SupervisedScores(accuracy, failures, reliability(failures, float(lengths.mean())))


def supervised_eao_curve(runs: Sequence[SupervisedRun]) -> Float:
    """Expected average overlap by length of the sequence, [frames]; its first value is NaN or means nothing.

    Every stretch from a start counts as a short sequence: one that ended in a failure goes on with overlap 0
    for ever, one that ended with the footage says nothing of lengths beyond its own. Raises NoRunsError.
    """
    _needs(runs)
    stretches: list[tuple[Float, bool]] = []
    for run in runs:
        for index, start in enumerate(run.starts):
            failed = index < len(run.failures)
            stretches.append((run.overlaps[start : run.failures[index] if failed else None], failed))
    longest = max(len(overlaps) for overlaps, _ in stretches)
    total, counted = np.zeros(longest), np.zeros(longest)
    for overlaps, failed in stretches:
        until = longest if failed else len(overlaps)
        total[:until] += _running_means(overlaps, until)
        counted[:until] += 1
    return np.asarray(total / counted)


@dataclass(frozen=True)
class AnchoredScores:
    """Accuracy (mean overlap before failure) and robustness (part of the frames before failure)."""

    accuracy: float
    robustness: float


def anchored_progress(run: AnchoredRun, threshold: float = FAILURE_OVERLAP, grace: int = GRACE) -> int:
    """Frames tracked before the failure, or all of them."""
    low = 0
    for frame, (overlap, visible) in enumerate(zip(run.overlaps, run.visible, strict=True)):
        low = low + 1 if overlap <= threshold and visible else 0
        if low == grace:
            return frame + 1 - grace
    return len(run.overlaps)


def anchored_scores(sequences: Sequence[AnchoredSequence]) -> AnchoredScores:
    """Over sequences: accuracy weighs every tracked frame alike, robustness every sequence by its frames.

    Raises NoRunsError.
    """
    _needs(sequences)
    overlap_sum = tracked_sum = robustness_sum = frame_sum = 0.0
    for sequence in sequences:
        _needs(sequence.runs)
        progress = [anchored_progress(run) for run in sequence.runs]
        tracked_sum += sum(progress)
        overlap_sum += sum(
            float(run.overlaps[:until].sum()) for run, until in zip(sequence.runs, progress, strict=True)
        )
        robustness_sum += sequence.frames * sum(progress) / sum(len(run.overlaps) for run in sequence.runs)
        frame_sum += sequence.frames
    accuracy = overlap_sum / tracked_sum if tracked_sum else 0.0
    return AnchoredScores(accuracy, robustness_sum / frame_sum)


def anchored_eao_curve(sequences: Sequence[AnchoredSequence], length: int) -> Float:
    """Expected average overlap up to `length` frames, [length]; the first value is 0.

    Every run counts alike at each length that it says something of. Raises NoRunsError.
    """
    _needs(sequences)
    total, counted = np.zeros(length), np.zeros(length)
    for sequence in sequences:
        for run in sequence.runs:
            progress = anchored_progress(run)
            failed = progress < len(run.overlaps)
            overlaps = run.overlaps.copy()
            overlaps[progress:] = 0
            until = length if failed else min(length, len(overlaps))
            total[1:until] += _eao_of_anchored(overlaps, until)[1:]
            counted[1:until] += 1
    return np.asarray(np.divide(total, counted, out=np.zeros(length), where=counted > 0))


def eao(curve: ArrayLike, low: int, high: int) -> float:
    """Expected average overlap: mean of the curve over the usual lengths, low to high, both included.

    The lengths belong to a challenge: 108 to 371 in VOT2016, 100 to 356 in VOT2018, 115 to 755 in VOT2020.
    Raises NoRunsError where the curve ends before `low`.
    """
    values = np.asarray(curve, dtype=np.float64)[low : high + 1]
    if not values.size:
        raise NoRunsError(f"no run is long enough for an expected average overlap from {low} frames on")
    return float(values.mean())


@dataclass(frozen=True)
class LongTermScores:
    """Precision, recall and their F at the threshold of confidence where F is greatest."""

    precision: float
    recall: float
    f1: float
    threshold: float


def long_term_scores(runs: Sequence[LongTermRun], resolution: int = 100) -> LongTermScores:
    """Over sequences, one run each, each counting alike. Raises NoRunsError.

    Precision is the mean overlap of the frames reported with at least that confidence, recall that sum over
    the frames in view; both are averaged over sequences at each threshold first.
    """
    _needs(runs)
    thresholds = long_term_thresholds(np.concatenate([run.confidences for run in runs]), resolution)
    precision, recall = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for run in runs:
        reported = run.confidences[None, :] >= thresholds[:, None]
        sums, counts = reported @ run.overlaps, reported.sum(axis=1)
        precision += np.where(counts > 0, sums / np.maximum(counts, 1), 1.0) / len(runs)
        recall += sums / max(int(run.visible.sum()), 1) / len(runs)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    best = int(np.argmax(f1))
    return LongTermScores(float(precision[best]), float(recall[best]), float(f1[best]), thresholds[best])


def long_term_thresholds(confidences: ArrayLike, resolution: int = 100) -> Float:
    """Thresholds from infinity down to minus infinity, `resolution` at most.

    Between them lie as many confidences each as can be.
    """
    values = np.asarray(confidences, dtype=np.float64)
    values = np.sort(values[~np.isnan(values)])[::-1]
    inner = resolution - 2
    if len(values) > inner:
        step = len(values) // inner
        values = values[np.round(np.linspace(step, len(values) - step, num=inner)).astype(int)]
    return np.concatenate([[np.inf], values, [-np.inf]])


def _running_means(overlaps: Float, until: int) -> Float:
    """Mean overlap of frames 1 to n for every n below `until`, 0 from the end of `overlaps` on.

    The start has no part in it, except at n = 0, where it stands for itself.
    """
    padded = np.zeros(until)
    padded[: len(overlaps)] = overlaps[:until]
    sums = np.cumsum(padded) - padded[0]
    sums[0] = padded[0]
    return np.asarray(sums / np.maximum(np.arange(until), 1))


def _eao_of_anchored(overlaps: Float, until: int) -> Float:
    """As `_running_means`; beyond its own end a failed run is divided by one less, as the tool kit does."""
    means = _running_means(overlaps, until)
    beyond = np.arange(len(overlaps), until)
    means[len(overlaps) :] *= beyond / np.maximum(beyond - 1, 1)
    return means


def _needs(runs: Sequence[object]) -> None:
    if not len(runs):
        raise NoRunsError("there is no run to measure")
