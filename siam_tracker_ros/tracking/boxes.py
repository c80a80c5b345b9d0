"""Boxes in px of the frame. Pixel (0, 0) has its centre at (0, 0), as in PySOT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.models.config import BoxCenter
from siam_tracker_ros.tracking.errors import InvalidBoxError

Float = NDArray[np.float64]

# Sides beyond this, px, are a mistake in units or an overflow on the way, not a target.
_MAX_SIDE = 1e6
_BEFORE_CENTER: dict[BoxCenter, int] = {"edge": 0, "px": 1}


class Box(NamedTuple):
    """Axis-aligned box: top-left corner, width and height, px."""

    x: float
    y: float
    w: float
    h: float

    def center_box(self, center: BoxCenter = "edge") -> CenterBox:
        """The same box by its centre: that of its edges, or of the px it covers, half a px before."""
        before = _BEFORE_CENTER[center]
        return CenterBox(self.x + (self.w - before) / 2, self.y + (self.h - before) / 2, self.w, self.h)


class CenterBox(NamedTuple):
    """Axis-aligned box: centre, width and height, px."""

    cx: float
    cy: float
    w: float
    h: float

    def corner_box(self, center: BoxCenter = "edge") -> Box:
        """The same box by its top-left corner; what is taken as its centre is as in `Box.center_box`."""
        before = _BEFORE_CENTER[center]
        return Box(self.cx - (self.w - before) / 2, self.cy - (self.h - before) / 2, self.w, self.h)


def checked_box(box: Sequence[float], frame_width: int, frame_height: int) -> Box:
    """`box` (x, y, w, h) as a Box, if a target can be taken from it.

    Raises InvalidBoxError unless it has four finite numbers, a width and height from 1 px to a million, and
    shares some area with the frame.
    """
    try:
        values = [float(value) for value in box]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4:
        raise InvalidBoxError(f"a box is four numbers x, y, width, height in px, not {box!r}")
    x, y, w, h = values
    shown = f"box x={x:g}, y={y:g}, width={w:g}, height={h:g}"
    if not all(map(math.isfinite, values)):
        raise InvalidBoxError(f"{shown}: every value must be a finite number")
    if w < 1 or h < 1:
        raise InvalidBoxError(f"{shown}: width and height must be at least 1 px")
    if max(w, h) > _MAX_SIDE:
        raise InvalidBoxError(f"{shown}: width and height must be at most {_MAX_SIDE:,.0f} px")
    if x >= frame_width or y >= frame_height or x + w <= 0 or y + h <= 0:
        raise InvalidBoxError(
            f"{shown} lies outside the frame, which is {frame_width} px wide and {frame_height} px high"
        )
    return Box(x, y, w, h)


def clip_to_frame(box: CenterBox, frame_width: int, frame_height: int, min_size: float) -> CenterBox:
    """`box` with its centre in the frame, no larger than the frame and no smaller than `min_size` px.

    As PySOT clips: the centre may lie on the far border, [0, width] by [0, height].
    """
    return CenterBox(
        max(0.0, min(box.cx, frame_width)),
        max(0.0, min(box.cy, frame_height)),
        max(min_size, min(box.w, frame_width)),
        max(min_size, min(box.h, frame_height)),
    )


def polygon_extent(polygon: Sequence[float] | Float) -> CenterBox:
    """Bounding box of a polygon x1, y1, x2, y2, ..., its centre at the mean of the corners."""
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    cx, cy = points.mean(axis=0)
    return CenterBox(float(cx), float(cy), float(high[0] - low[0]), float(high[1] - low[1]))


def polygon_equal_area_box(polygon: Sequence[float] | Float) -> CenterBox:
    """Axis-aligned box of a VOT four-corner polygon, shrunk from its extent to its area.

    The convention of the VOT challenges and of PySOT: both sides scaled by sqrt(area / extent area), then
    one px added.
    """
    points = np.asarray(polygon, dtype=np.float64).reshape(4, 2)
    extent = polygon_extent(points)
    area = np.linalg.norm(points[0] - points[1]) * np.linalg.norm(points[1] - points[2])
    scale = math.sqrt(float(area) / (extent.w * extent.h))
    return extent._replace(w=scale * extent.w + 1, h=scale * extent.h + 1)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 where they do not meet."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.w * a.h + b.w * b.h - shared)
