"""Track messages back into the results they were made of, for drawing. Needs no PyTorch."""

from __future__ import annotations

import math

from siam_tracker_msgs.msg import Track, TrackArray
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.mask_decoding import mask_crop
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import RotatedBox, TargetMask, TrackResult
from siam_tracker_ros.tracking.state import TrackState


class TrackMessageError(SiamTrackerError, ValueError):
    """A track that cannot be drawn."""


def results_by_id(message: TrackArray, image_width: int, image_height: int) -> dict[str, TrackResult]:
    """The result of each target in an image of this size, px. Raises as `track_result` does."""
    return {track.id: track_result(track, image_width, image_height) for track in message.tracks}


def track_result(track: Track, image_width: int, image_height: int) -> TrackResult:
    """One target in an image of this size, px. Raises TrackMessageError or MaskMessageError."""
    box, rotated = track.bbox, track.rotated_box
    numbers = [box.center_x, box.center_y, box.size_x, box.size_y, track.confidence]
    if track.has_rotated_box:
        numbers += [rotated.center_x, rotated.center_y, rotated.size_x, rotated.size_y, rotated.theta]
    if not all(map(math.isfinite, numbers)):
        raise TrackMessageError(f"track '{track.id}': a box or confidence that is no finite number")
    try:
        state = TrackState(track.state)
    except ValueError as error:
        raise TrackMessageError(f"track '{track.id}': no state has the value {track.state}") from error
    return TrackResult(
        # The corner is the centre of the first pixel inside.
        Box(box.center_x - (box.size_x - 1) / 2, box.center_y - (box.size_y - 1) / 2, box.size_x, box.size_y),
        track.raw_score,
        track.confidence,
        state,
        (track.velocity_x, track.velocity_y),
        mask=_mask(track, image_width, image_height),
        rotated_box=RotatedBox(
            rotated.center_x, rotated.center_y, rotated.size_x, rotated.size_y, rotated.theta
        )
        if track.has_rotated_box
        else None,
    )


def _mask(track: Track, width: int, height: int) -> TargetMask | None:
    crop, roi = mask_crop(track.mask), track.mask.roi
    if crop is None:
        return None
    if roi.x_offset + roi.width > width or roi.y_offset + roi.height > height:
        raise TrackMessageError(f"track '{track.id}': a mask beyond the image of {width} x {height} px")
    return TargetMask(roi.x_offset, roi.y_offset, crop, width, height)
