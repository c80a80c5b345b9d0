"""A MAVLink gimbal's attitude (GIMBAL_DEVICE_ATTITUDE_STATUS) in ROS's frames and on our clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from siam_tracker_ros.control.frames import Quaternion
from siam_tracker_ros.errors import SiamTrackerError

# GIMBAL_DEVICE_FLAGS
_YAW_LOCK, _YAW_IN_VEHICLE_FRAME, _YAW_IN_EARTH_FRAME = 16, 32, 64


class MavlinkAttitudeError(SiamTrackerError, ValueError):
    """An attitude in a frame that cannot be used."""


def attitude_of_status(q: Sequence[float], flags: int) -> Quaternion:
    """Attitude (x, y, z, w), base from camera body, of a status' `q` (w, x, y, z) and GIMBAL_DEVICE_FLAGS.

    MAVLink's frames are x forward, y right, z down, ours y left, z up. Raises MavlinkAttitudeError where the
    yaw is relative to north: it has to be relative to the vehicle.
    """
    told = flags & (_YAW_IN_VEHICLE_FRAME | _YAW_IN_EARTH_FRAME)
    if told == _YAW_IN_EARTH_FRAME or (not told and flags & _YAW_LOCK):
        raise MavlinkAttitudeError(
            "the gimbal tells its yaw relative to north, not to the vehicle: unlock its yaw "
            "(GIMBAL_MANAGER_FLAGS_YAW_LOCK is not to be set)"
        )
    w, x, y, z = (float(value) for value in q)
    return (x, -y, -z, w)


class BootClock:
    """Times of a device that counts from its own start, on our clock.

    What was shortest on its way within the last `window_s` counts as having come at once, so that waiting in
    queues does not show; a latency that is always there does. A device that restarts starts it over.
    """

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_s = window_s
        # Times of arrival, and how far our clock was ahead then: rising, so that the first is the least.
        self._ahead: deque[tuple[float, float]] = deque()
        self._newest = (0.0, 0.0)

    def of(self, boot_s: float, arrived_s: float) -> float:
        """Our time, s, of what happened `boot_s` after the device's start and came at `arrived_s`."""
        if boot_s < self._newest[0] or arrived_s < self._newest[1]:
            self._ahead.clear()
        self._newest = (boot_s, arrived_s)
        ahead = arrived_s - boot_s
        while self._ahead and self._ahead[-1][1] >= ahead:
            self._ahead.pop()
        self._ahead.append((arrived_s, ahead))
        while self._ahead[0][0] < arrived_s - self._window_s:
            self._ahead.popleft()
        return boot_s + self._ahead[0][1]
