"""The servo against the simulated gimbal: a pan-tilt camera, a first-order actuator, a late tracker."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.frames import LineOfSight, PanTilt, attitude_of, wrap_angle
from siam_tracker_ros.control.line_of_sight import bearing_of
from siam_tracker_ros.control.servo import Servo, TrackObservation
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.servo_law import ServoGains
from siam_tracker_ros.control.supervisor import ServoState, TrackState
from siam_tracker_ros.simulation.closed_loop import LoopConfig, LoopRun, run_closed_loop
from siam_tracker_ros.simulation.gimbal import GimbalConfig
from siam_tracker_ros.simulation.target_path import TargetPath, target_path

CAMERA = camera_model(
    640, 480, "plumb_bob", (-0.2, 0.05, 0.001, -0.001, 0.0), (600.0, 0, 320, 0, 600, 240, 0, 0, 1)
)
PERIOD = 0.02
FRAME_EVERY = 2  # control periods: 25 images a second
figure_of_eight = target_path("figure_of_eight", math.radians(20), math.radians(23))


def at(t: float) -> int:
    """Control period at time `t`, s."""
    return round(t / PERIOD)


def step_to(azimuth_deg: float, elevation_deg: float) -> TargetPath:
    return lambda t: LineOfSight(math.radians(azimuth_deg), math.radians(elevation_deg))


@dataclass
class Rig:
    """Gimbal with rate input: `lag` s first order; images come `latency` s late, with px noise of `noise`."""

    config: ServoConfig = field(default_factory=ServoConfig)
    latency: float = 0.08
    lag: float = 0.05
    noise: float = 0.5
    stamp_error: float = 0.0
    hidden: tuple[float, float] = (math.inf, math.inf)
    positions: bool = False

    def run(self, motion: TargetPath, seconds: float) -> Run:
        # Without stops: those of the servo are what is tested.
        gimbal = GimbalConfig(lag_s=self.lag, pan_stops=(-9.0, 9.0), tilt_stops=(-9.0, 9.0))
        loop = LoopConfig(
            self.config,
            gimbal,
            self.latency,
            self.noise,
            self.stamp_error,
            frame_rate=1 / (FRAME_EVERY * PERIOD),
            control_rate=1 / PERIOD,
            hidden=self.hidden,
            positions=self.positions,
        )
        return Run(run_closed_loop(CAMERA, motion, seconds, loop))


class Run:
    """A loop's run in degrees, angles as azimuth and elevation."""

    def __init__(self, run: LoopRun) -> None:
        self.t = run.record.t.tolist()
        self.error = np.degrees(run.record.error).tolist()
        self.joints = np.array(run.joints) * (1, -1)
        self.commands = run.commands
        self._record = run.record

    def rms(self, start: float, end: float = math.inf) -> float:
        return math.degrees(self._record.between(start, end).rms())


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
