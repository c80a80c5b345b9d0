"""Where the target goes: lines of sight over time, as seen from the gimbal.

`peak_rate` is the largest rate (rad/s) that a path reaches, as the root of the squared rates of azimuth and
elevation; `extent` (rad) is how far it goes to either side of its centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from siam_tracker_ros.control.frames import LineOfSight
from siam_tracker_ros.simulation.errors import SimulationError

PathName = Literal["fixed", "line", "circle", "figure_of_eight", "evasive"]
PATH_NAMES: tuple[str, ...] = get_args(PathName)

TargetPath = Callable[[float], LineOfSight]
"""Line of sight (rad, base frame) at a time (s) from the start."""

_AHEAD = LineOfSight(0.0, 0.0)
# Nearly a triangle wave: the turns are rounded off over the last fifth of the way.
_ROUNDING = 0.98
_ELEVATION_SHARE = 0.25
_EVASIVE_WAVES = 5
_EVASIVE_PERIODS = (1.0, 2.9)
_EVASIVE_PERIOD_S = 600.0


def target_path(
    name: str,
    peak_rate: float,
    extent: float,
    center: LineOfSight = _AHEAD,
    seed: int = 0,
) -> TargetPath:
    """A path by name around `center` (rad), where all but the circle start; `seed` draws the evasive one.

    - fixed: stays at the centre;
    - line: to and fro in azimuth at an even rate, the turns rounded;
    - circle: of radius `extent`, from its leftmost point upwards;
    - figure_of_eight: once in azimuth while twice in elevation, a quarter as high as wide;
    - evasive: a sum of waves that do not repeat, so that it turns when it is not expected to.

    Raises SimulationError for another name, and for a rate or extent that is not above 0.
    """
    if name not in PATH_NAMES:
        raise SimulationError(f"a path is one of {', '.join(PATH_NAMES)}, not {name!r}")
    if name == "fixed":
        return lambda t: center
    if not (0 < peak_rate < math.inf and 0 < extent < math.inf):
        raise SimulationError(
            f"a path needs a peak rate and an extent above 0, not {peak_rate:g} rad/s and {extent:g} rad"
        )
    if name == "line":
        offset = _line(peak_rate, extent)
    elif name == "circle":
        offset = _circle(peak_rate, extent)
    elif name == "figure_of_eight":
        offset = _figure_of_eight(peak_rate, extent)
    else:
        offset = _evasive(peak_rate, extent, seed)

    def path(t: float) -> LineOfSight:
        azimuth, elevation = offset(t)
        return LineOfSight(center.azimuth + azimuth, center.elevation + elevation)

    return path


def eased(path: TargetPath, start: float, ramp: float) -> TargetPath:
    """`path` from `start` (s) on, brought up to its speed evenly over `ramp` (s); it stands until then."""

    def eased_path(t: float) -> LineOfSight:
        since = max(t - start, 0.0)
        return path(since * since / (2 * ramp) if since < ramp else since - ramp / 2)

    return eased_path


def rates_along(path: TargetPath, t: float, step: float = 1e-3) -> tuple[float, float]:
    """Rates of azimuth and elevation, rad/s, at time `t` (s), by central difference."""
    before, after = path(t - step), path(t + step)
    return (
        (after.azimuth - before.azimuth) / (2 * step),
        (after.elevation - before.elevation) / (2 * step),
    )


_Offset = Callable[[float], tuple[float, float]]


def _line(peak_rate: float, extent: float) -> _Offset:
    half_swing = math.asin(_ROUNDING)
    turn = peak_rate * half_swing / (extent * _ROUNDING)
    return lambda t: (extent * math.asin(_ROUNDING * math.sin(turn * t)) / half_swing, 0.0)


def _circle(peak_rate: float, extent: float) -> _Offset:
    turn = peak_rate / extent
    return lambda t: (extent * math.cos(turn * t), extent * math.sin(turn * t))


def _figure_of_eight(peak_rate: float, extent: float) -> _Offset:
    height = _ELEVATION_SHARE * extent
    turn = peak_rate / math.hypot(extent, 2 * height)  # both rates peak at the crossing
    return lambda t: (extent * math.sin(turn * t), height * math.sin(2 * turn * t))


def _evasive(peak_rate: float, extent: float, seed: int) -> _Offset:
    rng = np.random.default_rng(seed)
    turns = rng.uniform(*_EVASIVE_PERIODS, (2, _EVASIVE_WAVES))
    phases = rng.uniform(0, math.tau, (2, _EVASIVE_WAVES))
    weights = rng.uniform(0.5, 1.0, (2, _EVASIVE_WAVES)) / turns
    weights *= np.array([[1.0], [_ELEVATION_SHARE]]) * extent / weights.sum(axis=1, keepdims=True)
    times = np.arange(0.0, _EVASIVE_PERIOD_S, 0.02)
    waves = np.cos(turns[:, :, None] * times + phases[:, :, None])
    fastest = float(np.hypot(*np.einsum("aw,aw,awt->at", weights, turns, waves)).max())
    # Time is stretched so that the fastest moment of the first minutes has the rate that was asked for.
    turns *= peak_rate / fastest
    start = (weights * np.sin(phases)).sum(axis=1)

    def offset(t: float) -> tuple[float, float]:
        azimuth, elevation = (weights * np.sin(turns * t + phases)).sum(axis=1) - start
        return float(azimuth), float(elevation)

    return offset
