"""How the gimbal's base itself turns, as odometry measures it, so that this is not taken for the target's.

A direction that stands still in the world turns by minus the base's angular velocity as seen from the base
(Craig, "Introduction to Robotics", 3rd edition, section 5.3).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import numpy as np

from siam_tracker_ros.control.errors import NotFiniteError, require_positive
from siam_tracker_ros.control.frames import AngularRates, LineOfSight, Vector
from siam_tracker_ros.control.line_of_sight import direction_of, tangents_of

# Overhead no rate of azimuth keeps up.
_MIN_HORIZONTAL = 0.1


class BodyRates:
    """Angular velocity [3] of the base in its own frame, rad/s, over the last `keep_s` seconds.

    Between samples it is taken as their mean, beyond the newest as that, for `max_gap_s` at most; where none
    was measured the base counts as standing still.
    """

    def __init__(self, keep_s: float = 3.0, max_gap_s: float = 0.2) -> None:
        require_positive(keep_s=keep_s, max_gap_s=max_gap_s)
        self._keep_s = keep_s
        self._max_gap_s = max_gap_s
        self._stamps: list[float] = []
        self._rates: list[Vector] = []

    def add(self, stamp: float, rates: Sequence[float]) -> None:
        """Take the angular velocity about x, y and z, rad/s, at `stamp`, s; one not newer is left out.

        Raises NotFiniteError if any of it is not finite.
        """
        if not all(map(math.isfinite, (stamp, *rates))):
            raise NotFiniteError(f"body rates {tuple(rates)} at stamp {stamp}: not all finite")
        if self._stamps and stamp <= self._stamps[-1]:
            return
        self._stamps.append(stamp)
        self._rates.append(np.array(rates, dtype=np.float64))
        first = bisect.bisect_left(self._stamps, stamp - self._keep_s)
        del self._stamps[:first], self._rates[:first]

    def at(self, stamp: float) -> Vector:
        """Angular velocity [3], rad/s, of the newest sample up to `stamp`, s; zero if that is old."""
        after = bisect.bisect_right(self._stamps, stamp)
        if after == 0 or stamp - self._stamps[after - 1] > self._max_gap_s:
            return np.zeros(3)
        return self._rates[after - 1]

    def turn(self, start: float, end: float) -> Vector | None:
        """Rotation [3, 3] of what stands still: from base coordinates at `start` to those at `end`, s.

        None where nothing is known to have turned.
        """
        if not self._stamps or not end > start:
            return None
        turned = np.eye(3)
        edges = [*self._stamps, self._stamps[-1] + self._max_gap_s]
        first = max(bisect.bisect_right(edges, start) - 1, 0)
        for index in range(first, len(self._stamps)):
            begin, finish = edges[index], edges[index + 1]
            if begin >= end:
                break
            duration = min(finish, end) - max(begin, start)
            if duration <= 0 or finish - begin > self._max_gap_s * (1 + 1e-9):
                continue
            following = self._rates[min(index + 1, len(self._rates) - 1)]
            turned = _rotation(-duration * (self._rates[index] + following) / 2) @ turned
        return turned

    def clear(self) -> None:
        """Forget every sample, as when time goes backwards."""
        self._stamps.clear()
        self._rates.clear()


def apparent_rates(sight: LineOfSight, body_rates: Vector) -> AngularRates:
    """Rates, rad/s, at which what stands still at `sight` (rad) seems to move from a base that turns.

    `body_rates` [3] is the base's angular velocity in its own frame, rad/s.
    """
    left, up = tangents_of(sight)
    motion = -np.cross(body_rates, direction_of(sight))
    horizontal = max(math.cos(sight.elevation), _MIN_HORIZONTAL)
    return AngularRates(float(motion @ left) / horizontal, float(motion @ up))


def _rotation(vector: Vector) -> Vector:
    """Rotation matrix [3, 3] of a rotation vector [3], rad (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = (float(value) for value in vector)
    cross: Vector = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    share, bend = (math.sin(angle) / angle, (1 - math.cos(angle)) / angle**2) if angle > 1e-9 else (1.0, 0.5)
    rotation: Vector = np.eye(3) + share * cross + bend * (cross @ cross)
    return rotation
