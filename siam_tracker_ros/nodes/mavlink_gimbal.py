"""Commands for a MAVLink gimbal manager (gimbal protocol v2) and the gimbal's attitude, over UDP or serial.

https://mavlink.io/en/services/gimbal_v2.html. Angles are positive up and to the right there, rad in the
message and degrees in the command.
"""

from __future__ import annotations

import importlib
import math
import os
import time
from typing import Any

from siam_tracker_ros.control.frames import PitchYaw, Quaternion, to_mavlink
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.mavlink_attitude import BootClock, attitude_of_status
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

_HEARTBEAT_S = 1.0
_ASK_AGAIN_S = 1.0
# Zeros sent before control is given back.
_ZEROS_FIRST = 5
_KEPT = 100  # attitudes that nobody takes
_LEAVE = -1  # of MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE: as it is
_GIVE_BACK = -3  # the same: nobody, if it is us now
_UNSET = PitchYaw(math.nan, math.nan)


class MavlinkError(SiamTrackerError, RuntimeError):
    """A MAVLink connection that cannot be opened."""


class MavlinkGimbalOutput:
    """Streams GIMBAL_MANAGER_SET_PITCHYAW, or MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW where it is asked for.

    It shows itself by a heartbeat, takes primary control of the gimbal once the servo is armed or moved by
    hand, and gives it back when disarmed. Where another takes control meanwhile, as a pilot does, it does not
    take it back before it was disarmed.
    """

    def __init__(self, parameters: ServoParameters) -> None:
        """Opens the connection. Raises MavlinkError."""
        self.trouble = ""
        self._parameters = parameters
        self._link, self._mavlink = _connected(parameters)
        self._own = (parameters.mavlink_system, parameters.mavlink_component)
        self._target = (parameters.mavlink_target_system, parameters.mavlink_target_component)
        self._next_heartbeat = self._next_request = 0.0
        self._in_control = self._taken_over = False
        self._zeros = 0
        self._statuses: list[Any] = []
        self._boot_clock = BootClock()
        self._told_attitude = False

    def take_attitudes(self, now: float) -> list[tuple[float, Quaternion]]:
        """Attitudes (x, y, z, w; base from camera body) that have come since, with their times, s.

        `now` is the time on the clock that they are wanted on. Raises MavlinkAttitudeError.
        """
        self._listen()
        statuses, self._statuses = self._statuses, []
        self._told_attitude = self._told_attitude or bool(statuses)
        return [
            (self._boot_clock.of(one.time_boot_ms / 1e3, now), attitude_of_status(one.q, one.flags))
            for one in statuses
        ]

    def send(self, command: ServoCommand, stamp: Any) -> None:
        """Send one command, and a heartbeat where one is due."""
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + _HEARTBEAT_S
            self._send_heartbeat()
            if self._parameters.attitude_source == "mavlink" and not self._told_attitude:
                self._ask_for_attitude()
        self._listen()
        wanted = command.state != ServoState.DISARMED or command.manual
        if wanted:
            self._zeros = 0
            self._ask_for_control(now)
        self._send_setpoint(command)
        if not wanted:
            self._zeros += 1
            if self._zeros == _ZEROS_FIRST and self._in_control:
                self._configure(_GIVE_BACK, _GIVE_BACK)
                self._in_control = False
            if self._zeros >= _ZEROS_FIRST:
                self._taken_over, self.trouble = False, ""

    def close(self) -> None:
        """Give control back and close the connection."""
        try:
            if self._in_control:
                self._configure(_GIVE_BACK, _GIVE_BACK)
        finally:
            self._link.close()

    def _send_setpoint(self, command: ServoCommand) -> None:
        angles, rates = _UNSET, to_mavlink(command.rates)
        if self._parameters.mavlink_setpoint == "angle":
            if command.setpoint is None:
                return
            angles, rates = to_mavlink(command.setpoint), _UNSET
        flags, device = self._parameters.mavlink_flags, self._parameters.mavlink_gimbal_device
        if self._parameters.mavlink_message == "set_pitchyaw":
            self._link.mav.gimbal_manager_set_pitchyaw_send(*self._target, flags, device, *angles, *rates)
            return
        degrees = [math.degrees(value) for value in (*angles, *rates)]
        pitchyaw = self._mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW
        self._link.mav.command_long_send(*self._target, pitchyaw, 0, *degrees, flags, 0, device)

    def _send_heartbeat(self) -> None:
        mavlink = self._mavlink
        self._link.mav.heartbeat_send(
            mavlink.MAV_TYPE_ONBOARD_CONTROLLER,
            mavlink.MAV_AUTOPILOT_INVALID,
            0,
            0,
            mavlink.MAV_STATE_ACTIVE,
        )

    def _ask_for_attitude(self) -> None:
        """MAV_CMD_SET_MESSAGE_INTERVAL: once a control period, us."""
        mavlink = self._mavlink
        interval = (mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS, 1e6 / self._parameters.control_rate)
        self._link.mav.command_long_send(
            *self._target, mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, 0, *interval, 0, 0, 0, 0, 0
        )

    def _ask_for_control(self, now: float) -> None:
        if self._in_control or self._taken_over or now < self._next_request:
            return
        self._next_request = now + _ASK_AGAIN_S
        self._configure(*self._own)

    def _configure(self, system: int, component: int) -> None:
        """MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE: who has primary control; the secondary stays."""
        configure = self._mavlink.MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE
        device = self._parameters.mavlink_gimbal_device
        self._link.mav.command_long_send(
            *self._target, configure, 0, system, component, _LEAVE, _LEAVE, 0, 0, device
        )

    def _listen(self) -> None:
        """Read what has come: attitudes, and answers about who is in control."""
        while (message := self._link.recv_match(blocking=False)) is not None:
            kind = message.get_type()
            if kind == "GIMBAL_DEVICE_ATTITUDE_STATUS" and self._is_of_our_device(message):
                self._statuses = [*self._statuses, message][-_KEPT:]
            elif kind == "COMMAND_ACK" and self._is_about_control(message):
                self._in_control = message.result == self._mavlink.MAV_RESULT_ACCEPTED
                self.trouble = "" if self._in_control else f"control was refused: result {message.result}"
            elif kind == "GIMBAL_MANAGER_STATUS" and self._in_control:
                primary = (message.primary_control_sysid, message.primary_control_compid)
                if primary != self._own:
                    self._in_control, self._taken_over = False, True
                    self.trouble = f"MAVLink system {primary[0]}, component {primary[1]} took the gimbal"

    def _is_of_our_device(self, status: Any) -> bool:
        wanted = self._parameters.mavlink_gimbal_device
        return not wanted or wanted in (status.gimbal_device_id, status.get_srcComponent())

    def _is_about_control(self, ack: Any) -> bool:
        return bool(ack.command == self._mavlink.MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE and not self._zeros)


def _connected(parameters: ServoParameters) -> tuple[Any, Any]:
    """An open connection and the module of the dialect's constants."""
    # Read when pymavlink is imported; the messages are of MAVLink 2.
    os.environ["MAVLINK20"] = "1"
    try:
        mavutil = importlib.import_module("pymavlink.mavutil")
        link = mavutil.mavlink_connection(
            parameters.mavlink_url,
            baud=parameters.mavlink_baud,
            source_system=parameters.mavlink_system,
            source_component=parameters.mavlink_component,
            dialect="common",
        )
    except ImportError as error:
        missing = "pyserial" if error.name == "serial" else "pymavlink"
        raise MavlinkError(f"{missing} is missing: pip install {missing}") from error
    except Exception as error:  # sockets and serial ports raise what they like
        raise MavlinkError(f"cannot open mavlink_url {parameters.mavlink_url!r}: {error}") from error
    return link, importlib.import_module("pymavlink.dialects.v20.common")
