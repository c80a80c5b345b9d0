"""The target filter: convergence, consistency, gating, prediction, wrapping; and the attitude history."""

from __future__ import annotations

import math

import numpy as np
import pytest

from siam_tracker_ros.control.attitude_history import AttitudeHistory
from siam_tracker_ros.control.errors import LimitError, NotFiniteError
from siam_tracker_ros.control.frames import LineOfSight, PanTilt, attitude_of
from siam_tracker_ros.control.line_of_sight import pointing_of
from siam_tracker_ros.control.target_filter import (
    TargetFilterConfig,
    TargetState,
    measurement_sigma,
    predicted,
    started,
    updated,
)

CONFIG = TargetFilterConfig()
FRAME = 1 / 25


def fed(
    config: TargetFilterConfig, start: LineOfSight, rates: tuple, noise: float, count: int = 100
) -> TargetState:
    """A filter that has seen a target of constant rates (rad/s) for `count` images."""
    rng = np.random.default_rng(5)
    state = started(start, 0.0, 1.0, config)
    for index in range(1, count):
        t = index * FRAME
        seen = np.array(start) + np.array(rates) * t + rng.normal(0, noise, 2)
        state, innovation = updated(state, LineOfSight(*seen), t, 1.0, config)
        assert innovation.accepted
    return state


def test_it_converges_on_a_constant_rate_and_predicts_ahead() -> None:
    state = fed(CONFIG, LineOfSight(-0.3, 0.1), (0.35, -0.05), noise=0.002)
    sigma = np.sqrt(np.diag(state.covariance))
    assert sigma[2] < 0.1 < CONFIG.initial_rate_sigma
    assert (np.abs(np.array(state.rates) - (0.35, -0.05)) < 3 * sigma[2:]).all()
    ahead = predicted(state, state.stamp + 0.2, CONFIG)
    expected = np.array([-0.3, 0.1]) + np.array([0.35, -0.05]) * ahead.stamp
    np.testing.assert_allclose(ahead.sight, expected, atol=0.02)
    assert ahead.covariance[0, 0] > state.covariance[0, 0]
    # Without noise it is exact.
    clean = fed(CONFIG, LineOfSight(-0.3, 0.1), (0.35, -0.05), noise=0.0)
    assert clean.rates == pytest.approx((0.35, -0.05), abs=1e-4)


@pytest.mark.parametrize("elevation", [0.0, 1.2], ids=["level", "looking up"])
def test_innovations_are_as_large_as_the_filter_says(elevation: float) -> None:
    config = TargetFilterConfig(acceleration_density=0.002, initial_rate_sigma=0.02, gate=1e9)
    rng = np.random.default_rng(2)
    stretch = np.array([1 / math.cos(elevation), 1.0])
    sigma, kick = stretch * config.sigma_confident, stretch * math.sqrt(config.acceleration_density)
    # White acceleration over one interval: the exact covariance of angle and rate, by its Cholesky factor.
    factor = np.linalg.cholesky([[FRAME**3 / 3, FRAME**2 / 2], [FRAME**2 / 2, FRAME]])
    distances = []
    for _ in range(25):
        angles, rates = np.array([0.0, elevation]), rng.normal(0, config.initial_rate_sigma, 2) * stretch
        state = started(LineOfSight(*(angles + rng.normal(size=2) * sigma)), 0.0, 1.0, config)
        for index in range(1, 31):
            moved, sped = factor @ rng.normal(size=(2, 2)) * kick
            angles, rates = angles + rates * FRAME + moved, rates + sped
            seen = LineOfSight(*(angles + rng.normal(size=2) * sigma))
            state, innovation = updated(state, seen, index * FRAME, 1.0, config)
            distances.append(innovation.distance)
    # Chi-square of 2 degrees of freedom: mean 2, and the mean of 750 lies within 0.2 of it in 99 of 100.
    assert np.mean(distances) == pytest.approx(2.0, abs=0.3)
    assert np.mean(np.array(distances) > TargetFilterConfig().gate) < 0.01


def test_confidence_sets_how_far_it_follows() -> None:
    state = fed(CONFIG, LineOfSight(0.0, 0.0), (0.0, 0.0), noise=0.001)
    t = state.stamp + FRAME
    sure, _ = updated(state, LineOfSight(0.008, 0.0), t, 1.0, CONFIG)
    unsure, _ = updated(state, LineOfSight(0.008, 0.0), t, 0.1, CONFIG)
    assert sure.sight.azimuth > 5 * unsure.sight.azimuth > 0
    sigmas = [measurement_sigma(c, CONFIG) for c in (-1.0, 0.0, 0.5, 1.0, 2.0)]
    assert sigmas[0] == sigmas[1] == pytest.approx(CONFIG.sigma_doubtful)
    assert sigmas[3] == sigmas[4] == pytest.approx(CONFIG.sigma_confident)
    assert sigmas[2] == pytest.approx(math.sqrt(sigmas[1] * sigmas[3]))


def test_an_outlier_is_refused_and_a_lasting_one_believed() -> None:
    state = fed(CONFIG, LineOfSight(0.0, 0.0), (0.1, 0.0), noise=0.001)
    elsewhere, t = LineOfSight(0.9, -0.4), state.stamp
    after, innovation = updated(state, elsewhere, t + FRAME, 1.0, CONFIG)
    assert not innovation.accepted
    assert innovation.distance > CONFIG.gate
    assert after.sight == pytest.approx(predicted(state, t + FRAME, CONFIG).sight)
    assert after.measured == state.measured
    refused = 0
    for index in range(1, 20):
        after, innovation = updated(after, elsewhere, t + (index + 1) * FRAME, 1.0, CONFIG)
        if innovation.accepted:
            break
        refused += 1
    assert (refused + 1) * FRAME == pytest.approx(CONFIG.restart_after_s, abs=FRAME)
    assert after.sight == elsewhere
    assert after.rates == (0.0, 0.0)


def test_it_follows_a_target_round_the_back() -> None:
    state = fed(CONFIG, LineOfSight(math.radians(170), 0.0), (math.radians(20), 0.0), noise=0.0005)
    turned = math.radians(170) + math.radians(20) * state.stamp
    assert state.sight.azimuth == pytest.approx(math.remainder(turned, math.tau), abs=2e-3)
    assert state.rates.azimuth == pytest.approx(math.radians(20), abs=0.03)


def test_what_comes_late_changes_nothing_and_what_is_not_finite_is_refused() -> None:
    state = fed(CONFIG, LineOfSight(0.0, 0.0), (0.0, 0.0), noise=0.001, count=10)
    for stamp in (state.stamp, state.stamp - 0.1):
        same, innovation = updated(state, LineOfSight(0.5, 0.0), stamp, 1.0, CONFIG)
        assert same is state
        assert not innovation.accepted
    assert predicted(state, state.stamp - 1.0, CONFIG) is state
    for bad in [(LineOfSight(math.nan, 0.0), 9.0, 1.0), (LineOfSight(0, math.inf), 9.0, 1.0)]:
        with pytest.raises(NotFiniteError):
            updated(state, *bad, CONFIG)
    with pytest.raises(NotFiniteError):
        started(LineOfSight(0, 0), math.nan, 1.0, CONFIG)
    with pytest.raises(NotFiniteError):
        updated(state, LineOfSight(0, 0), 9.0, math.nan, CONFIG)


def test_covariance_stays_symmetric_and_positive() -> None:
    rng = np.random.default_rng(8)
    state = started(LineOfSight(0.0, 1.5), 0.0, 0.5, CONFIG)
    t = 0.0
    for _ in range(300):
        t += float(rng.choice([1e-4, 0.03, 2.0]))
        seen = LineOfSight(rng.uniform(-3, 3), rng.uniform(-1.57, 1.57))
        state, _ = updated(state, seen, t, float(rng.uniform(0, 1)), CONFIG)
        np.testing.assert_allclose(state.covariance, state.covariance.T, rtol=1e-6, atol=1e-9)
        assert np.linalg.eigvalsh(state.covariance).min() > 0
        assert abs(state.sight.elevation) <= math.pi / 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"acceleration_density": 0.0},
        {"sigma_confident": math.inf},
        {"gate": -1.0},
        {"restart_after_s": math.nan},
        {"sigma_doubtful": 0.001},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(LimitError, match=next(iter(wrong))):
        TargetFilterConfig(**wrong)


def panned(history: AttitudeHistory, stamp: float, pan: float) -> None:
    history.add(stamp, attitude_of(PanTilt(pan, 0.0)))


def test_attitude_at_the_time_of_the_image() -> None:
    history = AttitudeHistory(keep_s=1.0, max_gap_s=0.1)
    assert history.newest is None
    assert history.at(0.0) is None
    for index in range(100):
        panned(history, index * 0.05, 0.4 * index * 0.05)
    for stamp in (4.5, 4.512, 4.949, 5.02):  # the last: carried on beyond the newest, at 4.95
        attitude = history.at(stamp)
        assert attitude is not None
        assert pointing_of(attitude).azimuth == pytest.approx(0.4 * stamp)
    assert history.at(5.2) is None  # too far ahead
    assert history.at(1.0) is None  # forgotten
    panned(history, 4.0, 3.0)  # out of order: left out
    assert history.newest is not None
    assert history.newest.stamp == pytest.approx(4.95)
    panned(history, 6.0, 0.0)
    assert history.at(5.5) is None  # within a gap
    history.clear()
    assert history.at(6.0) is None


def test_joints_are_kept_unwrapped_and_must_be_finite() -> None:
    history = AttitudeHistory()
    history.add(1.0, attitude_of(PanTilt(4.0, 0.0)), LineOfSight(4.0, 0.0))
    assert history.newest is not None
    assert history.newest.position.azimuth == 4.0
    with pytest.raises(NotFiniteError):
        history.add(2.0, attitude_of(PanTilt(0, 0)), LineOfSight(math.nan, 0))
    with pytest.raises(NotFiniteError):
        history.add(math.nan, attitude_of(PanTilt(0, 0)))
