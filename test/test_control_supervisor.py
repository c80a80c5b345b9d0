"""When the servo may move: the supervisor's table, and the whole chain with what a node may feed it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from siam_tracker_ros.control.aim_point import MaskSummary
from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.errors import LimitError, ServoFaultError
from siam_tracker_ros.control.frames import ZERO_RATES, AngularRates, PanTilt
from siam_tracker_ros.control.servo import Servo, ServoCommand, TrackObservation
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.supervisor import (
    Conditions,
    ServoState,
    SupervisorConfig,
    TrackState,
    supervise,
)
from siam_tracker_ros.control.vehicle_follow import ZERO_VELOCITY, FollowConfig
from siam_tracker_ros.tracking import confidence as tracking

CONFIG = SupervisorConfig()
WELL = Conditions(True, None, TrackState.TRACKING, 0.1, 0.1, 0.01)
CAMERA = camera_model(640, 480, "plumb_bob", (), (600.0, 0, 320, 0, 600, 240, 0, 0, 1))
RIGHT_AND_UP = TrackObservation(0.0, 1, TrackState.TRACKING, 0.9, (420.0, 200.0), (60.0, 40.0))
PERIOD = 0.02


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({}, ServoState.ARMED, "TRACKING"),
        ({"track_state": TrackState.UNCERTAIN}, ServoState.ARMED, "UNCERTAIN"),
        ({"armed": False}, ServoState.DISARMED, "not armed"),
        ({"track_state": TrackState.LOST}, ServoState.HOLDING, "LOST"),
        ({"track_state": TrackState.ACQUIRING}, ServoState.HOLDING, "ACQUIRING"),
        ({"track_state": None, "track_age": None}, ServoState.HOLDING, "no track"),
        ({"measured_age": None}, ServoState.HOLDING, "no target"),
        ({"measured_age": 0.8}, ServoState.HOLDING, "no bearing"),
        ({"track_age": 0.51}, ServoState.HOLDING, "track is 0.51 s old"),
        ({"track_age": -0.2}, ServoState.HOLDING, "future"),
        ({"attitude_age": 0.3}, ServoState.HOLDING, "attitude is 0.30 s old"),
        ({"attitude_age": -0.2}, ServoState.HOLDING, "future"),
        ({"attitude_age": None}, ServoState.HOLDING, "no attitude"),
        ({"fault": "wrong frame"}, ServoState.FAULT, "wrong frame"),
        ({"fault": "wrong frame", "armed": False}, ServoState.FAULT, "wrong frame"),
        ({"track_age": math.nan}, ServoState.FAULT, "finite"),
        ({"attitude_age": math.inf}, ServoState.FAULT, "finite"),
    ],
)
def test_the_table(change: dict, state: ServoState, says: str) -> None:
    verdict = supervise(replace(WELL, **change), CONFIG)
    assert verdict.state == state
    assert verdict.authority == (1.0 if state == ServoState.ARMED else 0.0)
    assert says in verdict.reason


def test_coasting_decays_to_zero() -> None:
    coasting = replace(WELL, track_state=TrackState.COASTING)
    ages = [0.1, CONFIG.coast_full_s, 1.0, 1.5, 1.9, 1.99]
    verdicts = [supervise(replace(coasting, measured_age=age), CONFIG) for age in ages]
    shares = [verdict.authority for verdict in verdicts]
    assert {verdict.state for verdict in verdicts} == {ServoState.COASTING}
    assert shares[:2] == [1.0, 1.0]
    assert all(a > b for a, b in pairwise(shares[1:]))
    assert shares[-1] < 0.02
    assert supervise(replace(coasting, measured_age=CONFIG.coast_s), CONFIG).state == ServoState.HOLDING


@pytest.mark.parametrize(
    "wrong",
    [{"track_timeout_s": math.inf}, {"attitude_timeout_s": -1.0}, {"coast_s": math.nan}, {"coast_s": 0.3}],
)
def test_timeouts_that_never_come_are_refused(wrong: dict) -> None:
    with pytest.raises(LimitError, match=next(iter(wrong))):
        SupervisorConfig(**wrong)


def test_the_track_states_are_those_of_the_tracker() -> None:
    assert {s.name: s.value for s in TrackState} == {s.name: s.value for s in tracking.TrackState}


class Bench:
    """A servo on a gimbal that does not move, fed every period until something is held back."""

    def __init__(self, config: ServoConfig | None = None, track: TrackObservation = RIGHT_AND_UP) -> None:
        self.servo = Servo(CAMERA, config)
        self.t = 0.0
        self.track: TrackObservation | None = track
        self.joints: PanTilt | None = PanTilt(0.0, 0.0)

    def run(self, seconds: float = 0.5) -> ServoCommand:
        for _ in range(round(seconds / PERIOD)):
            self.t += PERIOD
            if self.joints is not None:
                self.servo.observe_joints(self.t, self.joints)
            if self.track is not None:
                self.servo.observe_track(replace(self.track, stamp=self.t))
            command = self.servo.step(self.t)
        return command


def armed(config: ServoConfig | None = None, track: TrackObservation = RIGHT_AND_UP) -> Bench:
    bench = Bench(config, track)
    bench.servo.arm()
    return bench


def is_zero(command: ServoCommand) -> bool:
    return command.rates == ZERO_RATES and command.vehicle == ZERO_VELOCITY


def test_disarmed_it_watches_and_armed_it_turns_towards_the_target() -> None:
    bench = Bench()
    command = bench.run()
    assert command.state == ServoState.DISARMED
    assert is_zero(command)
    assert command.error == pytest.approx(math.atan(math.hypot(100, 40) / 600), abs=1e-3)
    bench.servo.arm()
    command = bench.run()
    assert command.state == ServoState.ARMED
    assert command.rates.azimuth < -0.1  # right of the image: to the right, which is negative
    assert command.rates.elevation > 0.1  # above the centre: up
    bench.servo.disarm()
    assert is_zero(bench.run(PERIOD))


@pytest.mark.parametrize("law", ["line_of_sight", "image_based"])
def test_a_mask_moves_the_aim(law: str) -> None:
    mask = MaskSummary(1200.0, 410.0, 195.0)
    command = armed(ServoConfig(law=law), replace(RIGHT_AND_UP, mask=mask)).run()
    assert command.error == pytest.approx(math.atan(math.hypot(90, 45) / 600), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"state": TrackState.LOST}, ServoState.HOLDING),
        ({"confidence": math.nan}, ServoState.FAULT),
        ({"center": (math.nan, 3.0)}, ServoState.FAULT),
        ({"size": (10.0, math.inf)}, ServoState.FAULT),
        ({"size": (10.0, 0.0)}, ServoState.FAULT),
        ({"mask": MaskSummary(math.nan, 1.0, 1.0)}, ServoState.FAULT),
    ],
)
def test_one_bad_track_is_zero_in_the_same_period(change: dict, state: ServoState) -> None:
    bench = armed(ServoConfig(follow=FollowConfig()))
    assert not is_zero(bench.run())
    bench.track = replace(RIGHT_AND_UP, **change)
    command = bench.run(PERIOD)
    assert command.state == state
    assert is_zero(command)


def test_a_fault_stays_until_disarmed_and_a_hold_goes_by_itself() -> None:
    bench = armed()
    bench.run()
    bench.servo.observe_quaternion(bench.t, (math.nan, 0.0, 0.0, 1.0))
    assert bench.run().state == ServoState.FAULT
    with pytest.raises(ServoFaultError, match="disarm"):
        bench.servo.arm()
    bench.servo.disarm()
    assert bench.run().state == ServoState.DISARMED
    bench.servo.arm()
    assert bench.run().state == ServoState.ARMED
    bench.track = replace(RIGHT_AND_UP, state=TrackState.LOST)
    assert bench.run().state == ServoState.HOLDING
    bench.track = RIGHT_AND_UP
    assert bench.run().state == ServoState.ARMED


@pytest.mark.parametrize("joints", [PanTilt(math.inf, 0.0), PanTilt(0.0, math.nan)])
def test_joints_that_are_not_finite_are_a_fault(joints: PanTilt) -> None:
    bench = armed()
    bench.run()
    bench.joints = joints
    command = bench.run(PERIOD)
    assert command.state == ServoState.FAULT
    assert is_zero(command)


def test_a_time_or_a_reason_from_outside_is_a_fault() -> None:
    bench = armed()
    bench.run()
    assert bench.servo.step(math.nan).state == ServoState.FAULT
    other = armed()
    other.run()
    other.servo.fail("the image is of frame 'left', the camera of 'right'")
    command = other.run(PERIOD)
    assert (command.state, command.rates) == (ServoState.FAULT, ZERO_RATES)
    assert "left" in command.reason


@pytest.mark.parametrize("missing", ["track", "joints"])
def test_what_goes_stale_stops_it_and_it_starts_over_with_a_ramp(missing: str) -> None:
    bench = armed()
    bench.run()
    kept = getattr(bench, missing)
    setattr(bench, missing, None)
    command = bench.run(0.6)
    assert command.state == ServoState.HOLDING
    assert is_zero(command)
    setattr(bench, missing, kept)
    command = bench.run(PERIOD)
    assert command.state == ServoState.ARMED
    assert abs(command.rates.azimuth) <= ServoConfig().azimuth.acceleration * PERIOD + 1e-9


def test_a_new_generation_starts_filter_and_ramp_over() -> None:
    bench = armed()
    before = bench.run()
    assert before.rates.azimuth < -0.5
    bench.track = replace(RIGHT_AND_UP, generation=2, center=(220.0, 200.0))
    command = bench.run(PERIOD)
    assert command.target is not None
    assert command.target.azimuth == pytest.approx(math.atan(100 / 600))  # no memory of the old one
    assert 0 < command.rates.azimuth <= ServoConfig().azimuth.acceleration * PERIOD + 1e-9


def test_a_track_without_an_attitude_at_its_time_is_not_measured() -> None:
    servo = Servo(CAMERA)
    servo.arm()
    servo.observe_track(replace(RIGHT_AND_UP, stamp=1.0))
    servo.observe_joints(5.0, PanTilt(0.0, 0.0))
    servo.observe_track(replace(RIGHT_AND_UP, stamp=4.0))
    command = servo.step(5.0)
    assert command.target is None
    assert is_zero(command)


def test_a_clock_that_goes_back_forgets_the_target() -> None:
    bench = armed()
    bench.run(3.0)
    command = bench.servo.step(1.0)
    assert (command.state, command.rates, command.target) == (ServoState.HOLDING, ZERO_RATES, None)
    bench.t = 1.0
    assert bench.run().state == ServoState.ARMED


def test_reset_forgets_the_target_and_stays_armed() -> None:
    bench = armed()
    bench.run()
    bench.servo.reset()
    assert is_zero(bench.servo.step(bench.t))
    bench.t = 0.0  # time went back
    assert bench.run().state == ServoState.ARMED


def test_the_setpoint_follows_the_rates_and_stands_still_with_them() -> None:
    bench = armed()
    first = bench.run(PERIOD).setpoint
    command = bench.run(0.2)
    assert first is not None
    assert command.setpoint is not None
    assert command.setpoint.azimuth < first.azimuth
    lead = ServoConfig().max_setpoint_lead
    held = bench.run(3.0).setpoint  # the joints do not move: it does not run away
    assert held is not None
    assert held.azimuth == pytest.approx(-lead)
    bench.track = replace(RIGHT_AND_UP, state=TrackState.LOST)
    assert bench.run(0.1).setpoint == held
    bench.servo.disarm()
    assert bench.run(PERIOD).setpoint == (0.0, 0.0)


def test_the_vehicle_keeps_the_size_at_arming_or_the_range() -> None:
    config = ServoConfig(follow=FollowConfig())
    bench = armed(config)
    assert bench.run().vehicle.forward == 0.0
    assert bench.run().vehicle.yaw < 0.0  # target to the right
    bench.track = replace(RIGHT_AND_UP, size=(30.0, 20.0))
    assert bench.run().vehicle.forward > 0.1
    ranged = armed(replace(config, wanted_range_m=10.0))
    for _ in range(50):
        ranged.servo.observe_range(ranged.t, 7.0)
        command = ranged.run(PERIOD)
    assert command.vehicle.forward < -0.05
    ranged.servo.observe_range(ranged.t, math.nan)
    assert ranged.run(PERIOD).state == ServoState.FAULT
    assert armed().run().vehicle == ZERO_VELOCITY  # off unless configured


def test_lost_is_believed_whatever_its_stamp_and_no_target_is_a_hold() -> None:
    bench = armed()
    bench.run()
    bench.track = None
    bench.servo.observe_track(replace(RIGHT_AND_UP, stamp=bench.t, state=TrackState.LOST))
    command = bench.run(PERIOD)
    assert (command.state, command.rates) == (ServoState.HOLDING, ZERO_RATES)
    other = armed()
    other.run()
    other.track = None
    other.servo.forget_target()
    command = other.run(PERIOD)
    assert (command.state, command.rates, command.target) == (ServoState.HOLDING, ZERO_RATES, None)


@pytest.mark.parametrize("state", list(ServoState))
def test_manual_rates_win_in_every_state_within_the_limits(state: ServoState) -> None:
    bench = Bench() if state == ServoState.DISARMED else armed()
    bench.run()
    if state == ServoState.FAULT:
        bench.servo.fail("something")
    if state in (ServoState.COASTING, ServoState.HOLDING):
        unseen = TrackState.COASTING if state == ServoState.COASTING else TrackState.LOST
        bench.track = replace(RIGHT_AND_UP, state=unseen)
    before = bench.run(PERIOD)
    assert before.state == state
    manual, limits = AngularRates(0.5, -7.0), ServoConfig().elevation
    command = bench.servo.step(bench.t + PERIOD, manual)
    assert command.manual
    assert command.state == state
    step = limits.acceleration * PERIOD
    assert command.rates.azimuth == pytest.approx(before.rates.azimuth + step)
    assert command.rates.elevation == pytest.approx(before.rates.elevation - step)
    for tick in range(2, 60):
        bench.servo.observe_joints(bench.t + tick * PERIOD, PanTilt(0.0, 0.0))
        command = bench.servo.step(bench.t + tick * PERIOD, manual)
    assert command.rates == pytest.approx((0.5, -limits.rate))
    assert command.vehicle == ZERO_VELOCITY
    at_stop = PanTilt(ServoConfig().azimuth.upper or 0.0, 0.0)
    bench.servo.observe_joints(bench.t + 60 * PERIOD, at_stop)
    assert bench.servo.step(bench.t + 60 * PERIOD, manual).rates.azimuth == 0.0
    bad = bench.servo.step(bench.t + 61 * PERIOD, AngularRates(math.nan, 0.0))
    assert (bad.rates, bad.state) == (ZERO_RATES, ServoState.FAULT)
    assert bench.servo.step(bench.t + 62 * PERIOD).state == ServoState.FAULT


@pytest.mark.parametrize("what", ["track", "attitude"])
def test_one_stamp_from_the_future_holds_it_for_a_moment_only(what: str) -> None:
    bench = armed()
    bench.run()
    if what == "track":
        bench.servo.observe_track(replace(RIGHT_AND_UP, stamp=bench.t + 1e6))
    else:
        bench.servo.observe_joints(bench.t + 1e6, PanTilt(0.0, 0.0))
    command = bench.run(PERIOD)
    assert (command.state, command.rates) == (ServoState.HOLDING, ZERO_RATES)
    assert "future" in command.reason
    assert bench.run(0.1).state == ServoState.ARMED


@pytest.mark.parametrize("law", ["line_of_sight", "image_based"])
def test_whatever_is_fed_it_neither_raises_nor_passes_a_limit(law: str) -> None:
    rng = np.random.default_rng(6)
    config = ServoConfig(law=law, follow=FollowConfig(climb_gain=1.0))
    servo, t = Servo(CAMERA, config), 0.0
    servo.arm()
    moved: set[ServoState] = set()

    def value(usual: float, spread: float) -> float:
        odd = rng.random() < 0.002
        return float(
            rng.choice([math.nan, math.inf, -math.inf, 1e300, -1e300]) if odd else rng.normal(usual, spread)
        )

    for _ in range(1500):
        t += float(rng.choice([0.0, 0.01, 0.02, 0.3], p=[0.05, 0.45, 0.45, 0.05]))
        if rng.random() < 0.9:
            servo.observe_joints(value(t, 0.005), PanTilt(value(0, 1.0), value(0, 0.3)))
        if rng.random() < 0.3:
            raw = rng.normal(size=4)
            servo.observe_quaternion(
                value(t, 0.005), raw / np.linalg.norm(raw) if rng.random() < 0.99 else raw
            )
        if rng.random() < 0.6:
            state = TrackState(int(rng.choice(5, p=[0.02, 0.7, 0.13, 0.13, 0.02])))
            box = (value(320, 200), value(240, 150)), (abs(value(50, 20)), abs(value(50, 20)))
            track = TrackObservation(value(t - 0.1, 0.05), 1, state, value(0.7, 0.3), *box)
            servo.observe_track(replace(track, generation=int(rng.random() < 0.01)))
        if rng.random() < 0.3:
            servo.observe_range(value(t, 0.01), abs(value(8, 2)))
        manual = AngularRates(value(0, 1), value(0, 1)) if rng.random() < 0.05 else None
        command = servo.step(value(t, 0.0), manual)
        assert all(map(math.isfinite, (*command.rates, *command.vehicle)))
        assert abs(command.rates.azimuth) <= config.azimuth.rate
        assert abs(command.rates.elevation) <= config.elevation.rate
        if not is_zero(command):
            moved.add(command.state)
            assert command.manual or command.state in (ServoState.ARMED, ServoState.COASTING)
        if command.state == ServoState.FAULT and rng.random() < 0.5:
            servo.disarm()
            servo.arm()
    assert {ServoState.ARMED, ServoState.COASTING} <= moved


def test_stamps_known_to_be_late_are_put_right() -> None:
    def target_azimuth(offset: float, late: float) -> float:
        """Estimate for a target straight ahead of a base that the gimbal pans over, images stamped `late`."""
        servo, pan = Servo(CAMERA, ServoConfig(stamp_offset_s=offset)), 0.0
        for tick in range(60):
            t = tick * PERIOD
            pan = 0.3 * t
            servo.observe_joints(t, PanTilt(pan, 0.0))
            exposed = t - late  # the newest image stamped by now
            u = 320.0 + 600.0 * math.tan(0.3 * exposed)
            servo.observe_track(replace(RIGHT_AND_UP, stamp=t, center=(u, 240.0)))
        command = servo.step(t)
        assert command.target is not None
        return command.target.azimuth

    assert target_azimuth(0.0, 0.1) == pytest.approx(0.03, abs=0.003)
    assert target_azimuth(0.1, 0.1) == pytest.approx(0.0, abs=0.003)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"law": "magic"},
        {"actuator_lag_s": -0.1},
        {"max_step_s": math.inf},
        {"wanted_range_m": 0.0},
    ):
        with pytest.raises(LimitError, match=next(iter(wrong))):
            ServoConfig(**wrong)
