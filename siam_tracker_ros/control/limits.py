"""Limits of rate, acceleration and travel, none of which may be missing or infinite."""

from __future__ import annotations

import math
from dataclasses import dataclass

from siam_tracker_ros.control.errors import LimitError, require_positive


@dataclass(frozen=True)
class SlewLimits:
    """Largest speed and largest change of speed of one axis: rad/s and rad/s^2, or m/s and m/s^2."""

    speed: float
    acceleration: float

    def __post_init__(self) -> None:
        require_positive(speed=self.speed, acceleration=self.acceleration)


@dataclass(frozen=True)
class AxisLimits:
    """Limits of one gimbal axis: rate rad/s, acceleration rad/s^2, and where its stops are, rad.

    Signs are those of a line of sight: azimuth to the left, elevation up. A joint without stops, one that
    turns endlessly, has to be said to be one: both stops None.
    """

    rate: float
    acceleration: float
    lower: float | None
    upper: float | None

    def __post_init__(self) -> None:
        require_positive(rate=self.rate, acceleration=self.acceleration)
        if self.lower is None and self.upper is None:
            return
        if self.lower is None or self.upper is None:
            raise LimitError(f"a joint has two stops or none, not lower {self.lower} and upper {self.upper}")
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise LimitError(
                f"the stops must be finite angles, lower below upper, not {self.lower} and {self.upper} rad"
            )


def braking_speed(distance: float, acceleration: float, dt: float) -> float:
    """Largest speed at which an axis can still stop within `distance`, next command after `dt` (s).

    Any length unit, with acceleration in that unit per s^2; half the acceleration is planned with, the
    other half is kept in hand. 0 at and beyond the stop.
    """
    if not distance > 0:
        return 0.0
    planned = acceleration / 2
    # The root of v * dt + v^2 / (2 * planned) = distance, in the form that neither cancels nor overflows.
    free = math.sqrt(2 * planned) * math.sqrt(distance)
    return free * (free / (math.hypot(planned * dt, free) + planned * dt))


def slewed(wanted: float, previous: float, dt: float, limits: SlewLimits) -> float:
    """`wanted` speed as far as it can be reached from `previous` within `dt` (s), no faster than allowed."""
    change = limits.acceleration * dt
    near = min(max(wanted, previous - change), previous + change)
    return min(max(near, -limits.speed), limits.speed)


def limited_rate(wanted: float, previous: float, position: float, dt: float, limits: AxisLimits) -> float:
    """The rate, rad/s, that may be commanded where `wanted` is asked for and `previous` was commanded.

    `position`, rad, is where the joint would come to rest if it were told to stop now. Towards a stop the
    rate tapers along the braking curve and is 0 at the stop; that comes before the acceleration limit, which
    the curve itself keeps to as long as the position does not jump.
    """
    rate = slewed(wanted, previous, dt, SlewLimits(limits.rate, limits.acceleration))
    if limits.lower is None or limits.upper is None:
        return rate
    highest = braking_speed(limits.upper - position, limits.acceleration, dt)
    lowest = -braking_speed(position - limits.lower, limits.acceleration, dt)
    return min(max(rate, lowest), highest)
