"""A gimbal manager of pymavlink's, for tests to put on the other end of the line."""

from __future__ import annotations

import math
import os
from typing import Any

MAV_RESULT_ACCEPTED = 0


class GimbalManager:
    """An autopilot (system 1, component 1) that manages a gimbal and knows who is in control."""

    def __init__(self, url: str, **options: Any) -> None:
        os.environ["MAVLINK20"] = "1"  # read when pymavlink is imported
        from pymavlink import mavutil

        self.link = mavutil.mavlink_connection(
            url, source_system=1, source_component=1, dialect="common", **options
        )
        self.received: list[Any] = []
        self.primary = (0, 0)

    def listen(self) -> None:
        while (message := self.link.recv_match(blocking=False)) is not None:
            self.received.append(message)
            if message.get_type() == "COMMAND_LONG" and message.command == 1001:
                sender = (message.get_srcSystem(), message.get_srcComponent())
                asked = (int(message.param1), int(message.param2))
                self.primary = (0, 0) if asked == (-3, -3) and self.primary == sender else asked
                self.link.mav.command_ack_send(1001, MAV_RESULT_ACCEPTED, 0, 0, *sender)

    def tell_attitude(self, boot_ms: int, pitch: float, yaw: float, flags: int) -> None:
        """GIMBAL_DEVICE_ATTITUDE_STATUS of a gimbal that has yawed to the right, then pitched up; rad."""
        (cos_pitch, sin_pitch), (cos_yaw, sin_yaw) = (
            (math.cos(angle / 2), math.sin(angle / 2)) for angle in (pitch, yaw)
        )
        # q = q_yaw * q_pitch, about z down and y right; w, x, y, z.
        q = [cos_yaw * cos_pitch, -sin_yaw * sin_pitch, cos_yaw * sin_pitch, sin_yaw * cos_pitch]
        self.link.mav.gimbal_device_attitude_status_send(0, 0, boot_ms, flags, q, 0, 0, 0, 0)

    def report(self) -> None:
        """GIMBAL_MANAGER_STATUS, as a manager sends it by itself."""
        self.link.mav.gimbal_manager_status_send(0, 44, 1, *self.primary, 0, 0)

    def newest(self, kind: str) -> Any:
        found = [message for message in self.received if message.get_type() == kind]
        return found[-1] if found else None
