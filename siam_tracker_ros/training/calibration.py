"""How far confidence and LOST can be believed: on footage as it is, and with the target painted out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.sequence_folder import LabelledSequence
from siam_tracker_ros.footage.whole_file import Unfinished
from siam_tracker_ros.models.config import ConfidenceConfig, TrackingConfig
from siam_tracker_ros.tracking.boxes import Box, box_iou
from siam_tracker_ros.tracking.confidence import Evidence, confidence
from siam_tracker_ros.tracking.siam_tracker import NOMINAL_FRAME_S, SiamTracker
from siam_tracker_ros.tracking.state import TrackState
from siam_tracker_ros.training.paint_out import painted_out

Float64 = NDArray[np.float64]

ON_TARGET_IOU, OFF_TARGET_IOU = 0.3, 0.1
"""Above the first a frame counts as on the target, below the other as off it; between, it is not judged."""
PRESENT_FRAMES = 6
"""Frames a target is tracked in before it is painted out."""
_LOST = (TrackState.COASTING, TrackState.LOST)


class CalibrationError(SiamTrackerError, ValueError):
    """Footage from which nothing can be told about confidence."""


@dataclass(frozen=True)
class Observation:
    """One tracked frame: IoU with the truth (NaN: target painted out), and what the tracker said.

    `gone_for` counts the frames since the target was painted out, 0 on the first of them, -1 before.
    """

    sequence: str
    iou: float
    gone_for: int
    confidence: float
    evidence: Evidence | None
    state: TrackState

    @property
    def on_target(self) -> bool | None:
        """Whether the box is on the target; None where that is not judged."""
        if self.gone_for >= 0 or self.iou < OFF_TARGET_IOU:
            return False
        return True if self.iou > ON_TARGET_IOU else None


def frames_to_lost(config: TrackingConfig) -> int:
    """Frames, at the tracker's nominal rate, from the first low signal to LOST."""
    return int((config.loss.after_s + config.loss.coast_s) / NOMINAL_FRAME_S) + 2


def _is_box(box: Box) -> bool:
    return bool(np.isfinite(box).all()) and min(box.w, box.h) > 1


def observe(
    tracker: SiamTracker,
    sequence: LabelledSequence,
    starts: int,
    length: int,
    progress: Callable[[], object] = lambda: None,
) -> list[Observation]:
    """Track `sequence` from `starts` of its boxes, each for `length` frames at most, with and without target.

    Frames that cannot be read end a run. `progress` is called for each frame.
    """
    labelled = [n for n, box in enumerate(sequence.boxes) if _is_box(box)]
    last = max(len(sequence.images) - length, 0)
    wanted = np.unique(np.linspace(0, last, starts).astype(int))
    seen: list[Observation] = []
    for start in sorted({next((n for n in labelled if n >= at), -1) for at in wanted} - {-1}):
        for removed in (False, True):
            target = None
            for number in range(start, min(start + length, len(sequence.images))):
                frame = cv2.imread(str(sequence.images[number]), cv2.IMREAD_COLOR)
                if frame is None:
                    break
                progress()
                box, gone_for = sequence.boxes[number], -1
                if removed and number - start >= PRESENT_FRAMES:
                    gone_for = number - start - PRESENT_FRAMES
                    if not _is_box(box):
                        break
                    frame = painted_out(np.asarray(frame, np.uint8), box)
                if target is None:
                    target = tracker.init(np.asarray(frame, np.uint8), box)
                    continue
                (result,) = tracker.track(np.asarray(frame, np.uint8), [target])
                if gone_for < 0 and not _is_box(box):
                    continue
                iou = box_iou(result.box, box) if gone_for < 0 else float("nan")
                seen.append(
                    Observation(
                        sequence.name, iou, gone_for, result.confidence, result.evidence, result.state
                    )
                )
    return seen


@dataclass(frozen=True)
class Bin:
    """Frames whose confidence lies in [low, high): how many, their mean, and the part that is on target."""

    low: float
    high: float
    frames: int
    mean: float
    on_target: float


@dataclass(frozen=True)
class LostRates:
    """How far COASTING and LOST can be believed, as parts of frames.

    `false_alarm`: lost, though the box is on the target. `miss`: not lost, though the target has been gone
    for at least `grace` frames, the time it takes; `miss_lost` counts LOST alone as lost. `delay`: median
    number of frames until COASTING or LOST, of the runs that got there; `noticed`: the part of the runs that
    did.
    """

    false_alarm: float
    on_target_frames: int
    miss: float
    miss_lost: float
    gone_frames: int
    grace: int
    delay: float
    noticed: float


def reliability(
    observations: Sequence[Observation], edges: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)
) -> list[Bin]:
    """Bins of confidence over the judged frames; empty ones have NaN."""
    judged = [o for o in observations if o.on_target is not None]
    sure = np.array([o.confidence for o in judged])
    right = np.array([bool(o.on_target) for o in judged])
    bins = []
    for low, high in pairwise(edges):
        inside = (sure >= low) & ((sure < high) | (high == edges[-1]))
        count = int(inside.sum())
        mean, share = (float(v[inside].mean()) if count else float("nan") for v in (sure, right))
        bins.append(Bin(low, high, count, mean, share))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean distance of confidence from truth, bins weighing by frames."""
    filled = [b for b in bins if b.frames]
    total = sum(b.frames for b in filled)
    return sum(b.frames * abs(b.mean - b.on_target) for b in filled) / total if total else float("nan")


def lost_rates(observations: Sequence[Observation], grace: int) -> LostRates:
    """Rates over frames on target, and over frames whose target is gone for `grace` frames or more."""
    on = [o for o in observations if o.on_target]
    gone = [o for o in observations if o.gone_for >= grace]
    delays, runs, noticed = [], 0, False
    for o in observations:
        if o.gone_for == 0:
            runs, noticed = runs + 1, False
        if o.gone_for >= 0 and not noticed and o.state in _LOST:
            noticed = True
            delays.append(o.gone_for)
    return LostRates(
        _share([o.state in _LOST for o in on]),
        len(on),
        _share([o.state not in _LOST for o in gone]),
        _share([o.state != TrackState.LOST for o in gone]),
        len(gone),
        grace,
        float(np.median(delays)) if delays else float("nan"),
        len(delays) / runs if runs else float("nan"),
    )


def _share(values: list[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _features(observations: Sequence[Observation]) -> Float64:
    return np.array(
        [[1.0, e.score_logit, e.margin, e.plausibility] for o in observations if (e := o.evidence)]
    )


def fit_confidence(observations: Sequence[Observation], ridge: float = 1e-3) -> ConfidenceConfig:
    """Logistic fit of "the box is on the target" to the evidence, each sequence weighing alike.

    Newton's method with a little weight decay. Raises CalibrationError where all frames are of one kind.
    """
    judged = [o for o in observations if o.on_target is not None and o.evidence is not None]
    truth = np.array([float(bool(o.on_target)) for o in judged])
    if not len(judged) or truth.min() == truth.max():
        raise CalibrationError("a fit needs frames on the target and frames off it; here is one kind alone")
    names = [o.sequence for o in judged]
    weights = np.array([1 / names.count(name) for name in names]) / len(set(names))
    x, values = _features(judged), np.zeros(4)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ values, -30, 30)))
        gradient = x.T @ (weights * (p - truth)) + ridge * values
        curvature = (x * (weights * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ x + ridge * np.eye(4)
        step = np.linalg.solve(curvature, gradient)
        # Steps are bounded: far from the minimum a full one may leap over it.
        values -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    bias, score, margin, plausibility = map(float, values)
    return ConfidenceConfig(bias=bias, score=score, margin=margin, plausibility=plausibility)


def with_confidence(observations: Sequence[Observation], constants: ConfidenceConfig) -> list[Observation]:
    """The same frames with the confidence that other constants give their evidence; states stay."""
    return [
        dataclasses.replace(o, confidence=confidence(o.evidence, constants)) if o.evidence else o
        for o in observations
    ]


def draw_calibration(observations: Sequence[Observation], path: Path, title: str) -> None:
    """The reliability curve, and confidence after the target is gone, as a PNG. Raises OutputError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    curve, after = figure.subplots(1, 2)
    bins = [b for b in reliability(observations, tuple(np.linspace(0, 1, 11))) if b.frames]
    curve.plot([0, 1], [0, 1], color="0.7", lw=1)
    curve.plot([b.mean for b in bins], [b.on_target for b in bins], "o-")
    for b in bins:
        place = (b.mean, b.on_target)
        curve.annotate(str(b.frames), place, (5, -10), textcoords="offset points", fontsize=7)
    curve.set(xlabel="confidence", ylabel="part of the frames on target", xlim=(0, 1), ylim=(-0.03, 1.03))
    curve.set_title("Reliability (number of frames)", fontsize=10)
    gone = [o for o in observations if o.gone_for >= 0]
    ages = np.array([o.gone_for for o in gone])
    sure = np.array([o.confidence for o in gone])
    lost = np.array([o.state in _LOST for o in gone], float)
    if len(gone):
        steps = np.unique(ages)
        after.plot(steps, [np.median(sure[ages == n]) for n in steps], label="median confidence")
        most = [np.quantile(sure[ages == n], 0.9) for n in steps]
        after.plot(steps, most, label="nine in ten are below", ls="--")
        after.plot(steps, [lost[ages == n].mean() for n in steps], label="part COASTING or LOST")
        after.legend(fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.72))
    after.set(xlabel="frames since the target was painted out", ylim=(-0.03, 1.03))
    after.set_title("After the target is gone", fontsize=10)
    figure.suptitle(title, fontsize=10)
    output = Unfinished(path)
    try:
        figure.savefig(output.begin(), format="png", dpi=130)
        output.publish()
    finally:
        output.discard()
