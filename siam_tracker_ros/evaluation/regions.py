"""Regions as the VOT challenges write them: a box, a polygon or a mask, and how far two of them overlap.

Kristan et al., "A Novel Performance Evaluation Methodology for Single-Target Trackers", TPAMI 2016: regions
are drawn as px first and compared px by px, so that every kind can be compared with every other.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box

Mask = NDArray[np.bool_]


class RegionError(SiamTrackerError, ValueError):
    """A text that is no region."""


@dataclass(frozen=True)
class Polygon:
    """Corners [K, 2] as x, y in px, at least three."""

    points: NDArray[np.float64]


@dataclass(frozen=True)
class MaskRegion:
    """Part of a frame: `mask` [height, width] with its top-left px at (x, y)."""

    mask: Mask
    x: int
    y: int


Region = Box | Polygon | MaskRegion
"""Where a target is. None stands for no region: not in view, or nothing reported."""


def is_visible(truth: Box) -> bool:
    """Whether a ground-truth box says that the target is in view: finite, with an area."""
    return all(map(math.isfinite, truth)) and truth.w > 0 and truth.h > 0


def parse_region(text: str) -> Region | None:
    """A region from a line of a VOT file: `x,y,w,h`, `x1,y1,x2,y2,x3,y3,...` or `mX,Y,W,H,run,run,...`.

    The runs of a mask count 0s and 1s in turn, row by row, 0s first. A lone number (a code) and values that
    are NaN stand for no region. Raises RegionError.
    """
    text = text.strip()
    try:
        if text.startswith("m"):
            return _parse_mask([int(value) for value in text[1:].split(",")])
        values = [float(value) for value in re.split(r"[,\s]+", text)]
    except ValueError:
        raise RegionError(f"not a region: '{_shortened(text)}'") from None
    if len(values) == 1 or any(map(math.isnan, values)):
        return None
    if len(values) == 4:
        return Box(*values)
    if len(values) >= 6 and len(values) % 2 == 0:
        return Polygon(np.array(values).reshape(-1, 2))
    raise RegionError(
        f"a region has 1, 4, or an even number of 6 and more values, not {len(values)}: '{_shortened(text)}'"
    )


def format_region(region: Region | None) -> str:
    """The line that `parse_region` reads; code 0 for no region."""
    if region is None:
        return "0"
    if isinstance(region, Box):
        return ",".join(f"{value:.4f}" for value in region)
    if isinstance(region, Polygon):
        return ",".join(f"{value:.4f}" for value in region.points.ravel())
    flat = region.mask.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    height, width = region.mask.shape
    numbers = [region.x, region.y, width, height, *([0] if flat.size and flat[0] else []), *runs]
    return "m" + ",".join(map(str, numbers))


def _parse_mask(numbers: list[int]) -> MaskRegion:
    if len(numbers) < 4:
        raise RegionError(f"a mask starts with x, y, width and height, not {numbers}")
    x, y, width, height = numbers[:4]
    runs = numbers[4:]
    if width < 0 or height < 0 or min(runs, default=0) < 0 or sum(runs) > width * height:
        raise RegionError(f"a mask of {width}x{height} px cannot have runs of {sum(runs)} px in all")
    flat = np.zeros(width * height, dtype=np.bool_)
    filled = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    flat[: filled.size] = filled
    return MaskRegion(flat.reshape(height, width), x, y)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def bounding_box(region: Region) -> Box:
    """The box around a region: of a polygon its extent, of a mask its px, empty if it has none."""
    if isinstance(region, Box):
        return region
    if isinstance(region, Polygon):
        low, high = region.points.min(axis=0), region.points.max(axis=0)
        return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    rows, columns = np.flatnonzero(region.mask.any(axis=1)), np.flatnonzero(region.mask.any(axis=0))
    if not rows.size:
        return Box(region.x, region.y, 0, 0)
    return Box(
        region.x + int(columns[0]),
        region.y + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )


def region_overlap(a: Region | None, b: Region | None, frame_size: tuple[int, int] | None = None) -> float:
    """Intersection over union of the px of two regions; 1 if both are None, 0 if one is.

    With `frame_size` (width, height) only px of the frame count, as the challenges have it.
    """
    if a is None or b is None:
        return float(a is None and b is None)
    extents = [_px_extent(region) for region in (a, b)]
    left, top = (min(extent[i] for extent in extents) for i in (0, 1))
    right, bottom = (max(extent[i] for extent in extents) for i in (2, 3))
    if frame_size is not None:
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, frame_size[0]), min(bottom, frame_size[1])
    if right <= left or bottom <= top:
        return 0.0
    first, second = (_draw(region, left, top, right - left, bottom - top) for region in (a, b))
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def _px_extent(region: Region) -> tuple[int, int, int, int]:
    """Left, top, and one past right and bottom, whole px."""
    if isinstance(region, Box):
        x, y, w, h = (round(value) for value in region)
        return x, y, x + w, y + h
    if isinstance(region, Polygon):
        points = np.round(region.points).astype(int)
        left, top = points.min(axis=0).tolist()
        right, bottom = points.max(axis=0).tolist()
        return left, top, right + 1, bottom + 1
    x, y, w, h = (int(value) for value in bounding_box(region))
    return x, y, x + w, y + h


def _draw(region: Region, left: int, top: int, width: int, height: int) -> Mask:
    """The region's px within a window [height, width] whose top-left px is (left, top)."""
    if isinstance(region, Polygon):
        return _draw_polygon(np.round(region.points) - (left, top), width, height)
    x0, y0, x1, y1 = _px_extent(region)
    canvas = np.zeros((height, width), dtype=np.bool_)
    xs, ys = slice(max(x0, left), min(x1, left + width)), slice(max(y0, top), min(y1, top + height))
    if xs.start >= xs.stop or ys.start >= ys.stop:
        return canvas
    window = canvas[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]
    if isinstance(region, Box):
        window[:] = True
    else:
        window[:] = region.mask[
            ys.start - region.y : ys.stop - region.y, xs.start - region.x : xs.stop - region.x
        ]
    return canvas


def _draw_polygon(points: NDArray[np.float64], width: int, height: int) -> Mask:
    """Px of a polygon with whole-numbered corners, its outline included."""
    if not cv2.isContourConvex(points.astype(np.float32)):
        drawn = np.zeros((height, width), dtype=np.uint8)
        cv2.fillPoly(drawn, [points.astype(np.int32)], 1)
        return drawn.astype(np.bool_)
    # A convex one fills each row between where its edges cross the row. The crossings are cut to whole px, as
    # the VOT tool kit cuts them: OpenCV's outline lies up to a px further out, a per cent of a small target.
    rows = np.arange(height, dtype=np.float64)[:, None]
    x0, y0 = points[:, 0], points[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.trunc(np.where(y0 == y1, x0, x0 + (rows - y0) * (x1 - x0) / (y1 - y0)))
    crossed = (rows >= np.minimum(y0, y1)) & (rows <= np.maximum(y0, y1))
    first = np.where(crossed, crossings, np.inf).min(axis=1, keepdims=True)
    last = np.where(crossed, crossings, -np.inf).max(axis=1, keepdims=True)
    columns = np.arange(width)
    return np.asarray((columns >= first) & (columns <= last), dtype=np.bool_)
