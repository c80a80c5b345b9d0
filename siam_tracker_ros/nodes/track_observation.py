"""What the servo takes from a track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siam_tracker_ros.control.aim_point import MaskSummary, summarise_mask
from siam_tracker_ros.control.servo import TrackObservation
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.nodes.mask_decoding import mask_crop


def chosen_track(tracks: Sequence[Any], target_id: str, followed: str) -> Any:
    """The track to follow: that of `target_id`, or if it is empty the one `followed` so far, else the first.

    None if it is not among them.
    """
    for wanted in (target_id, "" if target_id else followed):
        for track in tracks:
            if wanted and track.id == wanted:
                return track
    return tracks[0] if tracks and not target_id else None


def observation_of(track: Any, stamp: float, with_mask: bool = True) -> TrackObservation:
    """A siam_tracker_msgs/Track of the image of `stamp`, s on the loop's clock; its mask only if asked for.

    Raises MaskMessageError for a mask that is none, ValueError for an unknown state.
    """
    box = track.bbox
    return TrackObservation(
        stamp,
        track.generation,
        TrackState(track.state),
        track.confidence,
        (box.center_x, box.center_y),
        (box.size_x, box.size_y),
        _mask_summary(track.mask) if with_mask else None,
    )


def _mask_summary(message: Any) -> MaskSummary | None:
    crop = mask_crop(message)
    return None if crop is None else summarise_mask(crop, message.roi.x_offset, message.roi.y_offset)
