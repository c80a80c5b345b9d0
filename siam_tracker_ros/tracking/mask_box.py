"""Boxes fitted to a mask: the three strategies of SiamMask (Wang et al., CVPR 2019, section 3.3).

`min_max` is the axis-aligned box of the mask, `min_area` the rotated rectangle of least area around it.
`optimised` is the rotated rectangle by which VOT2016 made its ground truth from masks (Kristan et al., ECCVW
2016): it may leave pixels of the target out where it would otherwise take much background in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.models.config import BoxFit
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.result import RotatedBox, TargetMask

Float32 = NDArray[np.float32]

# Contours below this area, px^2, are noise: the axis-aligned box is used instead (PySOT's figure).
_MIN_CONTOUR_AREA = 100.0
# What a target's pixel left outside the optimised rectangle costs, in background pixels taken in.
_OUTSIDE_COST = 2.0
# The optimised rectangle is searched at this many px along the longer side, every few degrees, then nearer.
_SEARCH_SIDE = 64
_ANGLES_DEG = np.arange(0.0, 90.0, 6.0)
_NEARER_DEG = (-3.0, -1.5, 1.5, 3.0)


def box_of_mask(mask: TargetMask, fit: BoxFit, fallback: CenterBox) -> RotatedBox:
    """Box of the mask's largest contour in px of the frame; `fallback` where there is none to speak of."""
    contour = _largest_contour(mask)
    if contour is None:
        return RotatedBox(fallback.cx, fallback.cy, fallback.w, fallback.h, 0.0)
    if fit == "min_max":
        x, y, w, h = cv2.boundingRect(contour)
        return RotatedBox(x + (w - 1) / 2, y + (h - 1) / 2, w, h, 0.0)
    if fit == "optimised":
        return _optimised(contour)
    (cx, cy), (width, height), degrees = cv2.minAreaRect(contour)
    return RotatedBox(cx, cy, width, height, math.radians(degrees))


def _largest_contour(mask: TargetMask) -> Any | None:
    contours: Sequence[Any] = ()
    if mask.crop.size:
        contours, _ = cv2.findContours(
            mask.crop.astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
            offset=(mask.x, mask.y),
        )
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) <= _MIN_CONTOUR_AREA:
        return None
    return largest


class _Turned(NamedTuple):
    """The best rectangle of a mask turned by `degrees`: its gain, px^2, and its box in the frame."""

    gain: float
    degrees: float
    box: RotatedBox


def _optimised(contour: Any) -> RotatedBox:
    x, y, w, h = cv2.boundingRect(contour)
    filled = np.zeros((h, w), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    centre = (x + (w - 1) / 2, y + (h - 1) / 2)
    scale = min(1.0, _SEARCH_SIDE / math.hypot(w, h))
    best = max(_best_at(filled, centre, degrees, scale) for degrees in _ANGLES_DEG)
    nearer = [_best_at(filled, centre, best.degrees + step, scale) for step in _NEARER_DEG]
    degrees = max(best, *nearer).degrees
    # At this angle once more, as finely as the mask itself, up to a size that takes no longer to search.
    return _best_at(filled, centre, degrees, min(1.0, 2 * _SEARCH_SIDE / math.hypot(w, h))).box


def _best_at(filled: NDArray[np.uint8], centre: tuple[float, float], degrees: float, scale: float) -> _Turned:
    height, width = filled.shape
    side = math.ceil(math.hypot(width, height) * scale) + 2
    middle = (side - 1) / 2
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
    turn[0, 2] += middle - (width - 1) / 2
    turn[1, 2] += middle - (height - 1) / 2
    inside = cv2.warpAffine(filled.astype(np.float32), turn, (side, side), flags=cv2.INTER_LINEAR)
    gain, top, bottom, left, right = best_rectangle((_OUTSIDE_COST + 1) * inside - 1)
    along, across = ((left + right - 1) / 2 - middle) / scale, ((top + bottom - 1) / 2 - middle) / scale
    theta = math.radians(degrees)
    box = RotatedBox(
        centre[0] + along * math.cos(theta) - across * math.sin(theta),
        centre[1] + along * math.sin(theta) + across * math.cos(theta),
        (right - left) / scale,
        (bottom - top) / scale,
        theta,
    )
    return _Turned(gain / scale**2, degrees, box)


def best_rectangle(gain: Float32) -> tuple[float, int, int, int, int]:
    """Rectangle of the largest sum of `gain` [H, W]: the sum, then top, bottom, left, right, ends excluded.

    Exact: for every pair of rows the best run of columns.
    """
    height, width = gain.shape
    rows = np.zeros((height + 1, width), np.float64)
    np.cumsum(gain, axis=0, out=rows[1:])
    tops, bottoms = np.triu_indices(height + 1, 1)
    sums = np.zeros((len(tops), width + 1))
    np.cumsum(rows[bottoms] - rows[tops], axis=1, out=sums[:, 1:])
    run = sums[:, 1:] - np.minimum.accumulate(sums, axis=1)[:, :-1]
    pair, last = np.unravel_index(int(run.argmax()), run.shape)
    first = int(sums[pair, : last + 1].argmin())
    return float(run[pair, last]), int(tops[pair]), int(bottoms[pair]), first, int(last) + 1
