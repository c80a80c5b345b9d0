"""The simulated gimbal on a DDS graph, alone and in the closed loop with the servo node."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

import rclpy
from geometry_msgs.msg import TwistStamped, Vector3Stamped
from graph_process import end
from graph_tracker import stamp_ns
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_srvs.srv import Trigger

from siam_tracker_msgs.msg import Track, TrackArray
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.image_conversion import image_to_bgr
from siam_tracker_ros.nodes.camera_of_info import camera_of
from siam_tracker_ros.nodes.gimbal_sim_parameters import GimbalSimParameters, simulator_of
from siam_tracker_ros.nodes.mask_decoding import mask_crop

DEADLINE_S = 120.0
SMALL = {"image_width": 320, "image_height": 240, "focal_length": 300.0, "start": "on_request", "noise": 0.0}
BASE = "gimbal_base"


class Pilot:
    """The tests' own node: listens to a simulated gimbal and commands it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("pilot", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = {}
        for type_, topic in (
            (Image, "image_raw"),
            (CompressedImage, "image_raw/compressed"),
            (Image, "truth/mask"),
            (CameraInfo, "camera_info"),
            (JointState, "joint_states"),
            (TrackArray, "truth/tracks"),
            (Vector3Stamped, "truth/bearing"),
            (Vector3Stamped, "truth/direction"),
            (Clock, "/clock"),
        ):
            messages: list[Any] = []
            self.heard[topic] = messages
            self.node.create_subscription(type_, topic, messages.append, qos_profile_sensor_data)
        self.rates = self.node.create_publisher(TwistStamped, "cmd_rate", 10)
        self.positions = self.node.create_publisher(JointState, "cmd_position", 10)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def wait(self, until: Callable[[], Any], what: str, each: Callable[[], None] | None = None) -> Any:
        deadline = time.monotonic() + DEADLINE_S
        while not (result := until()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            assert self._process.poll() is None, "the node has ended"
            if each is not None:
                each()
            self._executor.spin_once(timeout_sec=0.02)
        return result

    def newest(self, topic: str) -> Any:
        """The next message of a topic."""
        self.heard[topic].clear()
        return self.wait(lambda: self.heard[topic] and self.heard[topic][-1], topic)

    def reach(self, ns: int) -> None:
        """Wait for the simulated time `ns`."""
        self.wait(lambda: time_ns(self.heard["/clock"][-1].clock) >= ns, f"the time {ns} ns")

    def joints(self) -> tuple[float, float]:
        message = self.newest("joint_states")
        assert message.name == ["pan_joint", "tilt_joint"]
        return message.position[0], message.position[1]

    def turn(self, pan: float, tilt: float, frame: str = BASE, stamp: Any = None) -> None:
        """Publish a rate command, rad/s."""
        message = TwistStamped()
        message.header.frame_id = frame
        if stamp is not None:
            message.header.stamp = stamp
        message.twist.angular.z, message.twist.angular.y = pan, tilt
        self.rates.publish(message)

    def turn_until(self, pan: float, tilt: float, until: Callable[[], Any], what: str) -> None:
        self.wait(until, what, lambda: self.turn(pan, tilt))

    def together(self, *topics: str) -> list[Any]:
        """The newest messages of these topics that have one stamp."""
        for topic in topics:
            self.heard[topic].clear()

        def found() -> list[Any] | None:
            by_stamp = [{stamp_ns(one.header): one for one in self.heard[topic]} for topic in topics]
            common = set(by_stamp[0]).intersection(*by_stamp[1:])
            return [one[max(common)] for one in by_stamp] if common else None

        return self.wait(found, f"{topics} of one image")


@contextmanager
def simulation(tmp_path: Path, **parameters: Any) -> Iterator[Pilot]:
    """A simulated gimbal in a process of its own, and who flies it."""
    file = tmp_path / "gimbal_sim.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**SMALL, **parameters}}}))
    command = [sys.executable, "-m", "siam_tracker_ros.nodes.gimbal_sim_node"]
    command += ["--ros-args", "--params-file", str(file)]
    process = subprocess.Popen(command, start_new_session=True, text=True)
    try:
        pilot = Pilot(process)
        try:
            yield pilot
        finally:
            pilot.close()
    finally:
        assert end(process) == 0


def test_what_it_publishes_agrees_and_the_signs_are_rep_103s(ros_domain: int, tmp_path: Path) -> None:
    with simulation(tmp_path, path="fixed", path_elevation=0.0, latency=0.0) as pilot:
        image, info, truth, mask = pilot.together("image_raw", "camera_info", "truth/tracks", "truth/mask")
        assert image.header == info.header == truth.header == mask.header
        assert image.header.frame_id == "camera_optical_frame"
        camera = camera_of(info)
        assert (image.width, image.height) == (camera.width, camera.height) == (320, 240)
        (track,) = truth.tracks
        assert track.state == Track.TRACKING
        assert (truth.image_width, truth.image_height) == (320, 240)

        # The target is straight ahead: in the middle of the image.
        assert (track.bbox.center_x, track.bbox.center_y) == pytest.approx((159.5, 119.5), abs=0.5)
        whole = image_to_bgr(mask)[..., 0] > 0
        rows, columns = np.nonzero(whole)
        assert (columns.mean(), rows.mean()) == pytest.approx((159.5, 119.5), abs=1.0)
        roi, crop = track.mask.roi, mask_crop(track.mask)
        assert (whole[roi.y_offset :, roi.x_offset :][: roi.height, : roi.width] == crop).all()
        frame = image_to_bgr(image)
        assert np.abs(frame[whole].mean(axis=0) - frame[~whole].mean(axis=0)).max() > 20
        jpeg = cv2.imdecode(np.frombuffer(pilot.newest("image_raw/compressed").data, np.uint8), 1)
        assert np.abs(jpeg.astype(int) - frame).mean() < 4

        # To the left (positive about z): the target moves to the right, its bearing to +x.
        assert pilot.joints() == (0.0, 0.0)
        pilot.turn_until(0.3, 0.0, lambda: pilot.joints()[0] > 0.1, "a pan to the left")
        track = pilot.newest("truth/tracks").tracks[0]
        assert track.bbox.center_x > 180
        bearing = pilot.newest("truth/bearing")
        assert bearing.header.frame_id == "camera_optical_frame"
        assert bearing.vector.x > 0.05
        # Down (positive about y): it moves up, its bearing to -y.
        pilot.turn_until(0.0, 0.3, lambda: pilot.joints()[1] > 0.1, "a tilt down")
        assert pilot.newest("truth/tracks").tracks[0].bbox.center_y < 110
        assert pilot.newest("truth/bearing").vector.y < -0.05
        direction = pilot.newest("truth/direction")
        assert direction.header.frame_id == BASE
        assert (direction.vector.x, direction.vector.y, direction.vector.z) == pytest.approx((1.0, 0.0, 0.0))

        # The last command is not renewed: it stops by itself.
        pilot.wait(lambda: abs(pilot.newest("joint_states").velocity[1]) < 1e-3, "a stop")
        where = pilot.joints()
        # Not its frame, or not a number: it stays.
        for _ in range(20):
            pilot.turn(0.5, 0.5, frame="map")
            pilot.turn(math.nan, math.nan)
            assert pilot.joints() == pytest.approx(where, abs=1e-3)
        wanted = JointState(name=["tilt_joint", "pan_joint"], position=[-0.1, 0.2])
        pilot.wait(
            lambda: np.abs(np.subtract(pilot.joints(), (0.2, -0.1))).max() < 1e-3,
            "the position asked for",
            lambda: pilot.positions.publish(wanted),
        )


def test_the_target_sets_out_on_request(ros_domain: int, tmp_path: Path) -> None:
    with simulation(tmp_path, path="line", path_rate=0.5) as pilot:
        pilot.newest("truth/direction")
        client = pilot.node.create_client(Trigger, "gimbal_sim_node/start")
        pilot.wait(client.service_is_ready, "~/start")
        assert pilot.newest("truth/direction").vector.y == pytest.approx(0.0, abs=1e-9)
        future = client.call_async(Trigger.Request())
        pilot.wait(future.done, "an answer")
        assert future.result().success
        pilot.wait(lambda: pilot.newest("truth/direction").vector.y > 0.05, "the target to move to the left")


def test_simulated_time_stands_until_it_is_answered(ros_domain: int, tmp_path: Path) -> None:
    period_ns = 20_000_000
    parameters = {"clock": "step", "pace": 0.0, "answer_timeout": 60.0, "latency": 0.02, "path": "fixed"}
    with simulation(tmp_path, **parameters) as pilot:
        pilot.newest("/clock")
        now = pilot.newest("/clock").clock
        # One command a period is what it takes.
        pilot.turn(0.2, 0.0, stamp=now)
        pilot.reach(time_ns(now) + period_ns)
        for _ in range(30):
            standing = pilot.heard["/clock"][-1].clock
            due_ns = time_ns(standing) + period_ns
            pilot.turn(0.2, 0.0, stamp=standing)
            pilot.reach(due_ns)
            assert time_ns(pilot.heard["/clock"][-1].clock) == due_ns
        # Stamps are those of the clock, and images come as late as they should.
        joints = pilot.heard["joint_states"]
        steps = np.diff([stamp_ns(one.header) for one in joints])
        assert set(steps.tolist()) == {10_000_000}


def time_ns(stamp: Any) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"image_width": 322}, "multiple of 8"),
        ({"scene": "nowhere.png"}, r"nowhere\.png"),
        ({"k1": -5.0}, "lens model does not cover"),
        ({"pan_lower": 1.0, "pan_upper": 0.5}, "pan_stops"),
    ],
)
def test_what_cannot_be_simulated_is_named(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(SiamTrackerError, match=words):
        simulator_of(GimbalSimParameters(**parameters))


def test_what_cannot_be_simulated_ends_the_node_with_one_line(ros_domain: int) -> None:
    command = [sys.executable, "-m", "siam_tracker_ros.nodes.gimbal_sim_node"]
    result = subprocess.run(
        [*command, "--ros-args", "-p", "jitter:=0.2"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: jitter_s (0.2) must not be above latency_s (0.08)")
    assert len(result.stderr.splitlines()) == 1


def test_the_closed_loop_follows_the_figure_of_eight(ros_domain: int, tmp_path: Path) -> None:
    """Simulation, servo and recorder in lock-step: 20 degrees/s, 80 ms latency, 50 ms actuator."""
    command = [sys.executable, "-m", "siam_tracker_ros.cli", "follow", "--perfect", "--no-overlay"]
    options = ["--out", str(tmp_path / "servo"), "--settle", "2", "--seconds", "9"]
    hidden = ["--occlusion-start", "5", "--occlusion-duration", "1"]
    result = subprocess.run(
        [*command, *options, *hidden], capture_output=True, text=True, timeout=400, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "servo.json").read_text())
    assert found["bearings"] == "true"
    assert found["peak_target_rate_deg_s"] == pytest.approx(20, abs=0.5)
    assert found["rms_error_deg"] < 1.5
    assert found["settle_s"] < 1.5
    (hidden_once,) = found["occlusions"]
    assert hidden_once["wholly_hidden_s"] == pytest.approx(1.0, abs=0.1)
    assert hidden_once["coasted"]
    assert hidden_once["followed_again_s"] < 0.5
    # Half of the image's height, so that the target is still in it.
    assert hidden_once["max_error_deg"] < 20
    assert cv2.imread(str(tmp_path / "servo.png")).shape[1] > 800
    assert not (tmp_path / "servo.mp4").exists()
