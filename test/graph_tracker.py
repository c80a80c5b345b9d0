"""A tracker node in a process of its own, and the operator and camera that tests play around it."""

from __future__ import annotations

import subprocess
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from graph_process import Operator, node_process
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray, TrackerStatus
from siam_tracker_msgs.srv import InitTarget, StopTarget

WIDTH, HEIGHT = 160, 120
FRAME_NS = 33_000_000
NODE = "tracker_node"


def scene(number: int) -> np.ndarray:
    """A bright patterned square on a dark patterned ground, 2 px to the right each frame; BGR."""
    rng = np.random.default_rng(3)
    ground = cv2.resize(rng.integers(0, 70, (15, 20, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    patch = cv2.resize(rng.integers(120, 256, (4, 4, 3), dtype=np.uint8), (32, 32))
    left = 30 + 2 * (number % 40)
    ground[44:76, left : left + 32] = patch
    return ground


def box_in_scene(number: int) -> BoundingBox2D:
    """Where the square is in that frame."""
    return BoundingBox2D(center_x=45.5 + 2 * (number % 40), center_y=59.5, size_x=32.0, size_y=32.0)


def image_message(
    frame: np.ndarray, stamp_ns: int, frame_id: str = "camera", encoding: str = "bgr8"
) -> Image:
    """A frame as a message."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Image(
        header=Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id),
        height=frame.shape[0],
        width=frame.shape[1],
        encoding=encoding,
        step=frame[0].nbytes,
        data=array("B", frame.tobytes()),
    )


def stamp_ns(header: Header) -> int:
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


class Graph(Operator):
    """The tests' own node: camera, operator and listener of one tracker."""

    operated = NODE

    def __init__(self, namespace: str = "", process: subprocess.Popen[str] | None = None) -> None:
        super().__init__("operator", namespace, process)
        self.tracks: list[TrackArray] = []
        self.statuses: list[TrackerStatus] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.number = 0
        self.offset_ns = 1_000_000_000
        subscribe, latched = (
            self.node.create_subscription,
            QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        )
        subscribe(TrackArray, "tracks", self.tracks.append, 100)
        subscribe(TrackerStatus, "status", self.statuses.append, latched)
        subscribe(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.camera = self.node.create_publisher(Image, "image", qos_profile_sensor_data)

    def use_camera(self, reliability: ReliabilityPolicy, type_: type = Image, topic: str = "image") -> None:
        """Publish images from now on with another quality of service or as another type."""
        self.node.destroy_publisher(self.camera)
        self.camera = self.node.create_publisher(type_, topic, QoSProfile(depth=5, reliability=reliability))

    def publish(self) -> int:
        """Publish the next frame; its stamp, ns."""
        stamp = self.offset_ns + self.number * FRAME_NS
        self.camera.publish(image_message(scene(self.number), stamp))
        self.number += 1
        return stamp

    def track_one(self) -> TrackArray:
        """Publish frames until one of them is tracked in."""
        published = {self.publish()}
        self.wait(
            lambda: self.tracks and stamp_ns(self.tracks[-1].header) in published,
            "tracks",
            lambda: published.add(self.publish()),
        )
        return self.tracks[-1]

    def lost(self, id: str, each: Callable[[], None] | None = None) -> None:
        """Wait until a target is reported LOST; images that were on their way may be reported after it."""
        self.wait(
            lambda: any(t.id == id and t.state == Track.LOST for m in self.tracks for t in m.tracks),
            f"the end of {id}",
            each,
        )

    def init(self, box: BoundingBox2D, each: Callable[[], None] | None = None, **fields: Any) -> Any:
        """Call init_target; frames go on being published unless `each` says otherwise."""
        return self.ask(InitTarget, "init_target", each or (lambda: self.publish()), bbox=box, **fields)

    def stop(self, id: str = "") -> Any:
        return self.ask(StopTarget, "stop_target", id=id)

    def enable(self, on: bool) -> Any:
        return self.ask(SetBool, f"{NODE}/enable", data=on)

    def status(self, state: int, each: Callable[[], None] | None = None) -> TrackerStatus:
        """Wait until the latest status is of this state."""
        self.wait(lambda: self.statuses and self.statuses[-1].state == state, f"status {state}", each)
        return self.statuses[-1]

    def diagnosis(self, words: str, each: Callable[[], None] | None = None) -> dict[str, str]:
        """Wait for diagnostics whose summary has `words`; their values."""

        def found() -> Any:
            for message in reversed(self.diagnostics):
                for status in message.status:
                    if words in status.message:
                        return {value.key: value.value for value in status.values}
            return None

        self.diagnostics.clear()
        return self.wait(found, f"diagnostics with '{words}'", each)


def tracker_process(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A tracker node."""
    return node_process(NODE, *arguments)
