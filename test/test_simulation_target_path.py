"""Paths: how fast, how far, and that they turn as their names say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from siam_tracker_ros.control.frames import LineOfSight
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.target_path import PATH_NAMES, TargetPath, eased, rates_along, target_path

PEAK, EXTENT = math.radians(20), math.radians(23)
CENTER = LineOfSight(0.3, 0.05)
MOVING = [name for name in PATH_NAMES if name != "fixed"]


def sampled(path: TargetPath, seconds: float = 120.0, step: float = 0.005) -> np.ndarray:
    return np.array([path(t) for t in np.arange(0.0, seconds, step)])


@pytest.mark.parametrize("name", MOVING)
def test_the_fastest_moment_has_the_rate_asked_for(name: str) -> None:
    points = sampled(target_path(name, PEAK, EXTENT, CENTER), 600.0 if name == "evasive" else 60.0)
    speed = np.hypot(*np.diff(points, axis=0).T) / 0.005
    # An evasive one is at its fastest once in ten minutes, slowed down to that.
    assert speed.max() == pytest.approx(PEAK, rel=0.05 if name == "evasive" else 0.005)


@pytest.mark.parametrize("name", MOVING)
def test_it_keeps_within_its_extent(name: str) -> None:
    points = sampled(target_path(name, PEAK, EXTENT, CENTER))
    swing = points[:, 0].max() - points[:, 0].min()
    if name == "evasive":
        assert 0.8 * EXTENT < swing <= 2 * EXTENT
    else:
        assert swing == pytest.approx(2 * EXTENT, rel=0.001)


@pytest.mark.parametrize("name", [name for name in PATH_NAMES if name != "circle"])
def test_it_starts_at_the_centre(name: str) -> None:
    assert target_path(name, PEAK, EXTENT, CENTER)(0.0) == pytest.approx(CENTER)


def test_a_circle_goes_round() -> None:
    points = sampled(target_path("circle", PEAK, EXTENT, CENTER)) - np.array(CENTER)
    assert np.hypot(*points.T) == pytest.approx(EXTENT)
    assert points[0] == pytest.approx((EXTENT, 0.0))
    assert points[10][1] > 0


def test_a_figure_of_eight_crosses_itself() -> None:
    path = target_path("figure_of_eight", PEAK, EXTENT)
    period = math.tau * EXTENT * math.sqrt(1.25) / PEAK
    assert path(period / 2) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert path(period / 4).azimuth == pytest.approx(EXTENT)
    assert path(period / 8).elevation == pytest.approx(EXTENT / 4)
    assert path(3 * period / 8).elevation == pytest.approx(-EXTENT / 4)


def test_a_line_is_even_in_the_middle_and_level() -> None:
    path = target_path("line", PEAK, EXTENT)
    middle = np.array([rates_along(path, t) for t in np.arange(0.0, 0.5 * EXTENT / PEAK, 0.05)])
    assert middle[:, 0] == pytest.approx(PEAK, rel=0.08)
    assert (middle[:, 1] == 0).all()


def test_an_evasive_one_differs_by_seed_and_does_not_repeat() -> None:
    path, other = target_path("evasive", PEAK, EXTENT, seed=1), target_path("evasive", PEAK, EXTENT, seed=2)
    assert path(7.0) == target_path("evasive", PEAK, EXTENT, seed=1)(7.0)
    assert np.abs(sampled(path, 20) - sampled(other, 20)).max() > math.radians(5)
    turns = np.diff(np.sign(np.diff(sampled(path, 60.0)[:, 0])))
    between = np.diff(np.flatnonzero(turns))
    assert len(between) > 5
    assert between.std() > 0.2 * between.mean()


def test_an_eased_path_stands_and_then_takes_up_speed_evenly() -> None:
    path = eased(target_path("line", PEAK, EXTENT), start=2.0, ramp=1.0)
    assert path(0.0) == path(2.0) == (0.0, 0.0)
    assert rates_along(path, 2.5)[0] == pytest.approx(PEAK / 2, rel=0.02)
    assert rates_along(path, 3.2)[0] == pytest.approx(PEAK, rel=0.06)


def test_wrong_paths_are_refused() -> None:
    with pytest.raises(SimulationError, match=r"fixed, line.*'zigzag'"):
        target_path("zigzag", PEAK, EXTENT)
    for rate, extent in ((0.0, EXTENT), (PEAK, 0.0), (math.inf, EXTENT), (math.nan, EXTENT)):
        with pytest.raises(SimulationError, match="above 0"):
            target_path("circle", rate, extent)
