"""A target's mask out of its message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError

# Values of TargetMask.encoding, here without ROS; a test holds the two together.
_NONE, _MONO8, _RLE = 0, 1, 2


class MaskMessageError(SiamTrackerError, ValueError):
    """A mask whose data do not fill its region."""


def mask_crop(message: Any) -> NDArray[np.bool_] | None:
    """The mask in a siam_tracker_msgs/TargetMask, [roi.height, roi.width]; None if it carries none.

    Its top-left pixel lies at (roi.x_offset, roi.y_offset) of the image. Raises MaskMessageError for data
    that are not of the region's size, or an unknown encoding.
    """
    height, width = int(message.roi.height), int(message.roi.width)
    data = np.frombuffer(message.data, np.uint8)
    if message.encoding == _NONE:
        return None
    if message.encoding == _MONO8:
        pixels = data != 0
    elif message.encoding == _RLE and data.size % 4 == 0:
        lengths = data.view("<u4").astype(np.int64)
        # Summed first: made-up lengths would otherwise ask for any amount of memory.
        pixels = (
            np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
            if lengths.sum() == height * width
            else np.zeros(0, bool)
        )
    else:
        raise MaskMessageError(f"a mask of encoding {message.encoding} with {data.size} bytes")
    if pixels.size != height * width:
        raise MaskMessageError(
            f"a mask of encoding {message.encoding} with {data.size} bytes does not fill its region of "
            f"{width} x {height} px"
        )
    crop: NDArray[np.bool_] = pixels.reshape(height, width)
    return crop
