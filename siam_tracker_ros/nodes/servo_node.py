"""The servo as a lifecycle node: tracks and attitudes in, commands of a gimbal or vehicle out."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import QuaternionStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.qos import qos_profile_sensor_data
from rclpy.wait_for_message import wait_for_message
from sensor_msgs.msg import CameraInfo, JointState, Range
from std_srvs.srv import SetBool

from siam_tracker_msgs.msg import ServoState as ServoStateMessage
from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.control.errors import ServoFaultError
from siam_tracker_ros.control.frames import ZERO_RATES, AngularRates, PanTilt
from siam_tracker_ros.control.servo import Servo, ServoCommand
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.control.vehicle_follow import ZERO_VELOCITY
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.camera_of_info import camera_of
from siam_tracker_ros.nodes.loop_clock import LoopClock
from siam_tracker_ros.nodes.mask_decoding import MaskMessageError
from siam_tracker_ros.nodes.mavlink_attitude import MavlinkAttitudeError
from siam_tracker_ros.nodes.mavlink_gimbal import MavlinkGimbalOutput
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.open_outputs import open_outputs
from siam_tracker_ros.nodes.parameter_struct import declare, follow_changes, read
from siam_tracker_ros.nodes.rolling import RollingRate, RollingTimes
from siam_tracker_ros.nodes.servo_diagnostics import ServoHealth, diagnostic_status
from siam_tracker_ros.nodes.servo_messages import servo_state
from siam_tracker_ros.nodes.servo_outputs import ServoOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters, servo_config
from siam_tracker_ros.nodes.track_observation import chosen_track, observation_of
from siam_tracker_ros.nodes.transitions import OrderlyLifecycleNode, lifecycle_state, transition
from siam_tracker_ros.nodes.watchdog import Watchdog

# How often zero is sent before the node falls silent, and how far apart at most, s.
_LAST_ZEROS = 5
_LAST_PERIOD_S = 0.05
_ZERO = ServoCommand(
    ServoState.DISARMED,
    "not active",
    ZERO_RATES,
    None,
    ZERO_VELOCITY,
    None,
    None,
    (False, False),
    None,
    False,
)


class NoCameraInfoError(SiamTrackerError, RuntimeError):
    """Nothing came on the topic camera_info."""


def _standing(command: ServoCommand) -> ServoCommand:
    """The same, with nothing moving: rates and speeds zero, the set-point where it was."""
    return command._replace(rates=ZERO_RATES, vehicle=ZERO_VELOCITY, manual=False, saturated=(False, False))


def _observes(body: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A subscription's callback: whatever it raises makes a fault, so that zero goes out."""

    @wraps(body)
    def callback(node: ServoNode, message: Any) -> None:
        try:
            node.forget_if_time_jumped()
            body(node, message)
        except Exception as error:
            node.fault(f"{body.__name__.removeprefix('_on_')}: {type(error).__name__}: {error}")

    return callback


class ServoNode(OrderlyLifecycleNode):
    """Publishes the gimbal's and the vehicle's commands and `servo_state` from `tracks` and the attitude.

    Diagnostics and `~/arm` are there as long as the node; the outputs from configure to cleanup; the
    subscriptions, the loop and its watchdog while active. Everything but the watchdog runs in the executor's
    thread.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("servo_node", **options)
        declare(self, ServoParameters)
        self._settings = read(self, ServoParameters)
        servo_config(self._settings)  # what contradicts itself is refused at once
        self._servo: Servo | None = None
        self._camera_info: CameraInfo | None = None
        self._outputs: list[ServoOutput] = []
        self._state_publisher: Any = None
        self._inputs: list[Any] = []
        self._loop: Any = None
        self._watchdog: Watchdog | None = None
        self._sending = threading.Lock()
        self._stood_still = False
        self._clock_of_loop = LoopClock(self.get_clock())
        self._followed, self._generation = "", 0
        self._manual: tuple[float, AngularRates] | None = None
        self._last = _ZERO
        self._last_step = 0.0
        self._standstills = self._time_jumps = 0
        self._warned: set[str] = set()
        self._forget_rates()

        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_service(SetBool, "~/arm", self._on_arm)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            self._settings.diagnostics_period, self._publish_diagnostics, clock=self._steady
        )
        follow_changes(self, ServoParameters, self._take_parameters, self._is_unconfigured, servo_config)

    # Transitions

    @transition
    def on_configure(self) -> None:
        """Read the parameters, wait for `camera_info`, open the outputs. All or nothing."""
        self._trouble = ""
        self._settings = read(self, ServoParameters)
        config = servo_config(self._settings)
        info = self._wait_for_camera_info()
        camera = camera_of(info, self._settings.image_rectified)
        self._outputs = open_outputs(self, self._settings)
        self._state_publisher = self.create_publisher(ServoStateMessage, "servo_state", 10)
        self._servo, self._camera_info = Servo(camera, config), info
        self.get_logger().info(
            f"configured: {camera.width} x {camera.height} px, {camera.distortion_model}, "
            f"frame {info.header.frame_id!r}; disarmed"
        )

    @transition
    def on_activate(self) -> None:
        """Listen, and start the loop and its watchdog; disarmed."""
        self._trouble = ""
        settings = self._settings
        period_s = 1.0 / settings.control_rate
        simulated = bool(self.get_parameter("use_sim_time").value)
        self._clock_of_loop = LoopClock(self.get_clock())
        self._manual, self._last, self._warned = None, _ZERO, set()
        self._followed, self._generation = "", 0
        self._standstills = self._time_jumps = 0
        self._forget_rates()
        self._last_step = time.monotonic()
        self._stood_still = False
        self._subscribe()
        standstill_s = settings.simulated_watchdog_timeout if simulated else settings.watchdog_timeout
        self._watchdog = Watchdog(standstill_s, period_s, self._on_standstill)
        self._watchdog.start()
        self._loop = self.create_timer(period_s, self._step, clock=None if simulated else self._steady)

    def close(self) -> None:
        """What shutdown does, also from within a failed transition; the last zeros go out."""
        try:
            self._deactivate()
        finally:
            self._clean_up()

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent: never, as each is given at once."""
        return False

    def _deactivate(self) -> None:
        """Send zero a few times, fall silent and disarm. Camera and outputs stay."""
        moved = self._loop is not None
        if self._loop is not None:
            self.destroy_timer(self._loop)
        self._loop = None
        if self._watchdog is not None:
            self._watchdog.stop()
        self._watchdog = None
        try:
            if moved:
                self._send_last_zeros()
        finally:
            for subscription in self._inputs:
                self.destroy_subscription(subscription)
            self._inputs = []
            if self._servo is not None:
                self._servo.disarm()
                self._servo.reset()

    def _send_last_zeros(self) -> None:
        last = _standing(self._last)._replace(state=ServoState.DISARMED, reason="not active any more")
        for number in range(_LAST_ZEROS):
            if number:
                time.sleep(min(1.0 / self._settings.control_rate, _LAST_PERIOD_S))
            with self._sending:
                self._send(last, 0.0)

    def _clean_up(self) -> None:
        """Close the outputs and forget the camera."""
        for output in self._outputs:
            output.close()
        self._outputs = []
        if self._state_publisher is not None:
            self.destroy_publisher(self._state_publisher)
        self._state_publisher = self._servo = self._camera_info = None

    def _wait_for_camera_info(self) -> CameraInfo:
        seconds = self._settings.camera_info_timeout
        found, message = wait_for_message(
            CameraInfo, self, "camera_info", qos_profile=qos_profile_sensor_data, time_to_wait=seconds
        )
        if not found or message is None:
            raise NoCameraInfoError(
                f"nothing came on {self.resolve_topic_name('camera_info')} for {seconds:g} s: without the "
                "camera's calibration there are no bearings; start the camera, or remap camera_info"
            )
        return message

    # Parameters

    def _take_parameters(self, settings: ServoParameters) -> None:
        self._settings = settings
        self._timer.timer_period_ns = round(self._settings.diagnostics_period * 1e9)
        if self._servo is not None:
            self._servo.config = servo_config(self._settings)

    # What comes in

    def _subscribe(self) -> None:
        best_effort = qos_profile_sensor_data  # matches publishers of either kind
        wanted = [
            (TrackArray, "tracks", self._on_tracks, 10),
            (CameraInfo, "camera_info", self._on_camera_info, best_effort),
            (TwistStamped, "manual_rate", self._on_manual_rate, best_effort),
            (Range, "range", self._on_range, best_effort),
        ]
        if self._settings.attitude_source == "joint_states":
            wanted.append((JointState, "joint_states", self._on_joint_states, best_effort))
        elif self._settings.attitude_source == "quaternion":
            wanted.append((QuaternionStamped, "attitude", self._on_attitude, best_effort))
        if self._settings.use_odometry:
            wanted.append((Odometry, "odom", self._on_odometry, best_effort))
        self._inputs = [self.create_subscription(*one) for one in wanted]

    @property
    def _active_servo(self) -> Servo:
        if self._servo is None:
            raise RuntimeError("the node is not configured")
        return self._servo

    def fault(self, reason: str) -> None:
        """Zero goes out until disarmed."""
        if self._servo is not None:
            self._servo.fail(reason)

    def forget_if_time_jumped(self) -> None:
        """Start over where stamps taken before no longer fit the clock."""
        if self._clock_of_loop.has_jumped():
            self._time_jumps += 1
            self.get_logger().warning("the clock jumped: target and attitudes are forgotten, zero goes out")
            self._active_servo.reset()

    @_observes
    def _on_tracks(self, message: TrackArray) -> None:
        servo, camera = self._active_servo, self._active_servo.camera
        self._track_rate.tick(time.monotonic())
        expected = self._camera_info.header.frame_id if self._camera_info else ""
        if message.header.frame_id != expected:
            servo.fail(f"tracks are in frame {message.header.frame_id!r}, camera_info in {expected!r}")
            return
        if (message.image_width, message.image_height) != (camera.width, camera.height):
            servo.fail(
                f"tracks are of images of {message.image_width} x {message.image_height} px, "
                f"camera_info is of {camera.width} x {camera.height} px"
            )
            return
        track = chosen_track(message.tracks, self._settings.target_id, self._followed)
        if track is None or track.id != self._followed:
            servo.forget_target()
        self._followed, self._generation = ("", 0) if track is None else (track.id, track.generation)
        if track is None:
            return
        stamp = self._clock_of_loop.of_stamp(message.header.stamp)
        try:
            observation = observation_of(track, stamp)
        except MaskMessageError as error:
            self._warn_once("mask", f"the box is aimed at: {error}")
            observation = observation_of(track, stamp, with_mask=False)
        servo.observe_track(observation)

    @_observes
    def _on_camera_info(self, message: CameraInfo) -> None:
        before = self._camera_info
        if before is None or _calibration(message) == _calibration(before):
            return
        if message.header.frame_id != before.header.frame_id:
            self.fault(
                f"camera_info changed its frame from {before.header.frame_id!r} to "
                f"{message.header.frame_id!r}: configure the node again"
            )
            return
        # A camera that zooms, or was switched to another size.
        self._active_servo.camera = camera_of(message, self._settings.image_rectified)
        self._camera_info = message

    @_observes
    def _on_joint_states(self, message: JointState) -> None:
        names = (self._settings.pan_joint, self._settings.tilt_joint)
        if any(name not in message.name for name in names):
            return  # of other joints of the robot
        pan, tilt = (message.position[message.name.index(name)] for name in names)
        self._attitude_rate.tick(time.monotonic())
        self._warn_of_no_stamp("joint_states", message)
        stamp = self._clock_of_loop.of_stamp(message.header.stamp)
        self._active_servo.observe_joints(stamp, PanTilt(pan, tilt))

    @_observes
    def _on_attitude(self, message: QuaternionStamped) -> None:
        if message.header.frame_id != self._settings.base_frame:
            self.fault(
                f"attitude is in frame {message.header.frame_id!r}, not in {self._settings.base_frame!r} "
                "(parameter base_frame)"
            )
            return
        self._attitude_rate.tick(time.monotonic())
        self._warn_of_no_stamp("attitude", message)
        stamp, q = self._clock_of_loop.of_stamp(message.header.stamp), message.quaternion
        self._active_servo.observe_quaternion(stamp, (q.x, q.y, q.z, q.w))

    @_observes
    def _on_manual_rate(self, message: TwistStamped) -> None:
        if message.header.frame_id not in ("", self._settings.base_frame):
            self.fault(
                f"manual_rate is in frame {message.header.frame_id!r}, not in "
                f"{self._settings.base_frame!r} (parameter base_frame)"
            )
            return
        # By its arrival: whose hand it is may have another clock.
        turn = message.twist.angular
        self._manual = (time.monotonic(), AngularRates(turn.z, -turn.y))

    @_observes
    def _on_odometry(self, message: Odometry) -> None:
        if message.child_frame_id != self._settings.vehicle_frame:
            self.fault(
                f"odom is of {message.child_frame_id!r}, not of {self._settings.vehicle_frame!r} "
                "(parameter vehicle_frame)"
            )
            return
        turn = message.twist.twist.angular
        stamp = self._clock_of_loop.of_stamp(message.header.stamp)
        self._active_servo.observe_body_rates(stamp, (turn.x, turn.y, turn.z))

    @_observes
    def _on_range(self, message: Range) -> None:
        # REP-117: infinities are "nothing in reach", NaN is a broken sensor.
        inside = message.min_range <= message.range <= message.max_range
        if inside or math.isnan(message.range):
            self._active_servo.observe_range(
                self._clock_of_loop.of_stamp(message.header.stamp), message.range
            )

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        servo = self._servo
        if servo is None or self._loop is None:
            response.success = not request.data
            response.message = "the node is not active: it is disarmed"
            return response
        try:
            if request.data:
                servo.arm()
            else:
                servo.disarm()
        except ServoFaultError as error:
            response.message = str(error)
        else:
            response.success = True
            response.message = "armed" if request.data else "disarmed"
        self.get_logger().info(f"asked to {'arm' if request.data else 'disarm'}: {response.message}")
        return response

    def _warn_of_no_stamp(self, topic: str, message: Any) -> None:
        stamp = message.header.stamp
        if stamp.sec == 0 and stamp.nanosec == 0 and not self.get_clock().ros_time_is_active:
            self._warn_once(topic, f"{topic} comes without stamps: it counts as stale, and zero goes out")

    def _warn_once(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self.get_logger().warning(text)

    # The loop

    def _step(self) -> None:
        started = time.monotonic()
        jitter_ms = (started - self._last_step - 1.0 / self._settings.control_rate) * 1e3
        self._last_step = started
        try:
            command = self._next_command(started)
        except Exception as error:
            reason = f"exception in the loop: {type(error).__name__}: {error}"
            self.fault(reason)
            command = _standing(self._last)._replace(state=ServoState.FAULT, reason=reason)
        with self._sending:
            if self._stood_still:  # what was computed meanwhile is of the past
                self._stood_still = False
                self._active_servo.reset()
                reason = "the control loop stood still: target and attitudes are forgotten"
                command = _standing(command)._replace(state=ServoState.HOLDING, reason=reason)
            if self._watchdog is not None:
                self._watchdog.beat()
            self._send(command, jitter_ms)
        before, self._last = self._last.state, command
        if command.state != before:
            change = f"{before.name} -> {command.state.name}: {command.reason}"
            # Two lines, as rclpy takes one severity from each.
            if command.state == ServoState.FAULT:
                self.get_logger().error(change)
            else:
                self.get_logger().info(change)
        self._loop_rate.tick(started)
        self._times.record(jitter=abs(jitter_ms), step=(time.monotonic() - started) * 1e3)

    def _next_command(self, steady_now: float) -> ServoCommand:
        servo = self._active_servo
        self.forget_if_time_jumped()
        now = self._clock_of_loop.now()
        if self._settings.attitude_source == "fixed":
            servo.observe_joints(now, PanTilt(0.0, -self._settings.fixed_elevation))
        elif self._settings.attitude_source == "mavlink":
            self._observe_mavlink_attitudes(servo, now)
        manual = None
        if self._manual is not None and steady_now - self._manual[0] <= self._settings.manual_timeout:
            manual = self._manual[1]
        return servo.step(now, manual)

    def _observe_mavlink_attitudes(self, servo: Servo, now: float) -> None:
        try:
            for output in self._outputs:
                if isinstance(output, MavlinkGimbalOutput):
                    for stamp, attitude in output.take_attitudes(now):
                        self._attitude_rate.tick(time.monotonic())
                        servo.observe_quaternion(stamp, attitude)
        except MavlinkAttitudeError as error:
            servo.fail(str(error))

    def _on_standstill(self, quiet_s: float) -> None:
        """The watchdog's thread: the loop stands still, so zero goes out from here."""
        reason = f"the control loop has stood still for {quiet_s:.2f} s"
        locked = self._sending.acquire(timeout=1.0 / self._settings.control_rate)
        try:
            if not self._stood_still:
                self._standstills += 1
                self.get_logger().error(f"{reason}: zero goes out")
            self._stood_still = True
            self._send(_standing(self._last)._replace(state=ServoState.HOLDING, reason=reason), quiet_s * 1e3)
        finally:
            if locked:
                self._sending.release()

    def _send(self, command: ServoCommand, jitter_ms: float) -> None:
        stamp = self.get_clock().now().to_msg()
        for output in self._outputs:
            try:
                output.send(command, stamp)
            except Exception as error:  # the others still have to hear of it
                self.fault(f"cannot send the command: {type(error).__name__}: {error}")
        self._state_publisher.publish(
            servo_state(
                command, stamp, self._settings.base_frame, self._followed, self._generation, jitter_ms
            )
        )

    # Diagnostics

    def _forget_rates(self) -> None:
        self._loop_rate, self._track_rate, self._attitude_rate = RollingRate(), RollingRate(), RollingRate()
        self._times = RollingTimes()

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        name = f"{self.get_fully_qualified_name().lstrip('/')}: servo"
        message.status.append(diagnostic_status(name, self._health()))
        self._diagnostics.publish(message)

    def _health(self) -> ServoHealth:
        now, servo, settings = time.monotonic(), self._servo, self._settings
        outputs = tuple(name for name in (settings.gimbal_output, settings.vehicle_output) if name != "none")
        return ServoHealth(
            lifecycle=lifecycle_state(self),
            trouble=self._trouble or "; ".join(one.trouble for one in self._outputs if one.trouble),
            command=self._last if self._loop is not None and self._last is not _ZERO else None,
            target_id=self._followed,
            loop_rate=self._loop_rate.per_second(now),
            track_rate=self._track_rate.per_second(now),
            attitude_rate=self._attitude_rate.per_second(now),
            loop_ms=self._times.percentiles(50, 95),
            standstills=self._standstills,
            time_jumps=self._time_jumps,
            outputs=outputs,
            camera=f"{servo.camera.width} x {servo.camera.height} px" if servo else "",
        )


def _calibration(message: CameraInfo) -> tuple[Any, ...]:
    """What of a CameraInfo makes the camera model, and its frame."""
    roi = message.roi
    return (
        message.header.frame_id,
        message.width,
        message.height,
        message.distortion_model,
        tuple(message.d),
        tuple(message.k),
        tuple(message.p),
        (message.binning_x, message.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the exit status."""
    return run_node(ServoNode, argv)


if __name__ == "__main__":
    sys.exit(main())
