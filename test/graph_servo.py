"""A servo node in a process of its own, and the camera, gimbal and tracker that tests play around it."""

from __future__ import annotations

import copy
import math
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import QuaternionStamped, TwistStamped
from graph_process import DEADLINE_S, Operator, node_process
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, JointState, Range
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from siam_tracker_msgs.msg import BoundingBox2D, ServoState, Track, TrackArray

NODE = "servo_node"
WIDTH, HEIGHT, FOCAL = 640, 480, 600.0
FRAME = "camera_optical"
TICK_S = 0.01
RIGHT_AND_UP = (420.0, 200.0)
"""A pixel 100 px to the right of the centre and 40 px above it."""


def camera_info(frame: str = FRAME) -> CameraInfo:
    """Of a pinhole camera with 600 px focal length."""
    message = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [FOCAL, 0.0, WIDTH / 2, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 1.0]
    message.p = [FOCAL, 0.0, WIDTH / 2, 0.0, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.header.frame_id = frame
    return message


def stamp_of(ns: int) -> Time:
    seconds, nanoseconds = divmod(ns, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


class ServoGraph(Operator):
    """Camera, gimbal and tracker of one servo: each is published as long as it is not None.

    What a test changes is published from the next tick on; the gimbal stands unless a test moves it.
    """

    operated = NODE

    def __init__(self, process: subprocess.Popen[str] | None = None) -> None:
        super().__init__("rig", process=process)
        self.commands: list[TwistStamped] = []
        self.states: list[ServoState] = []
        self.positions: list[JointState] = []
        self.trajectories: list[JointTrajectory] = []
        self.vehicle: list[TwistStamped] = []
        self.diagnostics: list[DiagnosticArray] = []
        subscribe, kept = self.node.create_subscription, QoSProfile(depth=1000)
        subscribe(TwistStamped, "cmd_rate", self.commands.append, kept)
        subscribe(ServoState, "servo_state", self.states.append, kept)
        subscribe(JointState, "cmd_position", self.positions.append, kept)
        subscribe(JointTrajectory, "cmd_trajectory", self.trajectories.append, kept)
        subscribe(TwistStamped, "cmd_vel", self.vehicle.append, kept)
        subscribe(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)

        publish = self.node.create_publisher
        self.track_publisher = publish(TrackArray, "tracks", 10)
        self.joint_publisher = publish(JointState, "joint_states", qos_profile_sensor_data)
        self.attitude_publisher = publish(QuaternionStamped, "attitude", qos_profile_sensor_data)
        self.info_publisher = publish(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.manual_publisher = publish(TwistStamped, "manual_rate", 10)
        self.range_publisher = publish(Range, "range", qos_profile_sensor_data)
        self.odometry_publisher = publish(Odometry, "odom", qos_profile_sensor_data)
        self.clock_publisher = publish(Clock, "/clock", 10)
        self._tick = 0
        self.changed: list[str] = []
        self._next_tick = time.monotonic()
        self.simulated_ns: int | None = None
        self.calm()

    def calm(self) -> None:
        """All is well: the target stands to the right of the centre and above it."""
        self.info: CameraInfo | None = camera_info()
        self.joints: dict[str, float] | None = {"pan_joint": 0.0, "tilt_joint": 0.0}
        self.joints_are_stamped = True
        self.quaternion: QuaternionStamped | None = None
        self.track: Track | None = Track(
            id="1",
            generation=1,
            state=Track.TRACKING,
            confidence=0.9,
            bbox=BoundingBox2D(center_x=RIGHT_AND_UP[0], center_y=RIGHT_AND_UP[1], size_x=60.0, size_y=40.0),
        )
        self.more_tracks: list[Track] = []
        self.track_frame = FRAME
        self.track_size = (WIDTH, HEIGHT)
        self.before_tick: Callable[[float], None] | None = None
        self.track_latency_s = 0.0
        self._late: deque[tuple[int, TrackArray]] = deque()
        self.manual: TwistStamped | None = None
        self.range: Range | None = None
        self.odometry: Odometry | None = None

    # What the world does

    def now_ns(self) -> int:
        return time.time_ns() if self.simulated_ns is None else self.simulated_ns

    def _play(self) -> None:
        if time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + TICK_S
        self._tick += 1
        if self.simulated_ns is not None:
            self.simulated_ns += round(TICK_S * 1e9)
            self.clock_publisher.publish(Clock(clock=stamp_of(self.simulated_ns)))
        stamp = stamp_of(self.now_ns())
        if self.before_tick is not None:
            self.before_tick(self.now_ns() * 1e-9)
        if self.joints is not None:
            joints = JointState(name=list(self.joints), position=list(self.joints.values()))
            joints.header.stamp = stamp if self.joints_are_stamped else Time()
            self.joint_publisher.publish(joints)
        if self._tick % 4 == 0 and self.track is not None:
            due_ns = self.now_ns() + round(self.track_latency_s * 1e9)
            self._late.append((due_ns, self._tracks([self.track, *self.more_tracks])))
        while self._late and self._late[0][0] <= self.now_ns():
            self.track_publisher.publish(self._late.popleft()[1])
        for message, publisher, every in (
            (self.quaternion, self.attitude_publisher, 1),
            (self.odometry, self.odometry_publisher, 1),
            (self.manual, self.manual_publisher, 2),
            (self.range, self.range_publisher, 4),
            (self.info, self.info_publisher, 10),
        ):
            if message is not None and self._tick % every == 0:
                message.header.stamp = stamp
                publisher.publish(message)

    def _tracks(self, tracks: list[Track]) -> TrackArray:
        message = TrackArray(image_width=self.track_size[0], image_height=self.track_size[1])
        message.tracks = [copy.deepcopy(track) for track in tracks]
        message.header.stamp, message.header.frame_id = stamp_of(self.now_ns()), self.track_frame
        return message

    def report(self, *tracks: Track) -> int:
        """Publish these tracks now, whatever is published otherwise; when, ns."""
        self.track_publisher.publish(self._tracks(list(tracks)))
        return self.now_ns()

    def wait(
        self,
        until: Callable[[], Any],
        what: str,
        each: Callable[[], None] | None = None,
        alive: bool = True,
    ) -> Any:
        """Play on until `until()` is true, and return it. Fails after DEADLINE_S, or if the node ends."""
        deadline = time.monotonic() + DEADLINE_S
        while not (result := until()):
            assert time.monotonic() < deadline, (
                f"waited in vain for {what}; state: {self.states[-1:]}, command: {self.commands[-1:]}"
            )
            if alive:
                assert self._process is None or self._process.poll() is None, "the node has ended"
            self._play()
            if each is not None:
                each()
            self._executor.spin_once(timeout_sec=0.002)
        return result

    # What an operator does

    def set(self, name: str, value: Any) -> None:
        """Set a parameter, to be set back before the next test."""
        assert self.set_parameter(name, value) == ""
        self.changed.insert(0, name)

    def arm(self, on: bool = True) -> Any:
        return self.ask(SetBool, f"{NODE}/arm", data=on)

    def activate(self) -> None:
        """From unconfigured to active."""
        assert self.change_state("configure")
        assert self.change_state("activate")

    def follow_still(self) -> None:
        """From unconfigured to following a target that asks for no motion."""
        self.activate()
        assert self.arm().success
        self.reaches(ServoState.ARMED)

    def follow(self) -> None:
        """From unconfigured to following the target: moving."""
        self.activate()
        assert self.arm().success
        self.moves()

    # What comes out

    def moves(self) -> TwistStamped:
        """Wait until the gimbal is told to move, steadily."""
        self.commands.clear()
        self.wait(
            lambda: len(self.commands) > 2 and all(map(moving, self.commands[-3:])), "a command that moves"
        )
        return self.commands[-1]

    def stands(self, count: int = 10) -> None:
        """Wait until the gimbal is told to stand, `count` times in a row."""
        self.commands.clear()
        self.wait(
            lambda: len(self.commands) >= count and not any(map(moving, self.commands[-count:])),
            "zero, repeated",
        )

    def reaches(self, state: int, words: str = "") -> ServoState:
        """Wait until the node reports this state, with a reason that has `words`, anew."""
        self.states.clear()
        self.wait(
            lambda: self.states and self.states[-1].state == state and words in self.states[-1].reason,
            f"state {state} '{words}'",
        )
        return self.states[-1]

    def diagnosis(self, words: str) -> tuple[bytes, dict[str, str]]:
        """Wait for diagnostics of the servo whose summary has `words`; their level and values."""

        def found() -> Any:
            for message in reversed(self.diagnostics):
                for status in message.status:
                    if words in status.message:
                        return status.level, {value.key: value.value for value in status.values}
            return None

        self.diagnostics.clear()
        return self.wait(found, f"diagnostics with '{words}'")


def moving(command: TwistStamped) -> bool:
    """Whether a command is anything but zero, NaN included."""
    numbers = (
        *(command.twist.linear.x, command.twist.linear.y, command.twist.linear.z),
        *(command.twist.angular.x, command.twist.angular.y, command.twist.angular.z),
    )
    return any(number != 0 or math.isnan(number) for number in numbers)


def servo_process(
    *arguments: str, script: Path | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A servo node, or `script` in its place."""
    return node_process(script or NODE, *arguments)
