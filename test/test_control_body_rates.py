"""A base that turns by itself: what stands still seems to move, and the servo knows why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from siam_tracker_ros.control.body_rates import BodyRates, apparent_rates
from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.errors import NotFiniteError
from siam_tracker_ros.control.frames import LineOfSight, PanTilt, attitude_of, rotation_matrix
from siam_tracker_ros.control.line_of_sight import (
    angle_between,
    bearing_of,
    direction_of,
    pointing_of,
    sight_along,
)
from siam_tracker_ros.control.servo import Servo, TrackObservation
from siam_tracker_ros.control.supervisor import ServoState, TrackState
from siam_tracker_ros.control.target_filter import TargetState, turned

AHEAD = LineOfSight(0.0, 0.0)
TO_THE_LEFT = LineOfSight(math.pi / 2, 0.0)
CAMERA = camera_model(640, 480, "plumb_bob", (), (600.0, 0, 320, 0, 600, 240, 0, 0, 1))
PERIOD = 0.02


@pytest.mark.parametrize(
    ("sight", "body", "azimuth", "elevation"),
    [
        (AHEAD, (0, 0, 0.5), -0.5, 0),  # yawing left, what is ahead drifts to the right
        (AHEAD, (0, 0.5, 0), 0, 0.5),  # nose down, it rises
        (AHEAD, (0.5, 0, 0), 0, 0),  # rolling, it stays
        (TO_THE_LEFT, (0.5, 0, 0), 0, -0.5),  # the left side up, what is there sinks
        (TO_THE_LEFT, (0, 0.5, 0), 0, 0),
        (LineOfSight(0.0, math.radians(60)), (0, 0, 0.5), -0.5, 0),  # azimuth turns about the vertical
    ],
)
def test_what_stands_still_seems_to_move(
    sight: LineOfSight, body: tuple[float, ...], azimuth: float, elevation: float
) -> None:
    rates = apparent_rates(sight, np.array(body, float))
    assert tuple(rates) == pytest.approx((azimuth, elevation), abs=1e-12)


def body_rates(*samples: tuple[float, float, float, float]) -> BodyRates:
    rates = BodyRates()
    for stamp, *turn in samples:
        rates.add(stamp, turn)
    return rates


def test_a_turn_between_two_times() -> None:
    rates = body_rates(*((0.1 * k, 0.0, 0.0, 1.0) for k in range(11)))
    seen = sight_along(rates.turn(0.25, 0.75) @ direction_of(AHEAD))
    assert seen.azimuth == pytest.approx(-0.5)
    assert seen.elevation == pytest.approx(0.0)


def test_turns_about_changing_axes_are_put_together_in_order() -> None:
    """A quarter turn to the left, then the nose a quarter turn down: what was ahead stays to the right."""
    rates = BodyRates(keep_s=10.0, max_gap_s=1.1)
    quarter = math.pi / 2
    for stamp, turn in (
        (0.0, (0, 0, quarter)),
        (1.0, (0, 0, quarter)),
        (1.001, (0, quarter, 0)),
        (2.0, (0, quarter, 0)),
    ):
        rates.add(stamp, turn)
    moved = rates.turn(0.0, 2.0) @ direction_of(AHEAD)
    assert moved == pytest.approx([0.0, -1.0, 0.0], abs=5e-3)


def test_gaps_and_what_is_not_measured_stand_still() -> None:
    rates = body_rates((0.0, 0, 0, 1.0), (1.0, 0, 0, 1.0))
    assert rates.turn(0.1, 0.9) == pytest.approx(np.eye(3))
    carried_on = sight_along(rates.turn(1.0, 5.0) @ direction_of(AHEAD))
    assert carried_on.azimuth == pytest.approx(-0.2)  # for max_gap_s
    assert not rates.at(2.0).any()
    assert rates.at(1.1).tolist() == [0, 0, 1]
    assert BodyRates().turn(0.0, 1.0) is None
    with pytest.raises(NotFiniteError):
        rates.add(2.0, (0.0, math.nan, 0.0))


def test_an_estimate_turns_with_its_rates() -> None:
    """Seen ahead and rising, from a base that has rolled a quarter turn to the right: now moving left."""
    roll = rotation_matrix((-math.sin(math.pi / 4), 0.0, 0.0, math.cos(math.pi / 4)))
    state = TargetState(0.0, np.array([0.0, 0.0, 0.0, 0.3]), np.eye(4), 0.0)
    assert turned(state, roll).mean == pytest.approx([0.0, 0.0, 0.3, 0.0], abs=1e-12)


def sway(t: float) -> tuple[np.ndarray, np.ndarray]:
    """World from base, and the base's angular velocity: yaw and pitch that swing at about 30 degrees/s."""
    yaw, pitch = 0.3 * math.sin(1.8 * t), 0.15 * math.sin(2.5 * t)
    yaw_rate, pitch_rate = 0.54 * math.cos(1.8 * t), 0.375 * math.cos(2.5 * t)
    attitude = rotation_matrix(attitude_of(PanTilt(yaw, pitch)))
    return attitude, np.array([-yaw_rate * math.sin(pitch), pitch_rate, yaw_rate * math.cos(pitch)])


def pointing_error_deg(with_odometry: bool, late_odometry: float = 0.0) -> float:
    """RMS error of a gimbal that follows what stands still in the world from a base that sways; degrees."""
    servo = Servo(CAMERA)
    servo.arm()
    joints, rates = np.zeros(2), np.zeros(2)
    waiting: list[tuple[float, TrackObservation]] = []
    errors: list[float] = []
    world = direction_of(LineOfSight(0.1, 0.1))
    for tick in range(400):
        t = tick * PERIOD
        base, _ = sway(t)
        sight = sight_along(base.T @ world)
        pan_tilt = PanTilt(joints[0], -joints[1])
        servo.observe_joints(t, pan_tilt)
        if with_odometry:
            servo.observe_body_rates(t - late_odometry, sway(t - late_odometry)[1])
        if tick % 2 == 0:
            u, v = CAMERA.pixel(bearing_of(sight, attitude_of(pan_tilt)))
            waiting.append((t + 0.1, TrackObservation(t, 1, TrackState.TRACKING, 0.95, (u, v), (60, 60))))
        while waiting and waiting[0][0] <= t + 1e-9:
            servo.observe_track(waiting.pop(0)[1])
        command = servo.step(t)
        errors.append(math.degrees(angle_between(sight, pointing_of(attitude_of(pan_tilt)))))
        rates += (np.array(command.rates) - rates) * (1 - math.exp(-PERIOD / 0.05))
        joints += rates * PERIOD
    assert command.state == ServoState.ARMED
    return math.sqrt(sum(error**2 for error in errors[100:]) / len(errors[100:]))


def test_a_swaying_base_is_turned_against() -> None:
    without = pointing_error_deg(with_odometry=False)
    assert pointing_error_deg(with_odometry=True) < 0.25 * without
    assert pointing_error_deg(with_odometry=True, late_odometry=0.04) < 0.5 * without


def test_body_rates_that_are_not_finite_are_a_fault() -> None:
    servo = Servo(CAMERA)
    servo.arm()
    servo.observe_body_rates(0.0, (0.0, 0.0, math.inf))
    assert servo.step(0.0).state == ServoState.FAULT
