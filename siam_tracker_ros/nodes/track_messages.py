"""What was found in an image, as messages."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.footage.annotate import draw_results
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.nodes.live_targets import TargetReport
from siam_tracker_ros.nodes.mask_encoding import MASK_ENCODINGS, mask_message
from siam_tracker_ros.nodes.tracking_worker import Counts, FrameReport
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import RotatedBox
from siam_tracker_ros.tracking.stage_times import StageMs


def track_array(report: FrameReport, counts: Counts, mask_encoding: str) -> TrackArray:
    """The message of one image; `received` and `published` are left to who publishes."""
    stages = report.stages or StageMs()
    return TrackArray(
        header=report.image.message.header,
        image_width=report.width,
        image_height=report.height,
        tracks=[track_message(target, mask_encoding) for target in report.targets],
        preprocess_ms=stages.preprocess,
        inference_ms=stages.inference,
        postprocess_ms=stages.postprocess,
        dropped_frames=counts.dropped,
    )


def track_message(report: TargetReport, mask_encoding: str) -> Track:
    """One target as a message."""
    result = report.result
    seconds, nanoseconds = divmod(report.since_update_ns, 1_000_000_000)
    track = Track(
        id=report.id,
        generation=report.generation,
        state=int(result.state),
        bbox=box_message(result.box),
        confidence=result.confidence,
        raw_score=result.score,
        velocity_x=result.velocity[0],
        velocity_y=result.velocity[1],
        since_update=Duration(sec=seconds, nanosec=nanoseconds),
    )
    if result.rotated_box is not None:
        track.has_rotated_box = True
        track.rotated_box = rotated_box_message(result.rotated_box)
    if result.mask is not None:
        track.mask = mask_message(result.mask, MASK_ENCODINGS[mask_encoding])
    return track


def box_message(box: Box) -> BoundingBox2D:
    """An axis-aligned box by its centre, px; the tracker's boxes lie half their size around it."""
    centred = box.center_box()
    return BoundingBox2D(
        center_x=float(centred.cx),
        center_y=float(centred.cy),
        size_x=float(box.w),
        size_y=float(box.h),
    )


def rotated_box_message(box: RotatedBox) -> BoundingBox2D:
    """A rotated box, px and rad."""
    return BoundingBox2D(
        center_x=float(box.center_x),
        center_y=float(box.center_y),
        size_x=float(box.width),
        size_y=float(box.height),
        theta=float(box.theta),
    )


def mask_image(report: FrameReport) -> Image:
    """The masks of all targets in one mono8 image of the frame's size: 0 background, 255 target."""
    union = np.zeros((report.height, report.width), np.uint8)
    for target in report.targets:
        mask = target.result.mask
        if mask is not None:
            height, width = mask.crop.shape
            union[mask.y : mask.y + height, mask.x : mask.x + width][mask.crop] = 255
    return image_message(report.image.message.header, "mono8", union)


def debug_image(report: FrameReport, frame: NDArray[np.uint8]) -> Image:
    """`frame` [H, W, 3] BGR, the image of `report`, with the targets drawn in."""
    results = {target.id: target.result for target in report.targets}
    return image_message(report.image.message.header, "bgr8", draw_results(frame, results))
