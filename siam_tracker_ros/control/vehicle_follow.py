"""Following with the whole vehicle: yaw to centre the target, drive to keep its distance, climb if asked to.

Speeds are in the vehicle's base frame (REP-103): forward along x, climb along z, yaw about z, positive left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from siam_tracker_ros.control.errors import (
    LimitError,
    NotFiniteError,
    require_not_negative,
    require_positive,
)
from siam_tracker_ros.control.frames import LineOfSight
from siam_tracker_ros.control.limits import SlewLimits, braking_speed, slewed
from siam_tracker_ros.control.servo_law import without_deadband


@dataclass(frozen=True)
class FollowConfig:
    """Gains and limits of following.

    `yaw_gain` 1/s; `forward_gain` m/s per unit of the logarithm of distance over wanted distance;
    `climb_gain` m/s per rad of elevation, 0: no climbing. Deadbands: `yaw_deadband` and `climb_deadband` rad,
    `separation_deadband` in units of the logarithm. Nearer than `min_range_m` (where a range is measured)
    or than `min_ratio` times the wanted distance, it does not drive forward at all.
    """

    yaw_gain: float = 1.0
    forward_gain: float = 1.5
    climb_gain: float = 0.0
    yaw_deadband: float = 0.01
    climb_deadband: float = 0.03
    separation_deadband: float = 0.05
    yaw: SlewLimits = field(default_factory=lambda: SlewLimits(0.6, 1.0))
    forward: SlewLimits = field(default_factory=lambda: SlewLimits(1.0, 0.5))
    climb: SlewLimits = field(default_factory=lambda: SlewLimits(0.5, 0.5))
    min_range_m: float = 3.0
    min_ratio: float = 0.7

    def __post_init__(self) -> None:
        require_positive(yaw_gain=self.yaw_gain, min_range_m=self.min_range_m, min_ratio=self.min_ratio)
        require_not_negative(
            forward_gain=self.forward_gain,
            climb_gain=self.climb_gain,
            yaw_deadband=self.yaw_deadband,
            climb_deadband=self.climb_deadband,
            separation_deadband=self.separation_deadband,
        )
        if self.min_ratio > 1:
            raise LimitError(f"min_ratio must be at most 1, the wanted distance, not {self.min_ratio}")


class Separation(NamedTuple):
    """Distance to the target over the wanted one, and the distance itself in m where it is measured."""

    ratio: float
    range_m: float | None


class VehicleVelocity(NamedTuple):
    """Speeds in the vehicle's base frame: forward (x) and climb (z) m/s, yaw about z rad/s, positive left."""

    forward: float
    climb: float
    yaw: float


ZERO_VELOCITY = VehicleVelocity(0.0, 0.0, 0.0)


def separation_by_size(size: float, size_at_arming: float) -> Separation:
    """Separation from the target's apparent size now and when armed, in a common unit (px or rad).

    Half the size is twice the distance. Raises NotFiniteError unless both are finite and above 0.
    """
    if not (0 < size < math.inf and 0 < size_at_arming < math.inf):
        raise NotFiniteError(f"apparent sizes must be finite and above 0, not {size} and {size_at_arming}")
    return Separation(size_at_arming / size, None)


def separation_by_range(range_m: float, wanted_m: float) -> Separation:
    """Separation from a measured range, m. Raises NotFiniteError unless both are finite and above 0."""
    if not (0 < range_m < math.inf and 0 < wanted_m < math.inf):
        raise NotFiniteError(f"ranges must be finite and above 0 m, not {range_m} and {wanted_m}")
    return Separation(range_m / wanted_m, range_m)


def follow_velocity(
    sight: LineOfSight,
    separation: Separation | None,
    previous: VehicleVelocity,
    dt: float,
    config: FollowConfig,
    authority: float = 1.0,
) -> VehicleVelocity:
    """Speeds to command, given the target's line of sight (rad, vehicle's base frame) and its separation.

    `previous` is what was commanded `dt` seconds ago; `authority` 0..1 scales what is asked for. Without
    a separation it only turns. It drives the slower the further to the side the target is. The minimum
    distance comes before the acceleration limit. Anything that is not finite gives zero.
    """
    numbers = [*sight, *previous, dt, authority]
    if separation is not None:
        numbers += [separation.ratio, *([] if separation.range_m is None else [separation.range_m])]
    if not all(map(math.isfinite, numbers)):
        return ZERO_VELOCITY
    dt = max(dt, 0.0)
    yaw = config.yaw_gain * without_deadband(sight.azimuth, config.yaw_deadband)
    climb = config.climb_gain * without_deadband(sight.elevation, config.climb_deadband)
    forward = 0.0
    if separation is not None and separation.ratio > 0:
        apart = without_deadband(math.log(separation.ratio), config.separation_deadband)
        forward = config.forward_gain * apart * max(math.cos(sight.azimuth), 0.0)
    driven = slewed(authority * forward, previous.forward, dt, config.forward)
    return VehicleVelocity(
        min(driven, _closest_approach(separation, dt, config)),
        slewed(authority * climb, previous.climb, dt, config.climb),
        slewed(authority * yaw, previous.yaw, dt, config.yaw),
    )


def _closest_approach(separation: Separation | None, dt: float, config: FollowConfig) -> float:
    """Largest forward speed, m/s, that keeps the minimum distance."""
    if separation is None or separation.ratio <= config.min_ratio:
        return 0.0
    if separation.range_m is None:
        return config.forward.speed
    return braking_speed(separation.range_m - config.min_range_m, config.forward.acceleration, dt)
