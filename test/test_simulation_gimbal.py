"""The simulated gimbal against what is known of first-order lags, limits, stops and play."""

from __future__ import annotations

import math

import numpy as np
import pytest

from siam_tracker_ros.control.errors import LimitError
from siam_tracker_ros.control.frames import PanTilt
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.gimbal import Gimbal, GimbalConfig

STILL = PanTilt(0.0, 0.0)
# Nothing but the lag.
PLAIN = GimbalConfig(lag_s=0.05, rate_limit=100.0, acceleration_limit=1e5)


def test_a_rate_is_taken_up_with_the_time_constant() -> None:
    gimbal = Gimbal(PLAIN)
    gimbal.command_rates(PanTilt(0.4, -0.2))
    gimbal.step(0.05)
    assert gimbal.rates == pytest.approx((0.4 * (1 - math.exp(-1)), -0.2 * (1 - math.exp(-1))), rel=1e-6)
    gimbal.step(0.95)
    # A first-order lag arrives its time constant late.
    assert gimbal.encoders == pytest.approx((0.4 * (1 - 0.05), -0.2 * (1 - 0.05)), rel=1e-3)


def test_the_steps_taken_make_no_difference() -> None:
    many, one = Gimbal(PLAIN), Gimbal(PLAIN)
    for gimbal in (many, one):
        gimbal.command_rates(PanTilt(0.5, 0.5))
    one.step(0.3)
    for _ in range(100):
        many.step(0.003)
    assert many.encoders == pytest.approx(one.encoders, abs=1e-4)


def test_a_position_is_approached_by_63_percent_in_a_time_constant() -> None:
    gimbal = Gimbal(PLAIN)
    gimbal.command_positions(PanTilt(0.3, 0.1))
    gimbal.step(0.05)
    assert gimbal.encoders == pytest.approx((0.3 * (1 - math.exp(-1)), 0.1 * (1 - math.exp(-1))), rel=0.03)
    gimbal.step(1.0)
    assert gimbal.encoders == pytest.approx((0.3, 0.1), abs=1e-6)


def test_rate_and_acceleration_are_limited() -> None:
    gimbal = Gimbal(GimbalConfig(lag_s=0.0, rate_limit=0.5, acceleration_limit=2.0))
    gimbal.command_rates(PanTilt(3.0, 0.0))
    gimbal.step(0.1)
    assert gimbal.rates.pan == pytest.approx(0.2, rel=1e-6)  # 2 rad/s^2 for 0.1 s
    assert gimbal.encoders.pan == pytest.approx(0.5 * 2.0 * 0.1**2, rel=1e-6)
    gimbal.step(1.0)
    assert gimbal.rates.pan == pytest.approx(0.5)


def test_a_far_position_is_reached_without_overshoot() -> None:
    gimbal = Gimbal(GimbalConfig(lag_s=0.02, rate_limit=2.0, acceleration_limit=5.0))
    gimbal.command_positions(PanTilt(1.5, 0.0))
    seen = []
    for _ in range(300):
        gimbal.step(0.01)
        seen.append(gimbal.encoders.pan)
    assert max(seen) < 1.5 + 1e-3
    assert seen[-1] == pytest.approx(1.5, abs=1e-3)
    assert np.abs(np.diff(seen, 2)).max() <= 5.0 * 0.01**2 * 1.01


def test_a_stop_stops_the_joint_and_lets_it_leave() -> None:
    gimbal = Gimbal(GimbalConfig(lag_s=0.05, pan_stops=(-0.1, 0.1)))
    gimbal.command_rates(PanTilt(1.0, 0.0))
    gimbal.step(1.0)
    assert gimbal.encoders.pan == 0.1
    assert gimbal.rates.pan == 0.0
    gimbal.command_rates(PanTilt(-1.0, 0.0))
    gimbal.step(0.1)
    assert gimbal.encoders.pan < 0.08


def test_the_camera_stays_until_the_play_is_used_up() -> None:
    gimbal = Gimbal(GimbalConfig(lag_s=0.0, backlash=0.02, acceleration_limit=1e5))
    gimbal.command_positions(PanTilt(0.1, 0.0))
    gimbal.step(1.0)
    assert gimbal.encoders.pan == pytest.approx(0.1, abs=1e-6)
    assert gimbal.camera_joints.pan == pytest.approx(0.09, abs=1e-6)  # half of the play behind
    gimbal.command_positions(PanTilt(0.085, 0.0))
    gimbal.step(1.0)
    assert gimbal.camera_joints.pan == pytest.approx(0.09, abs=1e-6)  # the motor turned back within it
    assert gimbal.camera_rates.pan == 0.0
    gimbal.command_positions(PanTilt(0.05, 0.0))
    gimbal.step(1.0)
    assert gimbal.camera_joints.pan == pytest.approx(0.06, abs=1e-6)


def test_a_command_that_is_not_finite_stops() -> None:
    gimbal = Gimbal(PLAIN)
    gimbal.command_rates(PanTilt(0.5, 0.5))
    gimbal.step(1.0)
    gimbal.command_rates(PanTilt(math.nan, 0.5))
    gimbal.step(1.0)
    assert gimbal.rates == pytest.approx((0.0, 0.5), abs=1e-6)
    gimbal.command_positions(PanTilt(math.inf, 0.0))
    gimbal.step(1.0)
    assert math.isfinite(gimbal.encoders.pan)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"lag_s": -0.1}, LimitError),
        ({"rate_limit": 0.0}, LimitError),
        ({"acceleration_limit": math.inf}, LimitError),
        ({"backlash": math.nan}, LimitError),
        ({"pan_stops": (0.2, -0.2)}, SimulationError),
        ({"tilt_stops": (-math.inf, 0.1)}, SimulationError),
    ],
)
def test_wrong_settings_are_named(wrong: dict, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(wrong))):
        GimbalConfig(**wrong)
