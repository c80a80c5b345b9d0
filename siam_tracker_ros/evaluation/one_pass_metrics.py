"""The measures of one pass from the first box: OTB, LaSOT and TrackingNet, GOT-10k.

Boxes are arrays [frames, 4] of top-left corner and size, px. Frames with the target out of view (a NaN
or a box without area in the ground truth) say nothing of these measures and are left out; a result of NaN
counts as a miss.

OTB: Wu et al., "Object Tracking Benchmark", TPAMI 2015. Normalised precision: Mueller et al., "TrackingNet",
ECCV 2018, section 4.1, and Fan et al., "LaSOT", CVPR 2019, section 4.1. GOT-10k: Huang et al., TPAMI 2021,
section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

IOU_THRESHOLDS = np.linspace(0, 1, 21)
"""Thresholds of OTB's success plot."""
ERROR_THRESHOLDS = np.arange(51, dtype=np.float64)
"""Thresholds of OTB's precision plot, px."""
NORMALISED_THRESHOLDS = np.linspace(0, 0.5, 51)
"""Thresholds of the normalised precision plot, in parts of the target's size."""


def visible_frames(truth: ArrayLike) -> NDArray[np.bool_]:
    """Which frames [N] have the target in view."""
    boxes = _boxes(truth)
    return np.asarray(np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0))


def overlaps(found: ArrayLike, truth: ArrayLike, frame_size: tuple[int, int] | None = None) -> Float:
    """IoU of each frame [N], 0 where a result is NaN; NaN where the target is not in view.

    With `frame_size` (width, height) both boxes are cut to the frame first, as GOT-10k does.
    """
    a, b = _boxes(found), _boxes(truth)
    if frame_size is not None:
        a, b = _clipped(a, frame_size), _clipped(b, frame_size)
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        ious = np.clip(np.nan_to_num(shared / union, nan=0.0, posinf=0.0), 0, 1)
    return np.where(visible_frames(truth), ious, np.nan)


def center_errors(found: ArrayLike, truth: ArrayLike) -> Float:
    """Distance of the centres [N], px: infinite for a NaN result, NaN where the target is not in view."""
    return _distances(found, truth, normalise=False)


def normalised_center_errors(found: ArrayLike, truth: ArrayLike) -> Float:
    """Distance of the centres [N] with x in parts of the target's width and y of its height."""
    return _distances(found, truth, normalise=True)


def success_curve(ious: ArrayLike, thresholds: Float = IOU_THRESHOLDS) -> Float:
    """Part of the frames with an IoU above each threshold."""
    values = _seen(ious)
    return np.asarray(np.mean(values[:, None] > thresholds, axis=0)) if values.size else _nothing(thresholds)


def precision_curve(errors: ArrayLike, thresholds: Float = ERROR_THRESHOLDS) -> Float:
    """Part of the frames with an error of at most each threshold."""
    values = _seen(errors)
    return np.asarray(np.mean(values[:, None] <= thresholds, axis=0)) if values.size else _nothing(thresholds)


@dataclass(frozen=True)
class OnePassScores:
    """What one pass through a sequence is worth, each 0 to 1; NaN where no frame could be measured.

    `auc`, `precision20` and `norm_precision` (area under its curve up to 0.5, as in TrackingNet) count all
    frames, the first included, in which the truth is given; `norm_precision20` is that curve at 0.2. `ao`,
    `sr50`, `sr75` leave the first frame out and cut boxes to the frame, as GOT-10k does. `mean_iou` and
    `success50` leave the first out and cut nothing.
    """

    auc: float
    precision20: float
    norm_precision: float
    norm_precision20: float
    ao: float
    sr50: float
    sr75: float
    mean_iou: float
    success50: float


def one_pass_scores(
    found: ArrayLike, truth: ArrayLike, frame_size: tuple[int, int] | None = None
) -> OnePassScores:
    """The scores of a result [N, 4] against the truth [N, 4], the first frame being the box given.

    `frame_size` is (width, height); without it GOT-10k's measures are not cut to the frame.
    """
    ious = overlaps(found, truth)
    errors, normalised = center_errors(found, truth), normalised_center_errors(found, truth)
    inside = _seen(overlaps(found, truth, frame_size)[1:])
    later = _seen(ious[1:])
    normalised_curve = precision_curve(normalised, NORMALISED_THRESHOLDS)
    return OnePassScores(
        auc=float(success_curve(ious).mean()),
        precision20=float(precision_curve(errors)[20]),
        norm_precision=float(normalised_curve.mean()),
        norm_precision20=float(normalised_curve[20]),
        ao=_mean(inside),
        sr50=_mean(inside > 0.5),
        sr75=_mean(inside > 0.75),
        mean_iou=_mean(later),
        success50=_mean(later > 0.5),
    )


def _boxes(boxes: ArrayLike) -> Float:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _clipped(boxes: Float, frame_size: tuple[int, int]) -> Float:
    size = np.array(frame_size, dtype=np.float64)
    corner = np.clip(boxes[:, :2], 0, size)
    return np.hstack([corner, np.clip(boxes[:, 2:], 0, size - corner)])


def _distances(found: ArrayLike, truth: ArrayLike, normalise: bool) -> Float:
    a, b = _boxes(found), _boxes(truth)
    apart = (a[:, :2] - b[:, :2]) + (a[:, 2:] - b[:, 2:]) / 2
    if normalise:
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = apart / b[:, 2:]
    distance = np.nan_to_num(np.hypot(*apart.T), nan=np.inf)
    return np.where(visible_frames(truth), distance, np.nan)


def _seen(values: ArrayLike) -> Float:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _nothing(thresholds: Float) -> Float:
    return np.full(thresholds.shape, np.nan)
