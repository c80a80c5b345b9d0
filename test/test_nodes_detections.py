"""Targets as vision_msgs detections."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from siam_tracker_ros.nodes.live_targets import TargetReport
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import RotatedBox, TrackResult, TrackState

messages = pytest.importorskip("vision_msgs.msg", reason="NOT TESTED: vision_msgs is not installed")


def test_a_detection_for_each_target_that_is_not_lost() -> None:
    from std_msgs.msg import Header

    from siam_tracker_ros.nodes.detections import detection_array, vision_messages

    assert vision_messages() is messages
    header = Header(frame_id="camera")
    upright = TrackResult(Box(10, 20, 8, 6), 0.9, 0.75, TrackState.TRACKING, (0.0, 0.0))
    turned = TrackResult(
        Box(0, 0, 9, 9), 0.9, 0.5, TrackState.UNCERTAIN, (0.0, 0.0), None, RotatedBox(5, 6, 7, 8, 0.5)
    )
    lost = TrackResult(Box(0, 0, 9, 9), 0.9, 0.0, TrackState.LOST, (0.0, 0.0))
    report = SimpleNamespace(
        image=SimpleNamespace(message=SimpleNamespace(header=header)),
        targets=[
            TargetReport(id, 1, result, 0) for id, result in (("a", upright), ("b", turned), ("c", lost))
        ],
    )
    array = detection_array(report, messages)
    assert array.header == header
    first, second = array.detections
    assert (first.id, second.id) == ("a", "b")
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (14, 23)
    assert (first.bbox.size_x, first.bbox.size_y, first.bbox.center.theta) == (8, 6, 0)
    assert first.results[0].hypothesis.score == 0.75
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (5, 6)
    assert (second.bbox.size_x, second.bbox.size_y, second.bbox.center.theta) == (7, 8, 0.5)
