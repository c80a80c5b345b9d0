"""A tracker node in a process of its own, and the operator and camera that tests play around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray, TrackerStatus
from siam_tracker_msgs.srv import InitTarget, StopTarget

DEADLINE_S = 60.0
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


class Graph:
    """The tests' own node: camera, operator and listener of one tracker."""

    def __init__(self, namespace: str = "", process: subprocess.Popen[str] | None = None) -> None:
        self._process = process
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("operator", namespace=namespace or None, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
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
        self._clients: dict[str, Any] = {}
        self.camera = self.node.create_publisher(Image, "image", qos_profile_sensor_data)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def use_camera(self, reliability: ReliabilityPolicy, type_: type = Image, topic: str = "image") -> None:
        """Publish images from now on with another quality of service or as another type."""
        self.node.destroy_publisher(self.camera)
        self.camera = self.node.create_publisher(type_, topic, QoSProfile(depth=5, reliability=reliability))

    def wait(self, until: Callable[[], Any], what: str, each: Callable[[], None] | None = None) -> Any:
        """Spin until `until()` is true, and return it; `each` runs between. Fails after DEADLINE_S."""
        deadline = time.monotonic() + DEADLINE_S
        while not (result := until()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            assert self._process is None or self._process.poll() is None, "the node has ended"
            if each is not None:
                each()
            self._executor.spin_once(timeout_sec=0.03)
        return result

    def ask(self, type_: Any, name: str, each: Callable[[], None] | None = None, **fields: Any) -> Any:
        """Call a service and wait for its answer."""
        return self.answer(self.send(type_, name, **fields), name, each)

    def send(self, type_: Any, name: str, **fields: Any) -> Any:
        """Call a service; the future of its answer."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(type_, name)
        client = self._clients[name]
        self.wait(client.service_is_ready, f"service {name}")
        return client.call_async(type_.Request(**fields))

    def answer(self, future: Any, what: str, each: Callable[[], None] | None = None) -> Any:
        self.wait(future.done, f"the answer of {what}", each)
        return future.result()

    def change_state(self, name: str) -> bool:
        """A lifecycle transition by name."""
        transition = Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
        return self.ask(ChangeState, f"{NODE}/change_state", transition=transition).success

    def state(self) -> str:
        return self.ask(GetState, f"{NODE}/get_state").current_state.label

    def set_parameter(self, name: str, value: Any, node: str = NODE) -> str:
        """Set a parameter of a node; the reason where it was refused."""
        kinds = {
            bool: (ParameterType.PARAMETER_BOOL, "bool_value"),
            int: (ParameterType.PARAMETER_INTEGER, "integer_value"),
            float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
            str: (ParameterType.PARAMETER_STRING, "string_value"),
        }
        kind, field = kinds[type(value)]
        parameter = Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))
        (result,) = self.ask(SetParameters, f"{node}/set_parameters", parameters=[parameter]).results
        return "" if result.successful else result.reason

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


@contextmanager
def node_process(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A node in a process group of its own; killed at the end if it has not ended."""
    command = [sys.executable, "-m", f"siam_tracker_ros.nodes.{name}", "--ros-args", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, start_new_session=True, text=True)
    try:
        yield process
    finally:
        end(process)


def tracker_process(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A tracker node."""
    return node_process(NODE, *arguments)


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> int:
    """Send a signal and wait for the end; the exit status."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode
