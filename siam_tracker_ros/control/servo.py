"""The whole chain from tracks and attitudes to a command: what a node, a simulator and a tuner all run.

Every time is in seconds on one clock, which must not jump: a caller with stamps of another clock converts
them. Nothing here reads a clock, sleeps or starts a thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from siam_tracker_ros.control.actuator import lagged_rates, point_of_rest
from siam_tracker_ros.control.aim_point import MaskSummary, aim_point
from siam_tracker_ros.control.attitude_history import AttitudeHistory, AttitudeSample
from siam_tracker_ros.control.body_rates import BodyRates, apparent_rates
from siam_tracker_ros.control.camera_model import CameraModel
from siam_tracker_ros.control.errors import (
    AttitudeError,
    NoBearingError,
    NotFiniteError,
    ServoFaultError,
)
from siam_tracker_ros.control.frames import (
    ZERO_RATES,
    AngularRates,
    LineOfSight,
    PanTilt,
    Quaternion,
    attitude_of,
    checked_quaternion,
    from_pan_tilt,
)
from siam_tracker_ros.control.image_based import image_error
from siam_tracker_ros.control.limits import SlewLimits, limited_rate, slewed
from siam_tracker_ros.control.line_of_sight import (
    angle_between,
    bearing_of,
    line_of_sight,
    pointing_error,
    pointing_of,
)
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.servo_law import AxisState, axis_command
from siam_tracker_ros.control.supervisor import (
    Conditions,
    ServoState,
    TrackState,
    Verdict,
    supervise,
)
from siam_tracker_ros.control.target_filter import (
    Innovation,
    TargetState,
    started,
    turned,
    updated,
)
from siam_tracker_ros.control.vehicle_follow import (
    ZERO_VELOCITY,
    Separation,
    VehicleVelocity,
    follow_velocity,
    separation_by_range,
    separation_by_size,
)

_BAD_SAMPLE = (NotFiniteError, AttitudeError)


@dataclass(frozen=True)
class TrackObservation:
    """One track: `stamp` of its image (s), box centre and size (px), confidence 0..1, its mask if it has one.

    `generation` changes whenever the target is initialised anew.
    """

    stamp: float
    generation: int
    state: TrackState
    confidence: float
    center: tuple[float, float]
    size: tuple[float, float]
    mask: MaskSummary | None = None


class ServoCommand(NamedTuple):
    """What goes out in one control period.

    `rates` (rad/s) of azimuth to the left and elevation up; `setpoint` (rad) the same for gimbals that take
    positions, None before any attitude; `vehicle` the vehicle's speeds. For people and diagnostics: `error`,
    the angle (rad) between the optical axis and the target as predicted for now, None without a target;
    `target`, that prediction (rad, base frame); `saturated`: (azimuth, elevation) held back by a limit;
    `track_age` (s); `manual`: the rates were given by hand.
    """

    state: ServoState
    reason: str
    rates: AngularRates
    setpoint: LineOfSight | None
    vehicle: VehicleVelocity
    error: float | None
    target: LineOfSight | None
    saturated: tuple[bool, bool]
    track_age: float | None
    manual: bool


class Servo:
    """Tracks and attitudes in, commands out. Disarmed at first; a fault stays until disarmed.

    One thread at a time: a caller with several guards it. A value that is not finite makes a fault and never
    an exception, so that the next `step` puts out zero.
    """

    def __init__(self, camera: CameraModel, config: ServoConfig | None = None) -> None:
        self.camera = camera
        self.config = config or ServoConfig()
        self._attitudes = AttitudeHistory()
        self._body_rates = BodyRates()
        self._armed = False
        self._fault: str | None = None
        self._range: tuple[float, float] | None = None
        self._track: TrackObservation | None = None
        self._target: TargetState | None = None
        self._wanted_size: float | None = None
        self._wanted_range = self.config.wanted_range_m
        self._axes = (AxisState(), AxisState())
        self._commanded = ZERO_RATES
        self._vehicle = ZERO_VELOCITY
        self._actual = ZERO_RATES
        self._last_step: float | None = None
        self._setpoint: LineOfSight | None = None

    def reset(self) -> None:
        """Forget target, attitudes and ramps, as when the clock jumps; stays armed or disarmed."""
        self._attitudes.clear()
        self._body_rates.clear()
        self._actual = ZERO_RATES
        self._last_step = None
        self._setpoint = None
        self._range = None
        self.forget_target()

    def arm(self) -> None:
        """Allow motion. Raises ServoFaultError while there is a fault: disarming clears it."""
        if self._fault is not None:
            raise ServoFaultError(f"cannot arm: {self._fault}; disarm to clear it")
        if not self._armed:
            self._armed = True
            self._stop()
            self._wanted_size = None
            self._wanted_range = self.config.wanted_range_m

    def disarm(self) -> None:
        """Forbid motion and clear a fault."""
        self._armed = False
        self._fault = None
        self._stop()

    def fail(self, reason: str) -> None:
        """Enter the fault state, as for a wrong frame_id or an exception in the caller's loop."""
        if self._fault is None:
            self._fault = reason

    def observe_quaternion(self, stamp: float, attitude: Sequence[float]) -> None:
        """Take the attitude (x, y, z, w; base from camera body) of a gimbal at `stamp`, s."""
        try:
            self._attitudes.add(stamp, checked_quaternion(attitude))
        except _BAD_SAMPLE as error:
            self.fail(str(error))

    def observe_joints(self, stamp: float, joints: PanTilt) -> None:
        """Take the joint angles, rad, of a gimbal that pans about z and tilts about y, at `stamp`, s."""
        try:
            self._attitudes.add(stamp, attitude_of(joints), from_pan_tilt(joints))
        except _BAD_SAMPLE as error:
            self.fail(str(error))

    def observe_body_rates(self, stamp: float, rates: Sequence[float]) -> None:
        """Take the base's own angular velocity, rad/s about its x, y and z, at `stamp`, s.

        What stands still in the world is then not taken for moving when the base turns, and the gimbal turns
        against it at once. Not for a gimbal that keeps its direction in the world by itself.
        """
        try:
            self._body_rates.add(stamp, rates)
        except NotFiniteError as error:
            self.fail(str(error))

    def observe_range(self, stamp: float, range_m: float) -> None:
        """Take a measured distance to the target, m, at `stamp`, s; it comes before the apparent size."""
        if not (math.isfinite(stamp) and 0 < range_m < math.inf):
            self.fail(f"a range must be a finite number above 0 m, not {range_m} at {stamp}")
        else:
            self._range = (stamp, range_m)

    def forget_target(self) -> None:
        """Start over without a target, as when the tracker reports none."""
        self._track = None
        self._target = None
        self._wanted_size = None
        self._wanted_range = self.config.wanted_range_m
        self._stop()

    def observe_track(self, track: TrackObservation) -> Innovation | None:
        """Take a track. Gives what the target filter made of it, None where there was nothing to measure.

        The box is measured only while the tracker sees the target; a prediction of the tracker is not. One
        not newer than the last is left out, unless it says LOST.
        """
        numbers = (track.stamp, track.confidence, *track.center, *track.size, *(track.mask or ()))
        if not all(map(math.isfinite, numbers)):
            self.fail(f"a track with a value that is not finite: {track}")
            return None
        if self._track is not None and track.generation != self._track.generation:
            self.forget_target()
        track = replace(track, stamp=track.stamp - self.config.stamp_offset_s)
        if self._track is not None and track.stamp <= self._track.stamp:
            if track.state == TrackState.LOST:
                self._track = replace(self._track, state=TrackState.LOST)
            return None
        self._track = track
        if track.state in (TrackState.COASTING, TrackState.LOST):
            return None
        attitude = self._attitudes.at(track.stamp)
        if attitude is None:
            return None
        try:
            aim = aim_point(track.center, track.size, track.mask, self.config.mask)
            sight = line_of_sight(self.camera.bearing(aim.u, aim.v), attitude)
        except NoBearingError:
            return None
        except NotFiniteError as error:
            self.fail(str(error))
            return None
        if self._target is None:
            self._target = started(sight, track.stamp, track.confidence, self.config.target)
            return None
        self._target, innovation = updated(
            self._seen_at(self._target, track.stamp), sight, track.stamp, track.confidence, self.config.target
        )
        return innovation

    def _seen_at(self, target: TargetState, stamp: float) -> TargetState:
        """`target` in the coordinates of the base as it is at `stamp`, s; its own time is kept."""
        turn = self._body_rates.turn(target.stamp, stamp)
        return target if turn is None else turned(target, turn)

    def step(self, now: float, manual: AngularRates | None = None) -> ServoCommand:
        """The command for `now`, s. Call it once a control period, whatever has or has not arrived.

        `manual` rates, rad/s (azimuth left, elevation up), win over everything but the limits: they go out in
        any state, and the vehicle stands meanwhile. Without a fresh attitude the stops are not known and not
        kept. A time before the last one forgets everything that was observed.
        """
        if not math.isfinite(now):
            self.fail(f"the time is {now}")
            now = self._last_step if self._last_step is not None else 0.0
        if self._last_step is not None and now < self._last_step:
            self.reset()  # a clock that goes back, as when a recording starts over
        dt = 0.0 if self._last_step is None else min(now - self._last_step, self.config.max_step_s)
        self._last_step = now
        self._actual = lagged_rates(self._actual, self._commanded, dt, self.config.actuator_lag_s)
        newest = self._attitudes.newest
        verdict = supervise(self._conditions(now, newest), self.config.supervisor)
        self._drop_what_is_ahead(now)
        if manual is not None:
            saturated = self._move_by_hand(now, dt, newest, manual)
            return self._output(now, newest, self._unless_failed(verdict), saturated, True)
        if verdict.authority > 0 and newest is not None and self._target is not None:
            saturated = self._move(now, dt, newest, self._target, verdict)
            verdict = self._unless_failed(verdict)
        else:
            saturated = (False, False)
        if verdict.authority == 0:
            self._stop()
            saturated = (False, False)
        self._advance_setpoint(newest, dt)
        return self._output(now, newest, verdict, saturated, False)

    def _unless_failed(self, verdict: Verdict) -> Verdict:
        """`verdict`, unless there has been a fault since."""
        return verdict if self._fault is None else Verdict(ServoState.FAULT, 0.0, self._fault)

    def _drop_what_is_ahead(self, now: float) -> None:
        """Forget what is stamped in the future: kept, it would make everything that follows look old."""
        latest = now + self.config.supervisor.max_ahead_s
        if self._track is not None and self._track.stamp > latest:
            self.forget_target()
        if self._attitudes.newest is not None and self._attitudes.newest.stamp > latest:
            self._attitudes.clear()

    def _conditions(self, now: float, newest: AttitudeSample | None) -> Conditions:
        track, target = self._track, self._target
        return Conditions(
            self._armed,
            self._fault,
            None if track is None else track.state,
            None if track is None else now - track.stamp,
            None if target is None else now - target.measured,
            None if newest is None else now - newest.stamp,
        )

    def _move(
        self, now: float, dt: float, newest: AttitudeSample, target: TargetState, verdict: Verdict
    ) -> tuple[bool, bool]:
        """One step of the law and of the vehicle's part; returns which axes a limit held back."""
        config = self.config
        lag_s = config.actuator_lag_s
        led = self._seen_at(target, now + lag_s)
        ahead = led.sight_at(now + lag_s)
        own = apparent_rates(ahead, self._body_rates.at(now))
        target_rates = (led.rates.azimuth + own.azimuth, led.rates.elevation + own.elevation)
        rest = point_of_rest(newest.position, self._actual, now - newest.stamp, lag_s)
        # Seen from the point of rest, the target is nearer by what the axes have still to turn.
        aim = LineOfSight(
            ahead.azimuth - (rest.azimuth - newest.position.azimuth),
            ahead.elevation - (rest.elevation - newest.position.elevation),
        )
        errors = pointing_error(aim, pointing_of(newest.attitude))
        if config.law == "image_based":
            errors = self._image_errors(aim, newest.attitude) or errors
        commands = [
            axis_command(error, rate, position, dt, state, config.gains, limits, verdict.authority)
            for error, rate, position, state, limits in zip(
                errors, target_rates, rest, self._axes, (config.azimuth, config.elevation), strict=True
            )
        ]
        if not all(command.valid for command in commands):
            self.fail("the law was given a value that is not finite")
            return (False, False)
        self._axes = (commands[0].state, commands[1].state)
        self._commanded = AngularRates(commands[0].rate, commands[1].rate)
        if config.follow is not None:
            self._vehicle = follow_velocity(
                self._seen_at(target, now).sight_at(now),
                self._separation(now),
                self._vehicle,
                dt,
                config.follow,
                verdict.authority,
            )
        return (commands[0].saturated, commands[1].saturated)

    def _move_by_hand(
        self, now: float, dt: float, newest: AttitudeSample | None, manual: AngularRates
    ) -> tuple[bool, bool]:
        """One step towards rates given by hand, within the limits; returns which axes a limit held back."""
        if not all(map(math.isfinite, manual)):
            self.fail(f"manual rates {tuple(manual)} are not finite")
            self._stop()
            return (False, False)
        before = self._commanded
        self._stop()
        axes = (self.config.azimuth, self.config.elevation)
        if newest is None or now - newest.stamp > self.config.supervisor.attitude_timeout_s:
            given = [
                slewed(rate, previous, dt, SlewLimits(limits.rate, limits.acceleration))
                for rate, previous, limits in zip(manual, before, axes, strict=True)
            ]
        else:
            lag_s = self.config.actuator_lag_s
            rest = point_of_rest(newest.position, self._actual, now - newest.stamp, lag_s)
            given = [
                limited_rate(rate, previous, position, dt, limits)
                for rate, previous, position, limits in zip(manual, before, rest, axes, strict=True)
            ]
        self._commanded = AngularRates(*given)
        self._axes = (AxisState(rate=given[0]), AxisState(rate=given[1]))
        self._advance_setpoint(newest, dt)
        return (given[0] != manual.azimuth, given[1] != manual.elevation)

    @staticmethod
    def _image_errors(target: LineOfSight, attitude: Quaternion) -> tuple[float, float] | None:
        """Image-based error; None where the target is too far off axis for it."""
        try:
            return image_error(bearing_of(target, attitude), attitude)
        except NoBearingError:
            return None

    def _separation(self, now: float) -> Separation | None:
        """Separation by range if one is fresh, else by size; what is seen first is kept, unless set."""
        track = self._track
        if self._range is not None and now - self._range[0] <= self.config.supervisor.track_timeout_s:
            if self._wanted_range is None:
                self._wanted_range = self._range[1]
            return separation_by_range(self._range[1], self._wanted_range)
        if track is None or track.state == TrackState.COASTING:
            return None
        size = math.sqrt(track.size[0] * track.size[1])
        if self._wanted_size is None:
            self._wanted_size = size
        return separation_by_size(size, self._wanted_size)

    def _advance_setpoint(self, newest: AttitudeSample | None, dt: float) -> None:
        """Carry the position set-point along with the commanded rates; it stands where they are zero."""
        if newest is None:
            return
        if self._setpoint is None or (not self._armed and self._commanded == ZERO_RATES):
            self._setpoint = newest.position
            return
        lead = self.config.max_setpoint_lead
        moved = [
            min(max(angle + rate * dt, where - lead), where + lead) if rate else angle
            for angle, rate, where in zip(self._setpoint, self._commanded, newest.position, strict=True)
        ]
        for axis, limits in enumerate((self.config.azimuth, self.config.elevation)):
            if limits.lower is not None and limits.upper is not None:
                moved[axis] = min(max(moved[axis], limits.lower), limits.upper)
        self._setpoint = LineOfSight(*moved)

    def _output(
        self,
        now: float,
        newest: AttitudeSample | None,
        verdict: Verdict,
        saturated: tuple[bool, bool],
        manual: bool,
    ) -> ServoCommand:
        sight = None if self._target is None else self._seen_at(self._target, now).sight_at(now)
        error = None
        if sight is not None and newest is not None:
            error = angle_between(sight, pointing_of(newest.attitude))
        return ServoCommand(
            verdict.state,
            verdict.reason,
            self._commanded,
            self._setpoint,
            self._vehicle,
            error,
            sight,
            saturated,
            None if self._track is None else now - self._track.stamp,
            manual,
        )

    def _stop(self) -> None:
        """Zero out, and start the ramps and integrals over."""
        self._axes = (AxisState(), AxisState())
        self._commanded = ZERO_RATES
        self._vehicle = ZERO_VELOCITY
