"""Masks as messages.

Array fields are given an `array.array`: rclpy takes it as it is, and goes through anything else by the byte.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import RegionOfInterest

from siam_tracker_msgs.msg import TargetMask as TargetMaskMessage
from siam_tracker_ros.tracking.result import TargetMask

MASK_ENCODINGS = {
    "none": TargetMaskMessage.NONE,
    "mono8": TargetMaskMessage.MONO8,
    "rle": TargetMaskMessage.RLE,
}


def mask_message(mask: TargetMask, encoding: int) -> TargetMaskMessage:
    """The mask's crop in one of TargetMask's encodings."""
    if encoding == TargetMaskMessage.NONE:
        return TargetMaskMessage()
    height, width = mask.crop.shape
    data = (
        run_lengths(mask.crop).astype("<u4").tobytes()
        if encoding == TargetMaskMessage.RLE
        else (mask.crop.astype(np.uint8) * 255).tobytes()
    )
    roi = RegionOfInterest(x_offset=mask.x, y_offset=mask.y, width=width, height=height)
    return TargetMaskMessage(roi=roi, encoding=encoding, data=array("B", data))


def run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of a bool array, row by row: background (may be 0), target, background, ..."""
    flat = np.concatenate(([False], mask.ravel()))
    if flat.size == 1:
        return np.zeros(0, np.int64)
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate(([0], changes, [mask.size])))
