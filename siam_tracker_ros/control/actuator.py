"""What the gimbal does after it was told to: it follows a commanded rate with a first-order lag.

With lag T the axis turns on by T times its rate after it is told to stop. That point of rest moves exactly as
commanded, so the law closes its loop on it; led to where the target will be T from now, the axis itself is
where the target is now.
"""

from __future__ import annotations

import math

from siam_tracker_ros.control.frames import AngularRates, LineOfSight


def lagged_rates(rates: AngularRates, command: AngularRates, dt: float, lag_s: float) -> AngularRates:
    """Rates of the axes, rad/s, `dt` (s) after they were `rates`, under a constant `command` (rad/s)."""
    share = 1.0 - math.exp(-max(dt, 0.0) / lag_s) if lag_s > 0 else 1.0
    return AngularRates(
        rates.azimuth + share * (command.azimuth - rates.azimuth),
        rates.elevation + share * (command.elevation - rates.elevation),
    )


def point_of_rest(position: LineOfSight, rates: AngularRates, age_s: float, lag_s: float) -> LineOfSight:
    """Where the axes (rad, measured `age_s` ago) would come to rest if told to stop now."""
    ahead = max(age_s, 0.0) + lag_s
    return LineOfSight(position.azimuth + ahead * rates.azimuth, position.elevation + ahead * rates.elevation)
