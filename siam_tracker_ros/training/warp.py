"""Crops by one affine warp: where a target comes to lie, at what scale, turned and mirrored or not."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box, CenterBox
from siam_tracker_ros.tracking.crop import exemplar_side

UInt8 = NDArray[np.uint8]
Affine = NDArray[np.float64]


class Placement(NamedTuple):
    """How a target is laid into a crop.

    Offset of its centre from the crop's, px; its scale across and down relative to the tracker's; rotation in
    the image, rad; mirrored left to right or not.
    """

    dx: float = 0.0
    dy: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    angle: float = 0.0
    mirrored: bool = False


def target_centre(box: Box) -> CenterBox:
    """`box` by its centre, as the tracker takes its first box: half of w - 1 from the corner."""
    return CenterBox(box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2, box.w, box.h)


def tracker_scale(box: Box, exemplar_size: int, context_amount: float) -> float:
    """Network px per frame px at which a tracker sees a target of this size."""
    return exemplar_size / exemplar_side(box.w, box.h, context_amount)


def crop_affine(box: Box, scale: float, size: int, placement: Placement) -> Affine:
    """The 2x3 matrix from frame px to px of a [size, size] crop; centres of pixels are whole numbers."""
    cos, sin = math.cos(placement.angle), math.sin(placement.angle)
    stretch = np.diag([scale * placement.scale_x, scale * placement.scale_y])
    linear = np.array([[cos, -sin], [sin, cos]]) @ stretch
    if placement.mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    target = target_centre(box)
    centre = (size - 1) / 2
    to = np.array([centre + placement.dx, centre + placement.dy])
    offset = to - linear @ np.array([target.cx, target.cy])
    return np.column_stack([linear, offset])


def warp_image(image: UInt8, affine: Affine, size: int, fill: tuple[float, float, float]) -> UInt8:
    """`image` through `affine` into [size, size, 3], `fill` beyond its border."""
    warped = cv2.warpAffine(
        image, affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
    return np.asarray(warped, dtype=np.uint8)


def warp_mask(mask: UInt8, corner: tuple[int, int], affine: Affine, size: int) -> UInt8:
    """A mask cut to its extent, its corner (column, row) in the frame -> soft mask [size, size], 0..255."""
    moved = affine.copy()
    moved[:, 2] += affine[:, :2] @ np.array(corner, dtype=np.float64)
    return np.asarray(cv2.warpAffine(mask, moved, (size, size), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def placed_box(box: Box, affine: Affine, size: int, mask: UInt8 | None, corner: tuple[int, int]) -> CenterBox:
    """The target's box in the crop, cx, cy, w, h in px from the crop's centre.

    Under rotation the box is that of the turned mask, which must be given.
    """
    centre = (size - 1) / 2
    linear = affine[:, :2]
    target = target_centre(box)
    if abs(linear[0, 1]) < 1e-9 and abs(linear[1, 0]) < 1e-9:
        cx, cy = linear @ np.array([target.cx, target.cy]) + affine[:, 2] - centre
        return CenterBox(float(cx), float(cy), abs(linear[0, 0]) * box.w, abs(linear[1, 1]) * box.h)
    assert mask is not None, "a turned target needs its mask"
    outline = cv2.convexHull(cv2.findNonZero(mask)).reshape(-1, 2).astype(np.float64) + corner
    turned = outline @ linear.T + affine[:, 2] - centre
    low, high = turned.min(axis=0), turned.max(axis=0)
    # Pixels have width: the extent of their centres is short of theirs by the size of one.
    width, height = high - low + np.abs(linear).sum(axis=1)
    cx, cy = (low + high) / 2
    return CenterBox(float(cx), float(cy), float(width), float(height))
