"""What a two-axis gimbal does with what it is told: lag, limits, stops and backlash.

Angles and rates are those of REP-103 joints (`PanTilt`): pan positive to the left, tilt positive down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from siam_tracker_ros.control.errors import require_not_negative, require_positive
from siam_tracker_ros.control.frames import PanTilt
from siam_tracker_ros.control.limits import braking_speed
from siam_tracker_ros.simulation.errors import SimulationError

# A step is divided into parts no longer than this, s.
_LONGEST_PART_S = 0.002
_ZERO = PanTilt(0.0, 0.0)


@dataclass(frozen=True)
class GimbalConfig:
    """Properties of both axes: times s, angles rad, rates rad/s, accelerations rad/s^2.

    `lag_s` is the time constant with which a rate, or a position, is taken up. The stops are (lowest,
    highest) joint angles. `backlash` is the play between motor and camera: the encoders sit at the motors,
    and the camera stays where it is until the play is used up.
    """

    lag_s: float = 0.05
    rate_limit: float = 2.0
    acceleration_limit: float = 20.0
    pan_stops: tuple[float, float] = (-math.radians(170), math.radians(170))
    tilt_stops: tuple[float, float] = (-math.radians(45), math.radians(90))
    backlash: float = 0.0

    def __post_init__(self) -> None:
        require_positive(rate_limit=self.rate_limit, acceleration_limit=self.acceleration_limit)
        require_not_negative(lag_s=self.lag_s, backlash=self.backlash)
        for name, (lowest, highest) in (("pan_stops", self.pan_stops), ("tilt_stops", self.tilt_stops)):
            if not -math.pi * 4 <= lowest < highest <= math.pi * 4:
                raise SimulationError(
                    f"{name} must be two finite angles, lower first, not {lowest:g} and {highest:g} rad"
                )


class Gimbal:
    """Two joints at rest at `start` (rad). Told a rate or a position, which holds until the next."""

    def __init__(self, config: GimbalConfig, start: PanTilt = _ZERO) -> None:
        self.config = config
        stops = (config.pan_stops, config.tilt_stops)
        self._axes = [_Axis(config, *limits, angle) for limits, angle in zip(stops, start, strict=True)]

    @property
    def encoders(self) -> PanTilt:
        """Joint angles, rad, at the motors: what a gimbal reports."""
        return PanTilt(*(axis.motor for axis in self._axes))

    @property
    def rates(self) -> PanTilt:
        """Rates of the motors, rad/s."""
        return PanTilt(*(axis.rate for axis in self._axes))

    @property
    def camera_joints(self) -> PanTilt:
        """Joint angles, rad, at the camera, behind the backlash."""
        return PanTilt(*(axis.load for axis in self._axes))

    @property
    def camera_rates(self) -> PanTilt:
        """Rates of the camera, rad/s, over the last step."""
        return PanTilt(*(axis.load_rate for axis in self._axes))

    def command_rates(self, rates: PanTilt) -> None:
        """Turn at these rates (rad/s) from now on. A value that is not finite stops its axis."""
        for axis, rate in zip(self._axes, rates, strict=True):
            axis.wanted_rate, axis.wanted_position = rate if math.isfinite(rate) else 0.0, None

    def command_positions(self, joints: PanTilt) -> None:
        """Turn to these joint angles (rad). A value that is not finite stops its axis."""
        for axis, angle in zip(self._axes, joints, strict=True):
            axis.wanted_rate, axis.wanted_position = 0.0, angle if math.isfinite(angle) else None

    def step(self, dt: float) -> None:
        """Let `dt` (s) pass."""
        for axis in self._axes:
            axis.step(dt)


class _Axis:
    def __init__(self, config: GimbalConfig, lowest: float, highest: float, start: float) -> None:
        self._config = config
        self._lowest, self._highest = lowest, highest
        self.motor = self.load = min(max(start, lowest), highest)
        self.rate = self.load_rate = 0.0
        self.wanted_rate = 0.0
        self.wanted_position: float | None = None

    def step(self, dt: float) -> None:
        if dt <= 0:
            return
        before = self.load
        parts = max(math.ceil(dt / _LONGEST_PART_S), 1)
        for _ in range(parts):
            self._part(dt / parts)
        self.load_rate = (self.load - before) / dt

    def _part(self, dt: float) -> None:
        config = self._config
        lag = max(config.lag_s, dt)
        if self.wanted_position is None:
            reached = self.rate + (self.wanted_rate - self.rate) * -math.expm1(-dt / lag)
        else:
            left = self.wanted_position - self.motor
            fastest = braking_speed(abs(left), config.acceleration_limit, dt)
            share = -math.expm1(-dt / max(lag, 4 * dt))  # nearer at once would be too far
            reached = math.copysign(min(abs(left) * share / dt, fastest), left)
        change = config.acceleration_limit * dt
        reached = min(max(reached, self.rate - change), self.rate + change)
        reached = min(max(reached, -config.rate_limit), config.rate_limit)
        moved = self.motor + (self.rate + reached) / 2 * dt
        self.rate = reached
        if not self._lowest < moved < self._highest:  # run against a stop
            moved, self.rate = min(max(moved, self._lowest), self._highest), 0.0
        self.motor = moved
        play = config.backlash / 2
        self.load = min(max(self.load, moved - play), moved + play)
