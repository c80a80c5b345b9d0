"""The settings of the whole chain. Their defaults are finite, and nothing infinite is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from siam_tracker_ros.control.aim_point import MaskTrust
from siam_tracker_ros.control.errors import LimitError, require_not_negative, require_positive
from siam_tracker_ros.control.limits import AxisLimits
from siam_tracker_ros.control.servo_law import ServoGains
from siam_tracker_ros.control.supervisor import SupervisorConfig
from siam_tracker_ros.control.target_filter import TargetFilterConfig
from siam_tracker_ros.control.vehicle_follow import FollowConfig

Law = Literal["line_of_sight", "image_based"]


@dataclass(frozen=True)
class ServoConfig:
    """Everything that can be set; angles rad, times s, signs those of a line of sight (left, up).

    `actuator_lag_s` is the time constant with which the gimbal follows a rate, with its transport delay
    added; `stamp_offset_s` is by how much images are stamped later than they were exposed. `max_step_s`
    bounds the time step that limits and integral see after a late cycle. `max_setpoint_lead` is how far the
    position set-point may run ahead of the joints. `follow`: the vehicle's part, None without one;
    `wanted_range_m` is kept where a range is measured, the range at arming if None.
    """

    azimuth: AxisLimits = field(
        default_factory=lambda: AxisLimits(1.0, 4.0, -math.radians(160), math.radians(160))
    )
    elevation: AxisLimits = field(
        default_factory=lambda: AxisLimits(1.0, 4.0, -math.radians(80), math.radians(30))
    )
    gains: ServoGains = field(default_factory=ServoGains)
    target: TargetFilterConfig = field(default_factory=TargetFilterConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    mask: MaskTrust = field(default_factory=MaskTrust)
    law: Law = "line_of_sight"
    actuator_lag_s: float = 0.05
    stamp_offset_s: float = 0.0
    max_step_s: float = 0.1
    max_setpoint_lead: float = 0.2
    follow: FollowConfig | None = None
    wanted_range_m: float | None = None

    def __post_init__(self) -> None:
        require_not_negative(actuator_lag_s=self.actuator_lag_s)
        if not math.isfinite(self.stamp_offset_s):
            raise LimitError(f"stamp_offset_s must be a finite number, not {self.stamp_offset_s}")
        require_positive(max_step_s=self.max_step_s, max_setpoint_lead=self.max_setpoint_lead)
        if self.wanted_range_m is not None:
            require_positive(wanted_range_m=self.wanted_range_m)
        if self.law not in get_args(Law):
            raise LimitError(f"law must be one of {', '.join(get_args(Law))}, not {self.law!r}")
