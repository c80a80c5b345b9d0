"""The states of a target. Needs no PyTorch, so that what only shows results need not load it."""

from __future__ import annotations

from enum import IntEnum


class TrackState(IntEnum):
    """Where a target stands; the values are those of `siam_tracker_msgs/Track`."""

    ACQUIRING = 0
    TRACKING = 1
    UNCERTAIN = 2
    COASTING = 3
    LOST = 4
