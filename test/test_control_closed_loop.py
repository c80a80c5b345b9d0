"""The servo against a small simulated gimbal: a pan-tilt camera, a first-order actuator, a late tracker."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.errors import NoBearingError
from siam_tracker_ros.control.frames import LineOfSight, PanTilt, attitude_of, wrap_angle
from siam_tracker_ros.control.line_of_sight import angle_between, bearing_of, pointing_of
from siam_tracker_ros.control.servo import Servo, ServoCommand, TrackObservation
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.servo_law import ServoGains
from siam_tracker_ros.control.supervisor import ServoState, TrackState

CAMERA = camera_model(
    640, 480, "plumb_bob", (-0.2, 0.05, 0.001, -0.001, 0.0), (600.0, 0, 320, 0, 600, 240, 0, 0, 1)
)
PERIOD = 0.02
FRAME_EVERY = 2  # control periods: 25 images a second
Motion = Callable[[float], LineOfSight]


def at(t: float) -> int:
    """Control period at time `t`, s."""
    return round(t / PERIOD)


def figure_of_eight(t: float, peak: float = math.radians(20), period: float = 8.0) -> LineOfSight:
    """Both axes sinusoidal, elevation at twice the frequency; `peak` rad/s is the speed at the crossing."""
    turn = math.tau / period
    azimuth = peak / turn * 0.9
    elevation = math.sqrt(peak**2 - (azimuth * turn) ** 2) / (2 * turn)
    return LineOfSight(azimuth * math.sin(turn * t), elevation * math.sin(2 * turn * t))


def step_to(azimuth_deg: float, elevation_deg: float) -> Motion:
    return lambda t: LineOfSight(math.radians(azimuth_deg), math.radians(elevation_deg))


@dataclass
class Rig:
    """Gimbal with rate input: `lag` s first order; images come `latency` s late, with px noise of `noise`."""

    config: ServoConfig = field(default_factory=ServoConfig)
    latency: float = 0.08
    lag: float = 0.05
    noise: float = 0.5
    stamp_error: float = 0.0
    seed: int = 1
    hidden: tuple[float, float] = (math.inf, math.inf)
    positions: bool = False

    def run(self, motion: Motion, seconds: float) -> Run:
        rng = np.random.default_rng(self.seed)
        servo = Servo(CAMERA, self.config)
        servo.arm()
        joints, rates = np.zeros(2), np.zeros(2)  # azimuth, elevation
        waiting: list[tuple[float, TrackObservation]] = []
        run = Run()
        for tick in range(round(seconds / PERIOD)):
            t = tick * PERIOD
            attitude = attitude_of(PanTilt(joints[0], -joints[1]))
            servo.observe_joints(t, PanTilt(joints[0], -joints[1]))
            if tick % FRAME_EVERY == 0:
                waiting.append((t + self.latency, self._track(t, motion(t), attitude, rng)))
            while waiting and waiting[0][0] <= t + 1e-9:
                servo.observe_track(waiting.pop(0)[1])
            command = servo.step(t)
            run.add(t, angle_between(motion(t), pointing_of(attitude)), joints, command)
            if self.positions and command.setpoint is not None:
                wanted = (np.array(command.setpoint) - joints) / self.lag
                joints = joints + wanted * PERIOD
            else:
                rates = rates + (np.array(command.rates) - rates) * (1 - math.exp(-PERIOD / self.lag))
                joints = joints + rates * PERIOD
        return run

    def _track(
        self, t: float, sight: LineOfSight, attitude: tuple, rng: np.random.Generator
    ) -> TrackObservation:
        seen = not self.hidden[0] <= t < self.hidden[1]
        try:
            u, v = CAMERA.pixel(bearing_of(sight, attitude)) + rng.normal(0, self.noise, 2)
        except NoBearingError:
            seen = False
        if not seen or not (0 <= u < 640 and 0 <= v < 480):
            return TrackObservation(t, 1, TrackState.COASTING, 0.1, (320, 240), (60, 60))
        return TrackObservation(t + self.stamp_error, 1, TrackState.TRACKING, 0.95, (u, v), (60, 60))


@dataclass
class Run:
    t: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    joints: list[np.ndarray] = field(default_factory=list)
    commands: list[ServoCommand] = field(default_factory=list)

    def add(self, t: float, error: float, joints: np.ndarray, command: ServoCommand) -> None:
        self.t.append(t)
        self.error.append(math.degrees(error))
        self.joints.append(joints.copy())
        self.commands.append(command)

    def rms(self, start: float, end: float = math.inf) -> float:
        kept = [error for t, error in zip(self.t, self.error, strict=True) if start <= t < end]
        return math.sqrt(sum(error**2 for error in kept) / len(kept))


@pytest.mark.parametrize("positions", [False, True], ids=["rates", "positions"])
def test_figure_of_eight_at_20_degrees_a_second(positions: bool) -> None:
    run = Rig(positions=positions).run(figure_of_eight, 10.0)
    assert run.rms(2.0) < 1.0
    assert {command.state for command in run.commands[at(2.0) :]} == {ServoState.ARMED}


def test_figure_of_eight_with_the_image_based_law() -> None:
    assert Rig(ServoConfig(law="image_based")).run(figure_of_eight, 10.0).rms(2.0) < 1.0


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.1, 0.15, 0.2])
@pytest.mark.parametrize("law", ["line_of_sight", "image_based"])
def test_a_step_settles_without_oscillation_at_any_latency(latency: float, law: str) -> None:
    run = Rig(ServoConfig(law=law), latency=latency, noise=0.0).run(step_to(15, -8), 5.0)
    turned = np.degrees(run.joints)
    assert turned[:, 0].max() < 16.0  # overshoot
    assert turned[:, 1].min() > -9.0
    assert run.rms(4.0) < 0.15
    last = np.degrees([command.rates for command in run.commands[at(4.0) :]])
    assert np.abs(last).max() < 0.5


@pytest.mark.parametrize(
    ("rig", "what"),
    [
        (Rig(latency=0.2, lag=0.1), "an actuator twice as slow as configured"),
        (Rig(latency=0.2, lag=0.01), "one much faster"),
        (Rig(latency=0.1, stamp_error=0.03), "stamps 30 ms late"),
        (Rig(latency=0.1, stamp_error=-0.03), "stamps 30 ms early"),
        (Rig(latency=0.2, noise=2.0), "noise of 2 px"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_default_gains_bear_what_is_not_as_configured(rig: Rig, what: str) -> None:
    assert rig.run(step_to(-12, 10), 5.0).rms(3.0) < 0.4
    assert rig.run(figure_of_eight, 8.0).rms(2.0) < 2.0


def test_an_occlusion_of_a_second_is_coasted_through() -> None:
    run = Rig(hidden=(5.0, 6.0)).run(lambda t: LineOfSight(math.radians(10 * t - 60), 0.0), 10.0)
    states = [command.state for t, command in zip(run.t, run.commands, strict=True) if 5.2 < t < 5.9]
    assert set(states) == {ServoState.COASTING}
    assert max(run.error[at(5.0) : at(6.2)]) < 4.0
    assert run.rms(7.5) < 0.5


def test_a_target_that_does_not_come_back_stops_the_gimbal() -> None:
    run = Rig(hidden=(3.0, math.inf)).run(lambda t: LineOfSight(math.radians(15 * t - 45), 0.0), 6.5)
    speeds = [command.rates.azimuth for command in run.commands]
    assert speeds[at(4.0)] > math.radians(5)
    assert speeds[-1] == 0.0
    assert run.commands[-1].state == ServoState.HOLDING
    steps = np.abs(np.diff(speeds[at(3.0) :]))
    assert steps.max() <= ServoConfig().azimuth.acceleration * PERIOD + 1e-9  # no jerk on the way


def test_a_target_beyond_the_stop_leaves_the_gimbal_at_it() -> None:
    def swing(t: float) -> LineOfSight:
        return LineOfSight(math.radians(15 * math.sin(t) + 15), 0.0)

    near = replace(ServoConfig().azimuth, upper=math.radians(20))
    run = Rig(ServoConfig(azimuth=near), noise=0.2).run(swing, 8.0)
    azimuth = np.degrees(run.joints)[:, 0]
    assert azimuth.max() < 20.05
    assert azimuth.max() > 19.5
    # Back in reach, it follows at once: nothing has wound up meanwhile.
    assert run.rms(3.8, 6.0) < 1.0


@pytest.mark.parametrize("elevation", [40.0, -20.0], ids=["above", "below"])
def test_the_stops_of_elevation_are_counted_upwards(elevation: float) -> None:
    limits = replace(ServoConfig().elevation, lower=math.radians(-10), upper=math.radians(30))
    run = Rig(ServoConfig(elevation=limits), noise=0.2).run(
        lambda t: LineOfSight(0.0, math.radians(elevation) * min(t / 2, 1.0)), 4.0
    )
    assert math.degrees(run.joints[-1][1]) == pytest.approx(30 if elevation > 0 else -10, abs=0.3)


def test_an_error_across_the_back_is_turned_the_short_way() -> None:
    def circle(t: float) -> LineOfSight:
        return LineOfSight(wrap_angle(math.radians(20 * t)), 0.0)

    endless = replace(ServoConfig().azimuth, lower=None, upper=None)
    run = Rig(ServoConfig(azimuth=endless)).run(circle, 12.0)
    assert math.degrees(run.joints[-1][0]) == pytest.approx(20 * run.t[-1], abs=2)
    assert max(run.error[at(2.0) :]) < 2.0


def test_a_steady_drift_of_the_gimbal_is_integrated_away() -> None:
    def final_error(integral: float) -> float:
        servo = Servo(CAMERA, ServoConfig(gains=ServoGains(integral=integral)))
        servo.arm()
        azimuth = 0.0
        for tick in range(600):
            t = tick * PERIOD
            attitude = attitude_of(PanTilt(azimuth, 0.0))
            servo.observe_joints(t, PanTilt(azimuth, 0.0))
            u, v = CAMERA.pixel(bearing_of(LineOfSight(0.0, 0.0), attitude))
            if tick % FRAME_EVERY == 0:
                track = TrackObservation(t, 1, TrackState.TRACKING, 1.0, (u, v), (50, 50))
                servo.observe_track(track)
            azimuth += (servo.step(t).rates.azimuth - math.radians(3)) * PERIOD
        return abs(math.degrees(azimuth))

    assert final_error(0.0) > 0.4
    # What is left is the drift over the lag, which the commanded rates do not show, and the deadband.
    assert final_error(1.0) < 0.3
