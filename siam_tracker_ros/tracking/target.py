"""What is known of one target between frames; the model is shared, this is not."""

from __future__ import annotations

from dataclasses import dataclass, field

from siam_tracker_ros.models.siamese import Template
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.confidence import Condition
from siam_tracker_ros.tracking.lost_search import LostSearch
from siam_tracker_ros.tracking.pyramid import SearchSide


@dataclass
class Target:
    """State of one target: where it is (px of the frame), what it looked like, and how it fares.

    `fill` is the mean colour of its first frame, used beyond the border; `velocity` that of its centre, px/s;
    `lost_frames` counts the frames since it was lost, `lost_search` is where a scan for it stands; `stamp` is
    the time of the last frame, s. `side` is the search region's, where that is not derived from the box;
    `instance_size` the px it is resized to.
    """

    template: Template
    box: CenterBox
    fill: tuple[int, int, int]
    instance_size: int
    side: SearchSide | None = None
    stamp: float | None = None
    velocity: tuple[float, float] = (0.0, 0.0)
    condition: Condition = field(default_factory=Condition)
    lost_frames: int = 0
    lost_search: LostSearch | None = None
