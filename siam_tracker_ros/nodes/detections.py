"""What was found, also as vision_msgs/Detection2DArray for other tools, where that package is installed."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from siam_tracker_ros.nodes.tracking_worker import FrameReport
from siam_tracker_ros.tracking.result import TrackState

CLASS_ID = "target"
"""Class of every detection: the tracker knows no classes."""


def vision_messages() -> ModuleType | None:
    """The module vision_msgs.msg; None where it is not installed, or older than 4.0 and shaped otherwise."""
    try:
        messages = importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None
    return messages if hasattr(messages, "ObjectHypothesis") and hasattr(messages, "Pose2D") else None


def detection_array(report: FrameReport, messages: ModuleType) -> Any:
    """A Detection2DArray with the image's header: a detection for each target that is not lost, px and rad.

    The box is the rotated one where it was measured; `id` is the target's name, the score its confidence.
    """
    header = report.image.message.header
    array = messages.Detection2DArray(header=header)
    for target in report.targets:
        result = target.result
        if result.state == TrackState.LOST:
            continue
        detection = messages.Detection2D(header=header, id=target.id)
        box, rotated = result.box, result.rotated_box
        place = detection.bbox.center
        if rotated is not None:
            place.position.x, place.position.y = float(rotated.center_x), float(rotated.center_y)
            place.theta = float(rotated.theta)
            detection.bbox.size_x, detection.bbox.size_y = float(rotated.width), float(rotated.height)
        else:
            centred = box.center_box()
            place.position.x, place.position.y = float(centred.cx), float(centred.cy)
            detection.bbox.size_x, detection.bbox.size_y = float(box.w), float(box.h)
        scored = messages.ObjectHypothesisWithPose()
        scored.hypothesis.class_id, scored.hypothesis.score = CLASS_ID, float(result.confidence)
        detection.results.append(scored)
        array.detections.append(detection)
    return array
