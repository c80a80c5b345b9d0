"""Following with the vehicle: signs, speed, acceleration and distance limits, small closed loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.errors import LimitError, NotFiniteError
from siam_tracker_ros.control.frames import LineOfSight
from siam_tracker_ros.control.limits import SlewLimits
from siam_tracker_ros.control.servo import Servo, TrackObservation
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.control.vehicle_follow import (
    ZERO_VELOCITY,
    FollowConfig,
    Separation,
    VehicleVelocity,
    follow_velocity,
    separation_by_range,
    separation_by_size,
)

AHEAD = LineOfSight(0.0, 0.0)
CONFIG = FollowConfig(climb_gain=1.0)
DT = 0.05


def settled(
    sight: LineOfSight, separation: Separation | None, config: FollowConfig = CONFIG
) -> VehicleVelocity:
    """What is commanded once the ramps are over."""
    velocity = ZERO_VELOCITY
    for _ in range(200):
        velocity = follow_velocity(sight, separation, velocity, DT, config)
    return velocity


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_yaws_and_climbs_towards_the_target(sign: float) -> None:
    velocity = settled(LineOfSight(sign * 0.2, 0.0), None)  # azimuth positive: to the left, as yaw
    assert velocity.yaw * sign == pytest.approx(CONFIG.yaw_gain * (0.2 - CONFIG.yaw_deadband))
    assert velocity.forward == velocity.climb == 0.0
    velocity = settled(LineOfSight(0.0, sign * 0.2), None)
    assert velocity.climb * sign == pytest.approx(0.2 - CONFIG.climb_deadband)
    assert settled(LineOfSight(0.0, sign * 0.2), None, FollowConfig()).climb == 0.0  # unless asked to


def test_smaller_than_when_armed_is_further_away_so_forward() -> None:
    assert separation_by_size(40.0, 80.0) == Separation(2.0, None)
    assert settled(AHEAD, separation_by_size(60.0, 80.0)).forward > 0.1
    assert settled(AHEAD, separation_by_size(110.0, 80.0)).forward < -0.1
    assert settled(AHEAD, separation_by_size(80.0, 80.0)).forward == 0.0
    assert separation_by_range(12.0, 8.0) == Separation(1.5, 12.0)
    assert settled(AHEAD, separation_by_range(12.0, 8.0)).forward > 0.1
    assert settled(AHEAD, separation_by_range(6.0, 8.0)).forward < -0.1


def test_it_drives_the_slower_the_further_to_the_side_the_target_is() -> None:
    far = separation_by_size(60.0, 80.0)
    speeds = [settled(LineOfSight(math.radians(a), 0.0), far).forward for a in (0, 30, 60, 90, 150)]
    assert speeds[0] > speeds[1] > speeds[2] > 0
    assert speeds[3] == pytest.approx(0.0, abs=1e-9)
    assert speeds[4] == 0.0


def test_no_limit_is_exceeded_whatever_comes_in() -> None:
    rng = np.random.default_rng(3)
    odd = [math.nan, math.inf, -math.inf, 1e300, 0.0, -1.0]

    def value(scale: float) -> float:
        return float(rng.choice(odd)) if rng.random() < 0.1 else float(rng.normal(0, scale))

    previous = ZERO_VELOCITY
    for _ in range(1500):
        sight = LineOfSight(value(2), value(1))
        separation = None if rng.random() < 0.2 else Separation(value(3), rng.choice([None, value(9)]))
        dt = abs(value(0.1))
        velocity = follow_velocity(sight, separation, previous, dt, CONFIG)
        assert all(map(math.isfinite, velocity))
        assert abs(velocity.forward) <= CONFIG.forward.speed
        assert abs(velocity.climb) <= CONFIG.climb.speed
        assert abs(velocity.yaw) <= CONFIG.yaw.speed
        if velocity != ZERO_VELOCITY and math.isfinite(dt):
            assert abs(velocity.yaw - previous.yaw) <= CONFIG.yaw.acceleration * dt + 1e-9
            assert abs(velocity.climb - previous.climb) <= CONFIG.climb.acceleration * dt + 1e-9
            assert velocity.forward - previous.forward <= CONFIG.forward.acceleration * dt + 1e-9
        if separation is None or not separation.ratio > CONFIG.min_ratio:
            assert velocity.forward <= 0.0
        previous = velocity


def test_at_the_minimum_distance_it_stops_at_once() -> None:
    driving = VehicleVelocity(0.8, 0.0, 0.0)
    assert follow_velocity(AHEAD, Separation(0.6, None), driving, DT, CONFIG).forward <= 0.0
    near = CONFIG.min_range_m - 0.1
    assert follow_velocity(AHEAD, Separation(2.0, near), driving, DT, CONFIG).forward <= 0.0
    assert follow_velocity(AHEAD, None, driving, DT, CONFIG).forward <= 0.0


def test_it_never_drives_nearer_than_the_minimum_range() -> None:
    config = FollowConfig(min_range_m=3.0, forward_gain=20.0)
    distance, velocity, closest = 12.0, ZERO_VELOCITY, math.inf
    for _ in range(800):
        # Wanted far too near: 1 m.
        velocity = follow_velocity(AHEAD, separation_by_range(distance, 1.0), velocity, DT, config)
        distance -= velocity.forward * DT
        closest = min(closest, distance)
    assert 3.0 - 1e-9 <= closest < 3.2


def test_it_comes_to_the_size_at_arming_and_to_the_centre() -> None:
    """A target 10 m ahead and 30 degrees to the left drives away, then stands: the first distance is kept."""
    position, heading, velocity = np.array([0.0, 0.0]), 0.0, ZERO_VELOCITY
    target = 10 * np.array([math.cos(0.5), math.sin(0.5)])
    for tick in range(1600):
        if tick < 300:
            target = target + np.array([0.6, 0.0]) * DT
        offset = target - position
        distance = float(np.linalg.norm(offset))
        sight = LineOfSight(math.remainder(math.atan2(offset[1], offset[0]) - heading, math.tau), 0.0)
        velocity = follow_velocity(sight, separation_by_size(500 / distance, 50.0), velocity, DT, CONFIG)
        heading += velocity.yaw * DT
        position = position + velocity.forward * DT * np.array([math.cos(heading), math.sin(heading)])
    assert distance == pytest.approx(10.0, rel=0.08)
    assert abs(sight.azimuth) < 0.02
    assert velocity.forward == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("latency", [0.0, 0.1, 0.2])
def test_a_vehicle_with_a_fixed_camera_turns_to_the_target_without_oscillation(latency: float) -> None:
    """Nothing but the image tells it that it turned, so the latency is inside the loop."""
    camera = camera_model(640, 480, "plumb_bob", (), (500.0, 0, 320, 0, 500, 240, 0, 0, 1))
    servo = Servo(camera, ServoConfig(follow=FollowConfig()))
    servo.arm()
    heading, errors, waiting = 0.0, [], []
    for tick in range(300):
        t = tick * 0.02
        error = 0.4 - heading
        errors.append(error)
        servo.observe_quaternion(t, (0.0, 0.0, 0.0, 1.0))
        if tick % 2 == 0:
            center = (320 - 500 * math.tan(error), 240.0)
            waiting.append(TrackObservation(t, 1, TrackState.TRACKING, 0.9, center, (50.0, 50.0)))
        while waiting and waiting[0].stamp + latency <= t + 1e-9:
            servo.observe_track(waiting.pop(0))
        heading += servo.step(t).vehicle.yaw * 0.02
    assert min(errors) > -0.04
    assert max(map(abs, errors[200:])) < 0.03


def test_authority_scales_and_nothing_known_is_nothing_done() -> None:
    sight, apart = LineOfSight(0.2, 0.0), separation_by_size(60, 80)
    full = settled(sight, apart)
    half = ZERO_VELOCITY
    for _ in range(200):
        half = follow_velocity(sight, apart, half, DT, CONFIG, authority=0.5)
    np.testing.assert_allclose(half, np.array(full) / 2)
    assert follow_velocity(LineOfSight(math.nan, 0.0), apart, full, DT, CONFIG) == ZERO_VELOCITY


def test_settings_and_measurements_that_make_no_sense_are_refused() -> None:
    for wrong in ({"yaw_gain": math.inf}, {"min_range_m": 0.0}, {"min_ratio": 1.2}, {"climb_gain": -1.0}):
        with pytest.raises(LimitError, match=next(iter(wrong))):
            FollowConfig(**wrong)
    with pytest.raises(LimitError, match="speed"):
        FollowConfig(forward=SlewLimits(math.inf, 1.0))
    for size in (0.0, math.nan, -3.0, math.inf):
        with pytest.raises(NotFiniteError):
            separation_by_size(size, 80.0)
        with pytest.raises(NotFiniteError):
            separation_by_range(5.0, size)
