"""Footage without its target: the target painted over with what surrounds it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box

UInt8 = NDArray[np.uint8]

# Of the target's box: what is painted over, and what is looked at to do so.
_COVERED, _CONTEXT = 1.3, 2.6
# Inpainting is done in a picture of this side; fine detail would be invented anyhow.
_SIDE = 64


def painted_out(frame: UInt8, box: Box) -> UInt8:
    """`frame` [H, W, 3] with what is in `box`, and a little around it, painted over; a copy.

    The surroundings are continued inwards (Telea, 2004). A box that covers the whole frame leaves it grey.
    """
    height, width = frame.shape[:2]
    centre = np.array([box.x + box.w / 2, box.y + box.h / 2])
    half = np.array([box.w, box.h]) / 2
    limit = np.array([width, height])
    low = np.clip(np.floor(centre - _CONTEXT * half).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(centre + _CONTEXT * half).astype(int), low + 1, limit)
    covered_low = np.clip(np.floor(centre - _COVERED * half).astype(int), low, high) - low
    covered_high = np.clip(np.ceil(centre + _COVERED * half).astype(int), low, high) - low
    painted: UInt8 = np.array(frame)
    part = painted[low[1] : high[1], low[0] : high[0]]
    cover = np.zeros(part.shape[:2], np.uint8)
    cover[covered_low[1] : covered_high[1], covered_low[0] : covered_high[0]] = 255
    if cover.all():
        painted[:] = np.array(cv2.mean(frame)[:3]).astype(np.uint8)
        return painted
    scale = min(1.0, _SIDE / max(part.shape[:2]))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    # Every px that holds any of the target is painted anew.
    small_cover = np.asarray(cv2.resize(cover, size, interpolation=cv2.INTER_AREA)) > 0
    if small_cover.all():
        small[:] = np.array(cv2.mean(frame)[:3]).astype(np.uint8)
    else:
        small = np.asarray(cv2.inpaint(small, small_cover.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
    large = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_CUBIC)
    part[cover > 0] = np.asarray(large, np.uint8)[cover > 0]
    return painted
