"""A simulated camera on a simulated gimbal: images, joints and the truth out, commands in."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped, Vector3Stamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.control.frames import PanTilt, attitude_of
from siam_tracker_ros.control.line_of_sight import bearing_of, direction_of
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.gimbal_sim_messages import (
    camera_info,
    direction,
    joint_state,
    truth_mask,
    truth_tracks,
)
from siam_tracker_ros.nodes.gimbal_sim_parameters import GimbalSimParameters, simulator_of
from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImagePublisher
from siam_tracker_ros.nodes.image_messages import image_message, jpeg_message
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.parameter_struct import declare, read
from siam_tracker_ros.simulation.simulator import Frame

_NS = 1_000_000_000
# Simulated time begins here: a stamp of zero means "none" in many messages.
_FIRST_STAMP_S = 1.0
# The loop looks at least this often whether it is to end, s.
_LONGEST_WAIT_S = 0.1
_SAME_STAMP_S = 1e-6
_JPEG_QUALITY = 90


class GimbalSimNode(Node):  # type: ignore[misc]
    """Publishes `image_raw` (as JPEG too), `camera_info`, `joint_states`, the truth, and maybe `/clock`.

    One thread makes the time pass and publishes; the executor's takes in what comes. With clock step the time
    stands while an answer is due: the command for the present period, the tracks of the latest image.
    """

    def __init__(self, exchange: ImageExchange | None = None, **options: Any) -> None:
        super().__init__("gimbal_sim_node", **options)
        declare(self, GimbalSimParameters)
        self._settings = settings = read(self, GimbalSimParameters)
        self._simulator = simulator_of(settings)
        self._camera_info = camera_info(settings)
        self._steps = settings.clock == "step"
        self._news = threading.Condition()
        self._began_ns = round(_FIRST_STAMP_S * _NS) if self._steps else self._clock_ns()
        self._last_tick_steady = time.monotonic()
        self._ticks = 0
        self._command_answers = _Answers(settings.command_rate > 0)
        self._track_answers = _Answers(settings.wait_for_tracks)
        self._last_seen_s = 0.0

        publish, best_effort = self.create_publisher, qos_profile_sensor_data
        # Reliable publishers serve both kinds of subscribers; on the wall clock they may be held up by one.
        images = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE) if self._steps else best_effort
        self._images = ImagePublisher(self, Image, "image_raw", images, exchange)
        jpegs = f"{self.resolve_topic_name('image_raw')}/compressed"
        self._jpegs = ImagePublisher(self, CompressedImage, jpegs, best_effort, exchange)
        self._camera_infos = publish(CameraInfo, "camera_info", 10)
        self._joints = publish(JointState, "joint_states", 10)
        self._truth_tracks = publish(TrackArray, "truth/tracks", 10)
        self._truth_masks = publish(Image, "truth/mask", best_effort)
        self._truth_bearings = publish(Vector3Stamped, "truth/bearing", 10)
        self._truth_directions = publish(Vector3Stamped, "truth/direction", 10)
        self._clocks = publish(Clock, "/clock", 10) if self._steps else None
        self.create_subscription(TwistStamped, "cmd_rate", self._on_rate, 10)
        self.create_subscription(JointState, "cmd_position", self._on_position, 10)
        if self._steps:
            self.create_subscription(TrackArray, "tracks", self._on_tracks, 10)
        self.create_service(Trigger, "~/start", self._on_start)
        if settings.start == "at_once":
            self._simulator.start_path()

    def simulate(self, stop: threading.Event) -> int:
        """Let the time pass until `stop` is set; the exit status."""
        while not stop.is_set():
            self._ticks += 1
            until = self._ticks / self._settings.joint_rate
            if self._steps:
                self._keep_pace(until, stop)
                self._tick(until)
                self._wait_for_answers(until, stop)
            elif self._sleep(until, stop):
                self._tick(until)
        return 0

    def close(self) -> None:
        """Nothing is held that has to be let go of."""

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent: never, as each is given at once."""
        return False

    # The thread that simulates

    def _tick(self, until: float) -> None:
        """Let the time pass to `until` (s), and publish what came of it."""
        with self._news:
            frames = self._simulator.advance(until, draw=self._is_watched())
            gimbal = self._simulator.gimbal
            encoders, rates, camera = gimbal.encoders, gimbal.rates, gimbal.camera_joints
            sight = self._simulator.sight_at(until)
        for frame in frames:
            self._publish_frame(frame)
        settings, stamp = self._settings, self._stamp(until)
        base = Header(stamp=stamp, frame_id=settings.base_frame)
        optical = Header(stamp=stamp, frame_id=settings.optical_frame)
        self._joints.publish(joint_state(base, settings, encoders, rates))
        self._truth_bearings.publish(direction(optical, bearing_of(sight, attitude_of(camera))))
        self._truth_directions.publish(direction(base, direction_of(sight)))
        if self._clocks is not None:
            self._clocks.publish(Clock(clock=stamp))

    def _publish_frame(self, frame: Frame) -> None:
        settings, truth = self._settings, frame.truth
        header = Header(stamp=self._stamp(truth.stamp), frame_id=settings.optical_frame)
        if truth.state == TrackState.TRACKING:
            self._last_seen_s = truth.stamp
        self._camera_info.header = header
        self._camera_infos.publish(self._camera_info)
        if frame.image is not None:
            self._images.publish(image_message(header, "bgr8", frame.image))
            self._track_answers.ask(truth.stamp)
            if self._jpegs.get_subscription_count():
                self._jpegs.publish(jpeg_message(header, frame.image, _JPEG_QUALITY))
        hidden_s = truth.stamp - self._last_seen_s
        self._truth_tracks.publish(truth_tracks(header, settings, truth, hidden_s))
        if self._truth_masks.get_subscription_count():
            self._truth_masks.publish(truth_mask(header, settings, truth))

    def _is_watched(self) -> bool:
        return bool(self._images.get_subscription_count() or self._jpegs.get_subscription_count())

    def _sleep(self, until: float, stop: threading.Event) -> bool:
        """Wait for the clock to reach `until` (s); whether it did."""
        while (left := until - (self._clock_ns() - self._began_ns) / _NS) > 0:
            if stop.wait(min(left, _LONGEST_WAIT_S)):
                return False
        return True

    def _keep_pace(self, until: float, stop: threading.Event) -> None:
        """Hold simulated time back to its pace; without answers to 1, so that others have time to come up."""
        pace = self._settings.pace if self._is_answered() else 1.0
        if not pace:
            return
        due = self._last_tick_steady + 1 / (self._settings.joint_rate * pace)
        stop.wait(max(due - time.monotonic(), 0.0))

    def _wait_for_answers(self, until: float, stop: threading.Event) -> None:
        self._last_tick_steady = time.monotonic()
        if self._settings.command_rate > 0:
            self._command_answers.ask(until - 1 / self._settings.command_rate + 2 * _SAME_STAMP_S)
        for answers, what in ((self._command_answers, "commands"), (self._track_answers, "tracks")):
            self._wait_for(answers, what, stop)

    def _wait_for(self, answers: _Answers, what: str, stop: threading.Event) -> None:
        deadline = time.monotonic() + self._settings.answer_timeout
        with self._news:
            while answers.is_due() and not stop.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    answers.give_up()
                    self.get_logger().warning(
                        f"no {what} for {self._settings.answer_timeout:g} s: time runs on without them"
                    )
                    return
                self._news.wait(min(left, _LONGEST_WAIT_S))

    def _is_answered(self) -> bool:
        return self._command_answers.flowing or self._track_answers.flowing

    # What the executor calls

    def _on_rate(self, message: TwistStamped) -> None:
        if message.header.frame_id not in ("", self._settings.base_frame):
            self._refuse(
                f"cmd_rate is in frame {message.header.frame_id!r}, not in {self._settings.base_frame!r} "
                "(parameter base_frame)"
            )
            return
        turn = message.twist.angular
        if not (math.isfinite(turn.y) and math.isfinite(turn.z)):
            self._refuse(f"cmd_rate is not finite: pan {turn.z}, tilt {turn.y} rad/s")
        with self._news:
            self._simulator.command_rates(PanTilt(turn.z, turn.y))
            self._answered(self._command_answers, message)

    def _on_position(self, message: JointState) -> None:
        angles = dict(zip(message.name, message.position, strict=False))
        try:
            joints = PanTilt(angles[self._settings.pan_joint], angles[self._settings.tilt_joint])
        except KeyError as error:
            self._refuse(f"cmd_position has no angle of joint {error.args[0]!r}; it has {sorted(angles)}")
            return
        if not all(map(math.isfinite, joints)):
            self._refuse(f"cmd_position is not finite: pan {joints.pan}, tilt {joints.tilt} rad")
        with self._news:
            self._simulator.command_positions(joints)
            self._answered(self._command_answers, message)

    def _on_tracks(self, message: TrackArray) -> None:
        with self._news:
            self._answered(self._track_answers, message)

    def _answered(self, answers: _Answers, message: Any) -> None:
        answers.take((stamp_ns(message.header.stamp) - self._began_ns) / _NS)
        self._news.notify_all()

    def _on_start(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._news:
            self._simulator.start_path()
            at = self._simulator.time
        response.success = True
        response.message = f"the target sets out at {at + self._began_ns / _NS:.3f} s"
        return response

    def _refuse(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=5.0)

    # Time

    def _clock_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _stamp(self, at: float) -> Time:
        seconds, nanoseconds = divmod(self._began_ns + round(at * _NS), _NS)
        return Time(sec=seconds, nanosec=nanoseconds)


class _Answers:
    """Answers of one kind that simulated time may stand for; they count once the first has come."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._newest = self._due = -math.inf
        self.flowing = False

    def ask(self, stamp: float) -> None:
        """From now on an answer of `stamp` (s) or later is due."""
        self._due = stamp

    def take(self, stamp: float) -> None:
        """An answer of `stamp` (s) has come."""
        self._newest = stamp
        self.flowing = self._wanted

    def is_due(self) -> bool:
        return self.flowing and self._newest < self._due - _SAME_STAMP_S

    def give_up(self) -> None:
        """Nothing is due until an answer comes again."""
        self.flowing = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the exit status."""
    return run_node(GimbalSimNode, argv, GimbalSimNode.simulate)


if __name__ == "__main__":
    sys.exit(main())
