"""Measures of one pass over a sequence: overlap of boxes (OTB's success) and of masks (DAVIS's J)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box, box_iou

SUCCESS_IOU = 0.5


def is_visible(truth: Box) -> bool:
    """Whether a ground-truth box says that the target is in view: finite, with an area."""
    return all(map(math.isfinite, truth)) and truth.w > 0 and truth.h > 0


def box_overlaps(found: Sequence[Box], truth: Sequence[Box]) -> list[float]:
    """IoU of each frame in which the target is in view; the others say nothing and are left out."""
    return [box_iou(box, t) for box, t in zip(found, truth, strict=True) if is_visible(t)]


def success_rate(overlaps: Sequence[float], threshold: float = SUCCESS_IOU) -> float:
    """Part of the frames with an overlap above `threshold`; NaN without frames."""
    return float(np.mean(np.array(overlaps) > threshold)) if overlaps else math.nan


def mask_overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Region similarity J of two masks of a frame's size: IoU of their px, 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def mean(values: Sequence[float]) -> float | None:
    """Mean of `values`, None without any."""
    return float(np.mean(values)) if values else None
