"""The selection window on a display of its own, with mouse and keys, beside a tracker that the test plays."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

import cv2
from builtin_interfaces.msg import Time
from graph_process import DEADLINE_S, Listener, end, node_process, parameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from virtual_screen import Screen, virtual_screen

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_msgs.srv import InitTarget, StopTarget
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.nodes.select_target_node import TITLE

NODE = "select_target_node"
RELIABLE = QoSProfile(depth=5, durability=DurabilityPolicy.VOLATILE)


@pytest.fixture
def screen() -> Iterator[Screen]:
    with virtual_screen() as screen:
        yield screen


class Operator(Listener):
    """The camera and the tracker beside the window; what the tracker is asked for."""

    def __init__(self) -> None:
        super().__init__("camera_and_tracker")
        self.camera = self.node.create_publisher(Image, "image", RELIABLE)
        self.tracks = self.node.create_publisher(TrackArray, "tracks", 10)
        self.starts: list[InitTarget.Request] = []
        self.stops: list[str] = []
        self.refusal = ""
        self.node.create_service(InitTarget, "init_target", self._on_start)
        self.node.create_service(StopTarget, "stop_target", self._on_stop)

    def _on_start(self, request: InitTarget.Request, response: InitTarget.Response) -> Any:
        self.starts.append(request)
        response.success, response.message = not self.refusal, self.refusal
        return response

    def _on_stop(self, request: StopTarget.Request, response: StopTarget.Response) -> Any:
        self.stops.append(request.id)
        response.success = True
        return response

    def show(self, frame: Any, second: int) -> Header:
        """Publish a frame, until it is heard; its header."""
        header = Header(stamp=Time(sec=second), frame_id="eye")
        self.wait(self.camera.get_subscription_count, "the window's subscription")
        self.camera.publish(image_message(header, "bgr8", frame))
        return header


@pytest.fixture
def operator(ros_domain: int) -> Iterator[Operator]:
    with Operator() as operator:
        yield operator


@pytest.fixture
def frame(data_dir: Path) -> Any:
    return cv2.imread(str(data_dir / "sequences" / "davis_blackswan" / "img" / "000001.jpg"))


def wait_for_picture(operator: Operator, screen: Screen, width: int, publish: Callable[[], Any]) -> str:
    """Publish until the window has the picture's width; the window's number."""

    def wide() -> bool:
        publish()
        window = screen.window(TITLE)
        return window is not None and window[1] == width

    operator.wait(wide, "the picture in the window")
    return screen.window(TITLE)[0]


def test_a_box_is_drawn_on_the_image_shown_and_sent_with_its_stamp(
    screen: Screen, operator: Operator, frame: Any
) -> None:
    with node_process(NODE, *parameters(max_wait=0.1), environment=screen.environment) as process:
        window = wait_for_picture(operator, screen, frame.shape[1], lambda: operator.show(frame, 5))
        # The picture stands still from the press on: what comes meanwhile is not what the box is drawn on.
        screen.do("mousemove", "--window", window, "200", "100", "mousedown", "1")
        screen.do("mousemove", "--window", window, "260", "180")
        later = frame[:, :600].copy()
        operator.show(later, 6)
        operator.spin(10)
        screen.do("mousemove", "--window", window, "359", "299", "mouseup", "1")
        operator.wait(lambda: operator.starts, "the call of init_target")
        (request,) = operator.starts
        assert request.header == Header(stamp=Time(sec=5), frame_id="eye")
        assert request.id == "1"
        assert not request.normalized
        box = request.bbox
        assert (box.center_x, box.center_y) == pytest.approx((279.5, 199.5), abs=1.5)
        assert (box.size_x, box.size_y) == pytest.approx((160, 200), abs=3)
        assert box.theta == 0

        wait_for_picture(operator, screen, 600, lambda: operator.show(later, 6))
        screen.do("key", "3")
        screen.do("mousemove", "--window", window, "500", "400", "mousedown", "1")
        screen.do("mousemove", "--window", window, "400", "300", "mouseup", "1")
        operator.wait(lambda: len(operator.starts) == 2, "the second call")
        assert operator.starts[1].id == "3"
        assert operator.starts[1].header.stamp.sec == 6
        assert operator.starts[1].bbox.size_x == pytest.approx(101, abs=3)

        screen.do("key", "s")
        operator.wait(lambda: operator.stops == ["3"], "the stop of one")
        screen.do("key", "r")
        operator.wait(lambda: operator.stops == ["3", ""], "the stop of all")
        # A click, and a box that is given up, start nothing.
        screen.do("mousemove", "--window", window, "300", "300", "click", "1")
        screen.do(
            "mousedown", "1", "mousemove", "--window", window, "400", "400", "key", "Escape", "mouseup", "1"
        )
        screen.do("key", "q")
        assert process.wait(DEADLINE_S) == 0
    assert len(operator.starts) == 2


def test_a_refusal_is_told_and_the_next_box_can_end_it(
    screen: Screen, operator: Operator, frame: Any
) -> None:
    values = parameters(end_after_start=True, target_id="swan", show_tracks=False)
    options: dict[str, Any] = {"environment": screen.environment, "stderr": subprocess.PIPE}
    with node_process(NODE, *values, **options) as process:
        window = wait_for_picture(operator, screen, frame.shape[1], lambda: operator.show(frame, 5))
        operator.refusal = "the box is too small"
        for count in (1, 2):
            screen.do("mousemove", "--window", window, "100", "100", "mousedown", "1")
            screen.do("mousemove", "--window", window, "200", "150", "mouseup", "1")
            operator.wait(lambda count=count: len(operator.starts) == count, "the call")
            operator.refusal = ""
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert "target swan not started: the box is too small" in said
    assert "target swan started" in said


def test_the_window_ends_on_a_signal(screen: Screen, operator: Operator) -> None:
    with node_process(NODE, environment=screen.environment) as process:
        # Without an image it says what it waits for.
        operator.wait(lambda: screen.window(TITLE), "the window")
        assert end(process, signal.SIGTERM) == 0


def test_without_a_display_one_line_says_what_to_do_instead(ros_domain: int) -> None:
    environment = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with node_process(NODE, environment=environment, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "error: there is no display: start the target with a call of init_target" in said
    assert "Traceback" not in said
