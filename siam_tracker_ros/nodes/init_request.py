"""A request to start on a box: what is wrong with it, or the box in px of the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.tracking.boxes import Box

Refusal = InitTarget.Response
"""Its constants are the error codes."""


class InitRefusedError(SiamTrackerError, ValueError):
    """A request that is refused; `code` is one of InitTarget's error codes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class InitRequest:
    """What is asked for. `stamp_ns` 0 means the next image; the box is centre and size, (0, 0) the centre of
    the top-left pixel, in px or, if `normalized`, in fractions of the image's size."""

    stamp_ns: int
    frame_id: str
    id: str
    normalized: bool
    center_x: float
    center_y: float
    size_x: float
    size_y: float
    theta: float = 0.0

    def box_text(self) -> str:
        """The box as it was given."""
        unit = "of the image" if self.normalized else "px"
        size = f"{self.size_x:g} x {self.size_y:g}"
        return f"box center ({self.center_x:g}, {self.center_y:g}), size {size} {unit}"


def request_of(box: Any, header: Any = None, id: str = "", normalized: bool = False) -> InitRequest:
    """The request of a BoundingBox2D message, drawn on the image that `header` is of (None: the next)."""
    at_ns = stamp_ns(header.stamp) if header is not None else 0
    frame_id = header.frame_id if header is not None else ""
    return InitRequest(
        at_ns, frame_id, id, normalized, box.center_x, box.center_y, box.size_x, box.size_y, box.theta
    )


def check_numbers(request: InitRequest) -> None:
    """Raises InitRefusedError for a box that is wrong in any image."""
    values = (request.center_x, request.center_y, request.size_x, request.size_y, request.theta)
    if not all(map(math.isfinite, values)):
        raise InitRefusedError(Refusal.BOX_INVALID, f"{request.box_text()}: every value must be finite")
    if request.size_x <= 0 or request.size_y <= 0:
        raise InitRefusedError(Refusal.BOX_INVALID, f"{request.box_text()}: the size must be above 0")
    if request.theta != 0:
        raise InitRefusedError(
            Refusal.BOX_INVALID,
            f"{request.box_text()}, theta {request.theta:g} rad: a box to start on is axis-aligned, theta 0",
        )


def box_in_frame(request: InitRequest, width: int, height: int, min_px: float, min_inside: float) -> Box:
    """The box, top-left corner and size, in px of a frame of `width` x `height`.

    `min_px` is the least width and height, `min_inside` the least part (0..1) that lies in the frame. Raises
    InitRefusedError.
    """
    check_numbers(request)
    scale_x, scale_y, shift = (width, height, -0.5) if request.normalized else (1, 1, 0.0)
    w, h = request.size_x * scale_x, request.size_y * scale_y
    x = request.center_x * scale_x + shift - (w - 1) / 2
    y = request.center_y * scale_y + shift - (h - 1) / 2
    if w < min_px or h < min_px:
        raise InitRefusedError(
            Refusal.BOX_TOO_SMALL,
            f"{request.box_text()}: {w:g} x {h:g} px, at least {min_px:g} x {min_px:g} px are needed",
        )
    shared = max(0.0, min(x + w, width) - max(x, 0.0)) * max(0.0, min(y + h, height) - max(y, 0.0))
    if shared <= 0 or shared < min_inside * w * h:
        raise InitRefusedError(
            Refusal.BOX_OUTSIDE_IMAGE,
            f"{request.box_text()}: {shared / (w * h):.0%} of it lies in the image of {width} x {height} px, "
            f"{min_inside:.0%} must",
        )
    return Box(x, y, w, h)
