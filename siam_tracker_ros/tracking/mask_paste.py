"""A mask from the network laid back into the frame (SiamMask, section 3.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.models.config import TrackingConfig
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.regions import Region
from siam_tracker_ros.tracking.result import TargetMask


class MaskPlace(NamedTuple):
    """Rectangle of the frame that a mask covers: top-left corner, width and height, px, not whole."""

    left: float
    top: float
    width: float
    height: float


def place_of_mask(
    center: CenterBox, window_side: int, instance_size: int, row: int, col: int, config: TrackingConfig
) -> MaskPlace:
    """Where the mask of response cell (row, col) lies: an exemplar-sized square of the search region.

    `center` is the target before this frame's update, `window_side` the search window's side in px of
    the frame, which maps to `instance_size` px of network input.
    """
    scale = window_side / instance_size
    stride = config.anchors.stride
    side = scale * config.exemplar_size
    return MaskPlace(
        center.cx - window_side / 2 + (col - config.base_size / 2) * stride * scale,
        center.cy - window_side / 2 + (row - config.base_size / 2) * stride * scale,
        side,
        side,
    )


def place_of_region(region: Region, crop: CenterBox, search_size: int) -> MaskPlace:
    """Where the mask of a region lies; the crop covers `crop` and is `search_size` px of network input."""
    scale = crop.w / search_size
    x1, y1, x2, y2 = region
    left, top = crop.cx - crop.w / 2 + x1 * scale, crop.cy - crop.h / 2 + y1 * scale
    return MaskPlace(left, top, (x2 - x1) * scale, (y2 - y1) * scale)


def paste_mask(
    probability: NDArray[np.float32],
    place: MaskPlace,
    frame_width: int,
    frame_height: int,
    threshold: float,
    border: float = 0.0,
) -> TargetMask:
    """Resample a square map of probabilities into the frame and cut it at `threshold`.

    Beyond the map its value is `border`, which is not above `threshold`. Only the part of the frame under
    the mask is computed.
    """
    size = len(probability)
    # Mask px -> frame px, as PySOT maps it: the frame's last pixel is one short of its width.
    scale_x = (frame_width - 1) / frame_width * place.width / size
    scale_y = (frame_height - 1) / frame_height * place.height / size
    offset_x = place.left * (frame_width - 1) / frame_width
    offset_y = place.top * (frame_height - 1) / frame_height
    x0 = min(max(math.floor(offset_x - scale_x), 0), frame_width)
    y0 = min(max(math.floor(offset_y - scale_y), 0), frame_height)
    x1 = max(min(math.ceil(offset_x + scale_x * (size + 1)) + 1, frame_width), x0)
    y1 = max(min(math.ceil(offset_y + scale_y * (size + 1)) + 1, frame_height), y0)
    if x0 == x1 or y0 == y1:
        return TargetMask(x0, y0, np.zeros((0, 0), dtype=np.bool_), frame_width, frame_height)
    mapping = np.array([[scale_x, 0, offset_x - x0], [0, scale_y, offset_y - y0]])
    pasted = cv2.warpAffine(
        probability, mapping, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderValue=border
    )
    return TargetMask(x0, y0, pasted > threshold, frame_width, frame_height)
