"""What of an image and its tracks can be shown; what cannot is said in the log, now and then."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.image_conversion import Frame, ImageConversionError
from siam_tracker_ros.nodes.frame_converter import FrameConverter
from siam_tracker_ros.nodes.track_results import results_by_id
from siam_tracker_ros.tracking.result import TrackResult

# Least time between two lines in the log about the same, s.
_QUIET_S = 10.0


def shown_image(
    node: Node, convert: FrameConverter, image: Any, tracks: TrackArray | None, mono16_full_scale: int
) -> tuple[Frame, dict[str, TrackResult]] | None:
    """The frame [H, W, 3] BGR and the results in it by id, none where the tracks cannot be drawn.

    None where the image cannot be converted.
    """
    try:
        frame = convert(image, mono16_full_scale)
    except ImageConversionError as error:
        node.get_logger().warning(f"image not shown: {error}", throttle_duration_sec=_QUIET_S)
        return None
    try:
        results = results_by_id(tracks, frame.shape[1], frame.shape[0]) if tracks is not None else {}
    except SiamTrackerError as error:
        node.get_logger().warning(f"tracks not shown: {error}", throttle_duration_sec=_QUIET_S)
        results = {}
    return frame, results
