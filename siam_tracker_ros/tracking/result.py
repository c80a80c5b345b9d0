"""What the tracker says of one target in one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box, CenterBox
from siam_tracker_ros.tracking.confidence import Evidence
from siam_tracker_ros.tracking.state import TrackState

__all__ = ["RotatedBox", "TargetMask", "TrackResult", "TrackState"]


class RotatedBox(NamedTuple):
    """Rectangle turned by `theta` rad, positive from x to y (clockwise as seen); centre and sides in px."""

    center_x: float
    center_y: float
    width: float
    height: float
    theta: float

    def center_box(self) -> CenterBox:
        """The same sides around the same centre, not turned."""
        return CenterBox(self.center_x, self.center_y, self.width, self.height)

    def corners(self) -> NDArray[np.float64]:
        """The four corners, [4, 2] px, in order around the rectangle."""
        along = np.array([math.cos(self.theta), math.sin(self.theta)]) * self.width / 2
        across = np.array([-math.sin(self.theta), math.cos(self.theta)]) * self.height / 2
        center = np.array([self.center_x, self.center_y])
        return np.stack(
            [
                center - along - across,
                center + along - across,
                center + along + across,
                center - along + across,
            ]
        )


@dataclass(frozen=True)
class TargetMask:
    """Pixels of the target: `crop` is bool [h, w], its top-left pixel is (x, y) of the frame."""

    x: int
    y: int
    crop: NDArray[np.bool_]
    frame_width: int
    frame_height: int

    def to_frame(self) -> NDArray[np.bool_]:
        """The mask over the whole frame, bool [frame_height, frame_width]."""
        full = np.zeros((self.frame_height, self.frame_width), dtype=np.bool_)
        height, width = self.crop.shape
        full[self.y : self.y + height, self.x : self.x + width] = self.crop
        return full


@dataclass(frozen=True)
class TrackResult:
    """One target in one frame: box in px, raw `score` and calibrated `confidence` in 0..1.

    `velocity` is that of the box centre, (x, y) px/s, smoothed. `evidence` is what the confidence was made
    from, None where the response was not a number. `mask` and `rotated_box` are None unless masks were asked
    for.
    """

    box: Box
    score: float
    confidence: float
    state: TrackState
    velocity: tuple[float, float]
    mask: TargetMask | None = None
    rotated_box: RotatedBox | None = None
    evidence: Evidence | None = None
