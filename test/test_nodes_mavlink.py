"""A gimbal manager of pymavlink's on the other end of the line: units, signs, and who is in control."""

from __future__ import annotations

import math
import os
import pty
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("trajectory_msgs.msg", reason="NOT TESTED: no ROS 2 messages here")
pytest.importorskip("pymavlink", reason="NOT TESTED: no pymavlink here")
from pymavlink.dialects.v20 import common

from siam_tracker_ros.control.frames import ZERO_RATES, AngularRates, LineOfSight
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.control.vehicle_follow import ZERO_VELOCITY
from siam_tracker_ros.nodes.mavlink_gimbal import MavlinkError, MavlinkGimbalOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

DEADLINE_S = 30.0
PILOT = (255, 190)
LEFT_AND_UP = ServoCommand(
    ServoState.ARMED,
    "",
    AngularRates(math.radians(10), math.radians(20)),
    LineOfSight(math.radians(30), math.radians(40)),
    ZERO_VELOCITY,
    None,
    None,
    (False, False),
    None,
    False,
)
DISARMED = LEFT_AND_UP._replace(state=ServoState.DISARMED, rates=ZERO_RATES)


class Manager:
    """An autopilot (system 1, component 1) that manages a gimbal and knows who is in control."""

    def __init__(self, url: str, **options: Any) -> None:
        os.environ["MAVLINK20"] = "1"
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
                self.link.mav.command_ack_send(1001, common.MAV_RESULT_ACCEPTED, 0, 0, *sender)

    def report(self) -> None:
        """GIMBAL_MANAGER_STATUS, as a manager sends it by itself."""
        self.link.mav.gimbal_manager_status_send(0, 44, 1, *self.primary, 0, 0)

    def newest(self, kind: str) -> Any:
        found = [message for message in self.received if message.get_type() == kind]
        return found[-1] if found else None


def until(
    condition: Callable[[], Any], manager: Manager, output: MavlinkGimbalOutput, command: ServoCommand
) -> Any:
    """Send `command` again and again until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain; received: {manager.received[-3:]}"
        output.send(command, None)
        manager.listen()
    return result


@pytest.fixture
def manager() -> Iterator[Manager]:
    manager = Manager("udpin:127.0.0.1:0")
    yield manager
    manager.link.close()


def parameters(manager: Manager, **others: Any) -> ServoParameters:
    port = manager.link.port.getsockname()[1]
    return replace(ServoParameters(), mavlink_url=f"udpout:127.0.0.1:{port}", **others)


@pytest.fixture
def output(manager: Manager) -> Iterator[MavlinkGimbalOutput]:
    output = MavlinkGimbalOutput(parameters(manager))
    yield output
    output.close()


def test_rates_are_positive_up_and_to_the_right(manager: Manager, output: MavlinkGimbalOutput) -> None:
    message = until(lambda: manager.newest("GIMBAL_MANAGER_SET_PITCHYAW"), manager, output, LEFT_AND_UP)
    assert message.pitch_rate == pytest.approx(math.radians(20))
    assert message.yaw_rate == pytest.approx(-math.radians(10))
    assert math.isnan(message.pitch)
    assert math.isnan(message.yaw)
    locked = common.GIMBAL_MANAGER_FLAGS_ROLL_LOCK | common.GIMBAL_MANAGER_FLAGS_PITCH_LOCK
    assert message.flags == locked | common.GIMBAL_MANAGER_FLAGS_YAW_IN_VEHICLE_FRAME
    assert (message.target_system, message.target_component) == (1, 1)
    assert (message.get_srcSystem(), message.get_srcComponent()) == (1, 191)


def test_angles(manager: Manager) -> None:
    output = MavlinkGimbalOutput(parameters(manager, mavlink_setpoint="angle"))
    message = until(lambda: manager.newest("GIMBAL_MANAGER_SET_PITCHYAW"), manager, output, LEFT_AND_UP)
    assert message.pitch == pytest.approx(math.radians(40))
    assert message.yaw == pytest.approx(-math.radians(30))
    assert math.isnan(message.pitch_rate)
    output.close()


def test_the_command_takes_degrees(manager: Manager) -> None:
    output = MavlinkGimbalOutput(parameters(manager, mavlink_message="command", mavlink_gimbal_device=2))

    def pitchyaw() -> Any:
        return [m for m in manager.received if m.get_type() == "COMMAND_LONG" and m.command == 1000]

    message = until(pitchyaw, manager, output, LEFT_AND_UP)[-1]
    assert (message.param3, message.param4) == (pytest.approx(20), pytest.approx(-10))
    assert math.isnan(message.param1)
    assert math.isnan(message.param2)
    assert (message.param5, message.param7) == (44, 2)
    output.close()


def test_it_shows_itself(manager: Manager, output: MavlinkGimbalOutput) -> None:
    message = until(lambda: manager.newest("HEARTBEAT"), manager, output, DISARMED)
    assert message.type == common.MAV_TYPE_ONBOARD_CONTROLLER
    assert message.autopilot == common.MAV_AUTOPILOT_INVALID


def test_control_is_taken_when_armed_and_given_back(manager: Manager, output: MavlinkGimbalOutput) -> None:
    until(lambda: len(manager.received) > 5, manager, output, DISARMED)
    assert manager.primary == (0, 0)
    until(lambda: manager.primary == (1, 191), manager, output, LEFT_AND_UP)
    until(lambda: output._in_control, manager, output, LEFT_AND_UP)
    before = len(manager.received)
    until(lambda: manager.primary == (0, 0), manager, output, DISARMED)
    zeros = [m for m in manager.received[before:] if m.get_type() == "GIMBAL_MANAGER_SET_PITCHYAW"]
    assert [m.yaw_rate for m in zeros[-3:]] == [0, 0, 0]  # first it stands


def test_control_is_given_back_at_the_end(manager: Manager) -> None:
    output = MavlinkGimbalOutput(parameters(manager))
    until(lambda: output._in_control, manager, output, LEFT_AND_UP)
    output.close()
    deadline = time.monotonic() + DEADLINE_S
    while manager.primary != (0, 0):
        assert time.monotonic() < deadline
        manager.listen()


def test_a_pilot_who_takes_the_gimbal_keeps_it(manager: Manager, output: MavlinkGimbalOutput) -> None:
    until(lambda: output._in_control, manager, output, LEFT_AND_UP)
    manager.primary = PILOT
    manager.report()
    until(lambda: "system 255, component 190 took the gimbal" in output.trouble, manager, output, LEFT_AND_UP)
    output._next_request = 0.0  # the time to ask again has come
    before = len(manager.received)
    until(lambda: len(manager.received) > before + 20, manager, output, LEFT_AND_UP)
    assert manager.primary == PILOT
    until(lambda: not output.trouble, manager, output, DISARMED)
    until(lambda: manager.primary == (1, 191), manager, output, LEFT_AND_UP)


def test_a_serial_line() -> None:
    pytest.importorskip("serial", reason="NOT TESTED: no pyserial here")
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    output = MavlinkGimbalOutput(replace(ServoParameters(), mavlink_url=os.ttyname(theirs)))
    parser = common.MAVLink(None)
    messages: list[Any] = []
    deadline = time.monotonic() + DEADLINE_S
    while not any(message.get_type() == "GIMBAL_MANAGER_SET_PITCHYAW" for message in messages):
        assert time.monotonic() < deadline
        output.send(LEFT_AND_UP, None)
        messages += parser.parse_buffer(os.read(ours, 4096)) or []
    assert messages[-1].yaw_rate == pytest.approx(-math.radians(10))
    output.close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("url", ["/dev/no_such_port", "udpout:nowhere", "udpin:256.0.0.1:14550"])
def test_a_line_that_does_not_open_is_named(url: str) -> None:
    with pytest.raises(MavlinkError, match=r"mavlink_url '.*'|pyserial is missing"):
        MavlinkGimbalOutput(replace(ServoParameters(), mavlink_url=url))
