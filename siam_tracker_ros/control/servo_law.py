"""The servo law of one axis: PI on the pointing error, with feed-forward of the target's rate.

    rate = proportional * e + integral + feed_forward * target_rate

and then the limits. The integral is kept from winding up while a limit holds the rate back, by
one of two strategies (Astrom and Murray 2008, section 10.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from siam_tracker_ros.control.errors import LimitError, require_not_negative, require_positive
from siam_tracker_ros.control.limits import AxisLimits, limited_rate

AntiWindup = Literal["back_calculation", "conditional"]


@dataclass(frozen=True)
class ServoGains:
    """Gains of the law, the same for both axes.

    `proportional` 1/s, `integral` 1/s^2, `feed_forward` of the target's rate (1: all of it), `deadband` rad:
    the error is counted from its edge, so that the rate does not jump there. `anti_windup`:
    back_calculation leads the integral back with the time constant `tracking_time_s`, conditional stops it
    while it would push further into a limit. `integral_limit`, rad/s, bounds it in any case,
    and errors above `integral_zone`, rad, are not integrated: the way to a new target is no steady error.
    """

    proportional: float = 5.0
    integral: float = 0.5
    feed_forward: float = 1.0
    deadband: float = 0.001
    anti_windup: AntiWindup = "conditional"
    tracking_time_s: float = 0.5
    integral_limit: float = 0.2
    integral_zone: float = 0.05

    def __post_init__(self) -> None:
        require_positive(proportional=self.proportional, tracking_time_s=self.tracking_time_s)
        require_not_negative(
            integral=self.integral,
            feed_forward=self.feed_forward,
            deadband=self.deadband,
            integral_limit=self.integral_limit,
            integral_zone=self.integral_zone,
        )
        if self.anti_windup not in get_args(AntiWindup):
            raise LimitError(
                f"anti_windup must be one of {', '.join(get_args(AntiWindup))}, not {self.anti_windup!r}"
            )


@dataclass(frozen=True)
class AxisState:
    """What the law remembers of an axis: its integral and the rate it last commanded, both rad/s."""

    integral: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class AxisCommand:
    """A commanded `rate`, rad/s; `saturated`: a limit held it back; not `valid`: an input was not finite."""

    rate: float
    saturated: bool
    valid: bool
    state: AxisState


_STOP = AxisCommand(0.0, False, False, AxisState())


def without_deadband(error: float, deadband: float) -> float:
    """The part of `error` beyond the deadband, in their common unit: 0 within it, no step at its edge."""
    return math.copysign(max(abs(error) - deadband, 0.0), error)


def axis_command(
    error: float,
    target_rate: float,
    position: float,
    dt: float,
    state: AxisState,
    gains: ServoGains,
    limits: AxisLimits,
    authority: float = 1.0,
) -> AxisCommand:
    """Rate to command on one axis, rad/s, positive towards positive angles.

    `error`, rad, is target minus pointing; `target_rate`, rad/s; `position`, rad, where the joint would
    come to rest if stopped now; `dt`, s, since the last command; `authority` 0..1 scales what is asked for,
    before the limits. Anything that is not finite gives a rate of 0 and forgets the integral.
    """
    if not all(map(math.isfinite, (error, target_rate, position, dt, state.integral, state.rate, authority))):
        return _STOP
    dt = max(dt, 0.0)
    counted = without_deadband(error, gains.deadband)
    wanted = authority * (gains.proportional * counted + state.integral + gains.feed_forward * target_rate)
    rate = limited_rate(wanted, state.rate, position, dt, limits)
    held_back = wanted - rate
    growth = gains.integral * counted if abs(counted) <= gains.integral_zone else 0.0
    if gains.anti_windup == "back_calculation":
        growth -= held_back / gains.tracking_time_s
    elif held_back * growth > 0:
        growth = 0.0
    integral = state.integral + growth * dt
    if not (math.isfinite(wanted) and math.isfinite(integral)):  # overflow
        return _STOP
    integral = min(max(integral, -gains.integral_limit), gains.integral_limit)
    return AxisCommand(rate, abs(held_back) > 1e-9, True, AxisState(integral, rate))
