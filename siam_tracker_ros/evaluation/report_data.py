"""What a report says of each tracker: curves, breakdowns, calibration, speed, and where it went wrong."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation.one_pass_metrics import (
    ERROR_THRESHOLDS,
    IOU_THRESHOLDS,
    NORMALISED_THRESHOLDS,
    center_errors,
    normalised_center_errors,
    overlaps,
    precision_curve,
    success_curve,
)
from siam_tracker_ros.evaluation.results import STARTED, TrackerRun
from siam_tracker_ros.evaluation.scores import (
    SequenceScore,
    boxes_to_compare,
    plain,
    score_one_pass,
    summarise,
)
from siam_tracker_ros.evaluation.sequence import EvaluationSequence

Float = NDArray[np.float64]

FOUND_IOU = 0.5
"""A confidence is taken as the chance that the overlap is above this."""
_CONFIDENCE_BINS = 10
_MOMENT_FRAMES = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """Frames of about one confidence: their mean confidence, and the part of them that was really found."""

    confidence: float
    found: float
    frames: int


@dataclass(frozen=True)
class Moment:
    """A stretch of a sequence in which a tracker did badly: its middle frame and mean overlap."""

    sequence: str
    frame: int
    overlap: float


@dataclass(frozen=True, eq=False)
class TrackerReport:
    """One tracker over all sequences. Curves are means of the sequences', as the benchmarks have them.

    `attributes` holds for each attribute the number of sequences and the mean AUC over them, `latencies_ms`
    all timed frames. `challenge` has VOT's measures by experiment, where they were run, `eao_curves` the
    curves.
    """

    name: str
    sequences: dict[str, SequenceScore]
    means: dict[str, float | None]
    success: Float
    precision: Float
    norm_precision: Float
    attributes: dict[str, tuple[int, float]]
    reliability: list[ReliabilityBin]
    calibration_error: float
    latencies_ms: Float
    moments: list[Moment]
    challenge: dict[str, dict[str, float]]
    eao_curves: dict[str, Float]


def tracker_report(
    name: str,
    runs: Mapping[str, TrackerRun],
    sequences: Mapping[str, EvaluationSequence],
    challenge: Mapping[str, dict[str, float]] | None = None,
    eao_curves: Mapping[str, Float] | None = None,
) -> TrackerReport:
    """Everything that is said of one tracker. Raises EvaluationError where a mask cannot be read."""
    measured = {one: _Measured(sequences[one], run) for one, run in runs.items()}
    scores = {one: score_one_pass(sequences[one], run) for one, run in runs.items()}
    bins = reliability((each.confidences, each.ious) for each in measured.values())
    frames = sum(each.frames for each in bins)
    return TrackerReport(
        name=name,
        sequences=scores,
        means=summarise(scores).means,
        success=_mean_curve(success_curve(each.ious) for each in measured.values()),
        precision=_mean_curve(precision_curve(each.errors) for each in measured.values()),
        norm_precision=_mean_curve(
            precision_curve(each.normalised, NORMALISED_THRESHOLDS) for each in measured.values()
        ),
        attributes=_by_attribute(scores, sequences),
        reliability=bins,
        calibration_error=(
            sum(abs(each.confidence - each.found) * each.frames for each in bins) / frames
            if frames
            else math.nan
        ),
        latencies_ms=np.concatenate([each.seconds for each in measured.values()]) * 1e3,
        moments=sorted(
            (moment for one, each in measured.items() if (moment := worst_moment(one, each.ious))),
            key=lambda moment: moment.overlap,
        ),
        challenge=dict(challenge or {}),
        eao_curves=dict(eao_curves or {}),
    )


class _Measured:
    """A run frame by frame, the first with its box given."""

    def __init__(self, sequence: EvaluationSequence, run: TrackerRun) -> None:
        found, truth = boxes_to_compare(sequence, run)
        self.ious = overlaps(found, truth)
        self.errors = center_errors(found, truth)
        self.normalised = normalised_center_errors(found, truth)
        self.confidences = run.confidences.copy()
        started = np.array([region == STARTED for region in run.regions])
        self.confidences[started] = np.nan
        timed = ~started & (run.seconds > 0)
        self.seconds = run.seconds[timed]


def reliability(runs: Iterable[tuple[Float, Float]], bins: int = _CONFIDENCE_BINS) -> list[ReliabilityBin]:
    """Bins of confidence that have frames, from (confidences, overlaps) of each run.

    A frame whose target is not in view counts as not found; one without a confidence is left out. Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    pairs = list(runs)
    if not pairs:
        return []
    confidences = np.concatenate([confidence for confidence, _ in pairs])
    found = np.concatenate([np.nan_to_num(ious) > FOUND_IOU for _, ious in pairs])
    known = ~np.isnan(confidences)
    confidences, found = confidences[known], found[known]
    index = np.clip((confidences * bins).astype(int), 0, bins - 1)
    return [
        ReliabilityBin(
            float(confidences[index == i].mean()), float(found[index == i].mean()), int((index == i).sum())
        )
        for i in range(bins)
        if (index == i).any()
    ]


def worst_moment(sequence: str, ious: Float, frames: int = _MOMENT_FRAMES) -> Moment | None:
    """The stretch of `frames` frames (all, if there are fewer) of least overlap; None without any overlap."""
    known = np.flatnonzero(~np.isnan(ious))
    if not known.size:
        return None
    width = min(frames, known.size)
    means = np.convolve(ious[known], np.full(width, 1 / width), mode="valid")
    worst = int(np.argmin(means))
    return Moment(sequence, int(known[worst + width // 2]), float(means[worst]))


def report_json(reports: Sequence[TrackerReport]) -> dict[str, Any]:
    """The whole report as plain values, None for what is not a number."""
    content = {
        report.name: {
            "means": report.means,
            "sequences": {name: asdict(score) for name, score in report.sequences.items()},
            "attributes": {
                name: {"sequences": count, "auc": auc} for name, (count, auc) in report.attributes.items()
            },
            "curves": {
                "success": _points(IOU_THRESHOLDS, report.success),
                "precision": _points(ERROR_THRESHOLDS, report.precision),
                "norm_precision": _points(NORMALISED_THRESHOLDS, report.norm_precision),
            },
            "reliability": [asdict(each) for each in report.reliability],
            "calibration_error": report.calibration_error,
            "latency_ms": latency_summary(report.latencies_ms),
            "worst_moments": [asdict(moment) for moment in report.moments],
            "challenge": report.challenge,
        }
        for report in reports
    }
    result: dict[str, Any] = plain(content)
    return result


def report_csv(reports: Sequence[TrackerReport]) -> str:
    """One line for each tracker and sequence, and one for its means, with every score."""
    text = io.StringIO()
    names = list(next(iter(reports)).means)
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["tracker", "sequence", *names])
    for report in reports:
        for sequence, score in report.sequences.items():
            values = asdict(score)
            table.writerow([report.name, sequence, *[_text(values[name]) for name in names]])
        table.writerow([report.name, "mean", *[_text(report.means[name]) for name in names]])
    return text.getvalue()


def latency_summary(latencies_ms: Float) -> dict[str, float]:
    """Median, 95th and 99th percentile in ms; NaN where nothing was timed."""
    if not latencies_ms.size:
        return dict.fromkeys(("p50", "p95", "p99"), math.nan)
    return {f"p{q}": float(np.percentile(latencies_ms, q)) for q in (50, 95, 99)}


def _mean_curve(curves: Iterable[Float]) -> Float:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(list(curves), axis=0))


def _by_attribute(
    scores: Mapping[str, SequenceScore], sequences: Mapping[str, EvaluationSequence]
) -> dict[str, tuple[int, float]]:
    groups: dict[str, list[float]] = {}
    for name, score in scores.items():
        for attribute in sequences[name].attributes:
            groups.setdefault(attribute, []).append(score.auc)
    return {name: (len(aucs), float(np.nanmean(aucs))) for name, aucs in sorted(groups.items())}


def _points(thresholds: Float, values: Float) -> list[list[float]]:
    return [[float(x), float(y)] for x, y in zip(thresholds, values, strict=True)]


def _text(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6f}"
