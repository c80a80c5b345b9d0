"""Track messages say again what they were made of."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_msgs.msg import BoundingBox2D, Track
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.live_targets import TargetReport
from siam_tracker_ros.nodes.track_messages import track_message
from siam_tracker_ros.nodes.track_results import track_result
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import RotatedBox, TargetMask, TrackResult, TrackState

MASK = TargetMask(5, 7, np.array([[0, 1, 1], [1, 1, 0]], bool), 40, 30)
FOUND = TrackResult(
    Box(3.0, 4.0, 10.0, 8.0),
    0.5,
    0.75,
    TrackState.UNCERTAIN,
    (2.0, -1.0),
    mask=MASK,
    rotated_box=RotatedBox(8, 9, 7, 5, 0.25),
)


def message(encoding: str = "rle") -> Track:
    return track_message(TargetReport("a", 1, FOUND, 0), encoding)


@pytest.mark.parametrize("encoding", ["rle", "mono8"])
def test_there_and_back(encoding: str) -> None:
    result = track_result(message(encoding), 40, 30)
    assert (result.state, result.score, result.confidence) == (TrackState.UNCERTAIN, 0.5, 0.75)
    assert result.velocity == FOUND.velocity
    assert result.rotated_box == FOUND.rotated_box
    assert result.mask is not None
    assert (result.mask.to_frame() == MASK.to_frame()).all()


def test_box_covers_whole_pixels() -> None:
    """Pixels 2 to 5 of a row have their centre at 3.5; the box starts with the centre of the first."""
    track = Track(bbox=BoundingBox2D(center_x=3.5, center_y=0.0, size_x=4.0, size_y=1.0))
    assert track_result(track, 40, 30).box == Box(2.0, 0.0, 4.0, 1.0)


def test_without_mask_and_rotated_box() -> None:
    track = message("none")
    track.has_rotated_box = False
    result = track_result(track, 40, 30)
    assert result.mask is None
    assert result.rotated_box is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda track: setattr(track.bbox, "center_x", math.nan), "'a'.*finite"),
        (lambda track: setattr(track.rotated_box, "theta", math.inf), "'a'.*finite"),
        (lambda track: setattr(track, "state", 9), "'a'.*no state has the value 9"),
        (lambda track: setattr(track.mask.roi, "x_offset", 38), "'a'.*beyond the image of 40 x 30 px"),
        (lambda track: setattr(track.mask.roi, "width", 1000), "fill"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, words: str) -> None:
    track = message()
    change(track)
    with pytest.raises(SiamTrackerError, match=words):
        track_result(track, 40, 30)
