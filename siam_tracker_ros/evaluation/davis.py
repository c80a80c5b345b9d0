"""The measures of DAVIS: region similarity J, contour accuracy F, and their statistics.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016,
section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]

BOUNDARY_TOLERANCE = 0.008
"""How far apart contours may lie, in parts of the frame's diagonal."""
_BINS = 4


def mask_overlap(found: Mask, truth: Mask) -> float:
    """Region similarity J of two masks of a frame's size: IoU of their px, 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def contour_accuracy(found: Mask, truth: Mask, tolerance: float = BOUNDARY_TOLERANCE) -> float:
    """F measure of the contours of two masks [height, width]: harmonic mean of precision and recall.

    A contour px counts as found if the other mask has one within `tolerance` of the frame's diagonal. 1 where
    neither has a contour, 0 where one has none.
    """
    a, b = contour(found), contour(truth)
    if not a.any() or not b.any():
        return float(not a.any() and not b.any())
    radius = math.ceil(tolerance * math.hypot(*truth.shape))
    precision = float((a & _thickened(b, radius)).sum() / a.sum())
    recall = float((b & _thickened(a, radius)).sum() / b.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(mask: Mask) -> Mask:
    """Px [height, width] that differ from their neighbour to the right, below, or right below.

    The frame's border is no contour. One px wide, as Martin et al., TPAMI 2004, have it.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    edges = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1])
    # At the last row and column an edge px has one neighbour only, along the border.
    edges[:-1, :-1] |= (mask != padded[1:, 1:])[:-1, :-1]
    return np.asarray(edges, dtype=np.bool_)


@dataclass(frozen=True)
class MeasureStatistics:
    """Mean of a measure over frames, part of the frames above 0.5, and how much it falls along the way."""

    mean: float
    recall: float
    decay: float


def statistics(values: ArrayLike) -> MeasureStatistics:
    """Statistics of one object's J or F by frame; frames that are NaN are left out of each.

    DAVIS gives it the frames after the first and before the last. Decay is the mean of the first quarter less
    that of the last.
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    if not known.size:
        return MeasureStatistics(math.nan, math.nan, math.nan)
    edges = np.round(np.linspace(1, len(array), _BINS + 1) + 1e-10).astype(int) - 1
    first, last = array[edges[0] : edges[1] + 1], array[edges[-2] : edges[-1] + 1]
    return MeasureStatistics(
        mean=float(known.mean()),
        recall=float((known > 0.5).mean()),
        decay=float(np.nanmean(first) - np.nanmean(last)),
    )


def _thickened(mask: Mask, radius: int) -> Mask:
    """Px within `radius` of one of the mask's."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= radius + 1e-3, dtype=np.bool_)
