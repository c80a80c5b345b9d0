"""The gimbal's attitude over the last seconds, to be asked for at the time of an image."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from siam_tracker_ros.control.errors import NotFiniteError, require_positive
from siam_tracker_ros.control.frames import LineOfSight, Quaternion, slerp
from siam_tracker_ros.control.line_of_sight import pointing_of


@dataclass(frozen=True)
class AttitudeSample:
    """Attitude (base from camera body) at `stamp`, s.

    `position` are the joints as azimuth and elevation, rad, not wrapped.
    """

    stamp: float
    attitude: Quaternion
    position: LineOfSight


class AttitudeHistory:
    """Attitude samples of the last `keep_s` seconds, interpolated up to gaps of `max_gap_s`.

    Beyond the newest sample the last turn is carried on, for `max_gap_s` at most.
    """

    def __init__(self, keep_s: float = 3.0, max_gap_s: float = 0.2) -> None:
        require_positive(keep_s=keep_s, max_gap_s=max_gap_s)
        self._keep_s = keep_s
        self._max_gap_s = max_gap_s
        self._samples: list[AttitudeSample] = []

    @property
    def newest(self) -> AttitudeSample | None:
        """The newest sample, if there is any."""
        return self._samples[-1] if self._samples else None

    def add(self, stamp: float, attitude: Quaternion, position: LineOfSight | None = None) -> None:
        """Take a sample; one that is not newer than the newest is left out.

        `position` are the joints as azimuth and elevation, rad; without them, where the camera points. Raises
        NotFiniteError for a stamp or joint that is not finite.
        """
        where = pointing_of(attitude) if position is None else position
        if not all(map(math.isfinite, (stamp, *attitude, *where))):
            raise NotFiniteError(f"attitude {attitude}, joints {tuple(where)}, stamp {stamp}: not all finite")
        if self._samples and stamp <= self._samples[-1].stamp:
            return
        self._samples.append(AttitudeSample(stamp, attitude, where))
        first = bisect.bisect_left(self._samples, stamp - self._keep_s, key=lambda sample: sample.stamp)
        del self._samples[:first]

    def at(self, stamp: float) -> Quaternion | None:
        """Attitude at `stamp`, s; None if no samples lie near enough."""
        after = bisect.bisect_left(self._samples, stamp, key=lambda sample: sample.stamp)
        if after < len(self._samples) and self._samples[after].stamp == stamp:
            return self._samples[after].attitude
        if after == 0 or len(self._samples) < 2:
            newest = self.newest
            near = newest is not None and 0 <= stamp - newest.stamp <= self._max_gap_s
            return newest.attitude if newest is not None and near else None
        end = min(after, len(self._samples) - 1)
        start, finish = self._samples[end - 1], self._samples[end]
        if finish.stamp - start.stamp > self._max_gap_s or stamp - finish.stamp > self._max_gap_s:
            return None
        fraction = (stamp - start.stamp) / (finish.stamp - start.stamp)
        return slerp(start.attitude, finish.attitude, fraction)

    def clear(self) -> None:
        """Forget every sample, as when time goes backwards."""
        self._samples.clear()
