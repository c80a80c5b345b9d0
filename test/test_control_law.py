"""Limits, the servo law, the image-based error and the actuator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from siam_tracker_ros.control.actuator import lagged_rates, point_of_rest
from siam_tracker_ros.control.errors import LimitError, NoBearingError
from siam_tracker_ros.control.frames import (
    ZERO_RATES,
    AngularRates,
    LineOfSight,
    PanTilt,
    attitude_of,
    checked_quaternion,
)
from siam_tracker_ros.control.image_based import image_error, rotation_interaction_matrix
from siam_tracker_ros.control.limits import AxisLimits, SlewLimits, braking_speed, limited_rate, slewed
from siam_tracker_ros.control.line_of_sight import bearing_of, pointing_of
from siam_tracker_ros.control.servo_law import AxisState, ServoGains, axis_command, without_deadband

LIMITS = AxisLimits(1.0, 4.0, -1.0, 1.0)
ENDLESS = AxisLimits(1.0, 4.0, None, None)
DT = 0.01


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, -1.0, 0.0])
def test_limits_that_limit_nothing_are_refused(bad: float) -> None:
    with pytest.raises(LimitError, match="rate"):
        AxisLimits(bad, 1.0, None, None)
    with pytest.raises(LimitError, match="acceleration"):
        AxisLimits(1.0, bad, None, None)
    with pytest.raises(LimitError, match="speed"):
        SlewLimits(bad, 1.0)
    with pytest.raises(LimitError, match="proportional"):
        ServoGains(proportional=bad)


def test_stops_are_two_finite_angles_in_order_or_none() -> None:
    for lower, upper in [(None, 1.0), (-1.0, None), (-math.inf, 1.0), (-1.0, math.nan), (1.0, -1.0)]:
        with pytest.raises(LimitError, match="stops"):
            AxisLimits(1.0, 1.0, lower, upper)


@pytest.mark.parametrize(
    "wrong",
    [{"integral": -1.0}, {"deadband": math.inf}, {"tracking_time_s": 0.0}, {"anti_windup": "hope"}],
)
def test_gains_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(LimitError, match=next(iter(wrong))):
        ServoGains(**wrong)


def test_no_limit_is_ever_exceeded_whatever_comes_in() -> None:
    rng = np.random.default_rng(0)
    odd = np.array([math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0])

    def value(scale: float) -> float:
        return float(rng.choice(odd)) if rng.random() < 0.1 else float(rng.normal(0, scale))

    for anti_windup in ("back_calculation", "conditional"):
        gains, state = ServoGains(anti_windup=anti_windup, integral=2.0), AxisState()
        for _ in range(2000):
            error, target_rate, position = value(1.0), value(1.0), value(0.8)
            dt = float(rng.choice([0.0, 0.001, 0.01, 0.1, -0.1, math.nan, math.inf]))
            command = axis_command(error, target_rate, position, dt, state, gains, LIMITS)
            assert math.isfinite(command.rate)
            assert math.isfinite(command.state.integral)
            assert abs(command.rate) <= LIMITS.rate
            if not all(map(math.isfinite, (error, target_rate, position, dt))):
                assert (command.rate, command.valid) == (0.0, False)
            elif command.valid:
                room = position - LIMITS.lower, LIMITS.upper - position
                assert -max(room[0], 0) * 1e3 <= command.rate <= max(room[1], 0) * 1e3
                caps = [braking_speed(distance, LIMITS.acceleration, max(dt, 0)) for distance in room]
                free = -caps[0] < command.rate < caps[1]
                if free:
                    change = LIMITS.acceleration * max(dt, 0.0)
                    assert abs(command.rate - state.rate) <= change + 1e-12
            state = command.state


@pytest.mark.parametrize("dt", [0.002, 0.01, 0.05])
def test_it_tapers_to_a_stop_within_the_travel_and_the_acceleration(dt: float) -> None:
    position, rate, passed = 0.0, 0.0, []
    for _ in range(int(6 / dt)):
        next_rate = limited_rate(5.0, rate, position, dt, LIMITS)
        assert abs(next_rate - rate) <= LIMITS.acceleration * dt + 1e-12
        rate = next_rate
        position += rate * dt
        passed.append(position)
    assert max(passed) <= LIMITS.upper + 1e-12
    assert position == pytest.approx(LIMITS.upper, abs=0.01)
    # Away from the stop nothing holds it but the acceleration.
    assert limited_rate(-5.0, 0.0, 1.3, dt, LIMITS) == pytest.approx(-LIMITS.acceleration * dt)
    assert limited_rate(5.0, 1.0, 1.3, dt, LIMITS) == 0.0


def test_an_endless_joint_has_no_stops() -> None:
    assert limited_rate(0.5, 0.5, 100.0, DT, ENDLESS) == 0.5


def test_slewing() -> None:
    limits = SlewLimits(2.0, 1.0)
    assert slewed(5.0, 0.0, 0.1, limits) == pytest.approx(0.1)
    assert slewed(-5.0, 0.0, 0.1, limits) == pytest.approx(-0.1)
    assert slewed(5.0, 1.95, 0.1, limits) == 2.0
    assert slewed(0.05, 0.0, 0.1, limits) == 0.05


def test_the_deadband_is_without_a_step() -> None:
    assert without_deadband(0.009, 0.01) == 0.0
    assert without_deadband(0.012, 0.01) == pytest.approx(0.002)
    assert without_deadband(-0.012, 0.01) == pytest.approx(-0.002)
    gains = ServoGains(deadband=0.01)
    assert axis_command(0.005, 0.0, 0.0, DT, AxisState(), gains, LIMITS).rate == 0.0


def test_the_law_is_the_sum_of_its_parts() -> None:
    gains = ServoGains(proportional=5.0, integral=2.0, feed_forward=0.5, deadband=0.0)
    state = AxisState(integral=0.03, rate=0.5)
    command = axis_command(0.04, 0.6, 0.0, 0.1, state, gains, LIMITS)
    assert command.rate == pytest.approx(5.0 * 0.04 + 0.03 + 0.5 * 0.6)
    assert not command.saturated
    assert command.state.integral == pytest.approx(0.03 + 2.0 * 0.04 * 0.1)
    half = axis_command(0.04, 0.6, 0.0, 0.1, state, gains, LIMITS, authority=0.5)
    assert half.rate == pytest.approx(command.rate / 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_command_has_the_sign_of_the_error(sign: float) -> None:
    command = axis_command(sign * 0.2, 0.0, 0.0, DT, AxisState(), ServoGains(), LIMITS)
    assert math.copysign(1.0, command.rate) == sign
    assert command.saturated  # by the acceleration limit


@pytest.mark.parametrize("anti_windup", ["back_calculation", "conditional"])
def test_anti_windup_recovers_where_an_integrator_alone_does_not(anti_windup: str) -> None:
    def overshoot(**strategy: Any) -> float:
        """How far past its target an axis goes after 3 s against a rate limit."""
        gains = ServoGains(integral=4.0, integral_limit=50.0, integral_zone=50.0, **strategy)
        state, position, worst = AxisState(), 0.0, 0.0
        for _ in range(800):
            command = axis_command(0.6 - position, 0.0, position, DT, state, gains, slow)
            state, position = command.state, position + command.rate * DT
            worst = max(worst, position - 0.6)
        assert position == pytest.approx(0.6, abs=0.3)
        return worst

    slow = AxisLimits(0.2, 10.0, None, None)
    unprotected = overshoot(anti_windup="back_calculation", tracking_time_s=1e9)
    assert unprotected > 0.1
    assert overshoot(anti_windup=anti_windup) < 0.02


def test_large_errors_are_not_integrated_and_the_integral_is_bounded() -> None:
    gains = ServoGains(integral=50.0, integral_zone=0.05, integral_limit=0.1, deadband=0.0)
    state = AxisState()
    for _ in range(200):
        state = axis_command(0.06, 0.0, 0.0, DT, state, gains, ENDLESS).state
    assert state.integral == 0.0
    for _ in range(200):
        state = axis_command(0.04, 0.0, 0.0, DT, state, gains, ENDLESS).state
    assert state.integral == pytest.approx(0.1)


def test_the_interaction_matrix_is_the_derivative_of_the_projection() -> None:
    point, omega, dt = np.array([0.3, -0.2, 1.0]), np.array([0.4, -0.7, 0.5]), 1e-6
    moved = point - np.cross(omega, point) * dt  # the camera turns one way, the world the other
    flow = (moved[:2] / moved[2] - point[:2]) / dt
    np.testing.assert_allclose(rotation_interaction_matrix(0.3, -0.2) @ omega, flow, atol=1e-5)


@pytest.mark.parametrize(
    ("bearing", "signs"),
    [((0.1, 0, 1), (-1, 0)), ((-0.1, 0, 1), (1, 0)), ((0, -0.1, 1), (0, 1)), ((0, 0.1, 1), (0, -1))],
    ids=["target right: turn right", "left: left", "above: up", "below: down"],
)
def test_signs_of_the_image_based_error(bearing: tuple, signs: tuple) -> None:
    error = image_error(np.array(bearing), attitude_of(PanTilt(0.7, 0.0)))
    np.testing.assert_allclose(error, np.array(signs) * 0.1, atol=1e-3)


@pytest.mark.parametrize("roll", [0.0, 0.6])
@pytest.mark.parametrize("elevation", [-1.2, 0.0, 0.8])
def test_the_image_based_error_draws_the_target_straight_to_the_centre(roll: float, elevation: float) -> None:
    target = LineOfSight(0.25, elevation + 0.15)
    pan, tilt = 0.0, -elevation
    angles = []
    for _ in range(400):
        level, (x, w) = attitude_of(PanTilt(pan, tilt)), (math.sin(roll / 2), math.cos(roll / 2))
        lx, ly, lz, lw = level
        attitude = checked_quaternion((lw * x + lx * w, ly * w + lz * x, lz * w - ly * x, lw * w - lx * x))
        assert pointing_of(attitude).elevation == pytest.approx(-tilt)
        bearing = bearing_of(target, attitude)
        point = bearing[:2] / bearing[2]
        if np.linalg.norm(point) < 1e-4:
            break
        angles.append(math.atan2(point[1], point[0]))
        azimuth_error, elevation_error = image_error(bearing, attitude)
        pan, tilt = pan + 0.05 * azimuth_error, tilt - 0.05 * elevation_error
    else:
        pytest.fail("the target did not reach the centre")
    assert np.ptp(np.unwrap(angles)) < 0.02


def test_image_based_stays_bounded_where_it_is_singular() -> None:
    down = attitude_of(PanTilt(0.0, math.pi / 2))
    assert all(map(math.isfinite, image_error(np.array([0.1, 0.1, 1.0]), down)))
    with pytest.raises(NoBearingError, match="off axis"):
        image_error(np.array([1.0, 0.0, 0.1]), down)


def test_the_point_of_rest_moves_exactly_as_commanded() -> None:
    lag, dt = 0.08, 0.001
    position, rates, commanded = 0.0, ZERO_RATES, 0.0
    rng = np.random.default_rng(4)
    for _ in range(300):
        command = AngularRates(float(rng.normal()), 0.0)
        after = lagged_rates(rates, command, dt, lag)
        # The exact integral of the rate over the step.
        position += command.azimuth * dt - lag * (after.azimuth - rates.azimuth)
        rates = after
        commanded += command.azimuth * dt
    assert point_of_rest(LineOfSight(position, 0.0), rates, 0.0, lag).azimuth == pytest.approx(commanded)
    assert lagged_rates(rates, command, dt, 0.0) == command
