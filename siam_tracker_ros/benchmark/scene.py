"""What is tracked while the clock runs: a frame with structure at every scale, and boxes on it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box


def scene(width: int, height: int) -> NDArray[np.uint8]:
    """A frame [height, width, 3], BGR, with structure at every scale, the same each time."""
    rng = np.random.default_rng(0)
    frame = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (4, 16, 64):
        noise = rng.random((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        frame += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(frame * 85, 0, 255).astype(np.uint8)


def target_boxes(width: int, height: int, count: int) -> list[Box]:
    """`count` square boxes spread over the frame; a single one stands in the middle.

    Their side is a sixth of the frame's shorter one, so that the search region of one target lies within the
    frame where it stands in the middle, and leaves it where it stands near the border, as it is in use.
    """
    side = min(width, height) / 6
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    boxes = []
    for index in range(count):
        row, column = divmod(index, columns)
        x = width * (column + 0.5) / columns
        y = height * (row + 0.5) / rows
        boxes.append(Box(x - side / 2, y - side / 2, side, side))
    return boxes
