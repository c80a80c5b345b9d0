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
from gimbal_manager import GimbalManager

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("trajectory_msgs.msg", reason="NOT TESTED: no ROS 2 messages here")
pytest.importorskip("pymavlink", reason="NOT TESTED: no pymavlink here")
from pymavlink.dialects.v20 import common

from siam_tracker_ros.control.frames import ZERO_RATES, AngularRates, LineOfSight
from siam_tracker_ros.control.line_of_sight import pointing_of
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.control.vehicle_follow import ZERO_VELOCITY
from siam_tracker_ros.nodes.mavlink_attitude import BootClock, MavlinkAttitudeError, attitude_of_status
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


def until(
    condition: Callable[[], Any], manager: GimbalManager, output: MavlinkGimbalOutput, command: ServoCommand
) -> Any:
    """Send `command` again and again until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain; received: {manager.received[-3:]}"
        output.send(command, None)
        manager.listen()
    return result


@pytest.fixture
def manager() -> Iterator[GimbalManager]:
    manager = GimbalManager("udpin:127.0.0.1:0")
    yield manager
    manager.link.close()


def parameters(manager: GimbalManager, **others: Any) -> ServoParameters:
    port = manager.link.port.getsockname()[1]
    return replace(ServoParameters(), mavlink_url=f"udpout:127.0.0.1:{port}", **others)


@pytest.fixture
def output(manager: GimbalManager) -> Iterator[MavlinkGimbalOutput]:
    output = MavlinkGimbalOutput(parameters(manager))
    yield output
    output.close()


def test_rates_are_positive_up_and_to_the_right(manager: GimbalManager, output: MavlinkGimbalOutput) -> None:
    message = until(lambda: manager.newest("GIMBAL_MANAGER_SET_PITCHYAW"), manager, output, LEFT_AND_UP)
    assert message.pitch_rate == pytest.approx(math.radians(20))
    assert message.yaw_rate == pytest.approx(-math.radians(10))
    assert math.isnan(message.pitch)
    assert math.isnan(message.yaw)
    locked = common.GIMBAL_MANAGER_FLAGS_ROLL_LOCK | common.GIMBAL_MANAGER_FLAGS_PITCH_LOCK
    assert message.flags == locked | common.GIMBAL_MANAGER_FLAGS_YAW_IN_VEHICLE_FRAME
    assert (message.target_system, message.target_component) == (1, 1)
    assert (message.get_srcSystem(), message.get_srcComponent()) == (1, 191)


def test_angles(manager: GimbalManager) -> None:
    output = MavlinkGimbalOutput(parameters(manager, mavlink_setpoint="angle"))
    message = until(lambda: manager.newest("GIMBAL_MANAGER_SET_PITCHYAW"), manager, output, LEFT_AND_UP)
    assert message.pitch == pytest.approx(math.radians(40))
    assert message.yaw == pytest.approx(-math.radians(30))
    assert math.isnan(message.pitch_rate)
    output.close()


def test_the_command_takes_degrees(manager: GimbalManager) -> None:
    output = MavlinkGimbalOutput(parameters(manager, mavlink_message="command", mavlink_gimbal_device=2))

    def pitchyaw() -> Any:
        return [m for m in manager.received if m.get_type() == "COMMAND_LONG" and m.command == 1000]

    message = until(pitchyaw, manager, output, LEFT_AND_UP)[-1]
    assert (message.param3, message.param4) == (pytest.approx(20), pytest.approx(-10))
    assert math.isnan(message.param1)
    assert math.isnan(message.param2)
    assert (message.param5, message.param7) == (44, 2)
    output.close()


def test_it_shows_itself(manager: GimbalManager, output: MavlinkGimbalOutput) -> None:
    message = until(lambda: manager.newest("HEARTBEAT"), manager, output, DISARMED)
    assert message.type == common.MAV_TYPE_ONBOARD_CONTROLLER
    assert message.autopilot == common.MAV_AUTOPILOT_INVALID


def test_control_is_taken_when_armed_and_given_back(
    manager: GimbalManager, output: MavlinkGimbalOutput
) -> None:
    until(lambda: len(manager.received) > 5, manager, output, DISARMED)
    assert manager.primary == (0, 0)
    until(lambda: manager.primary == (1, 191), manager, output, LEFT_AND_UP)
    until(lambda: output._in_control, manager, output, LEFT_AND_UP)
    before = len(manager.received)
    until(lambda: manager.primary == (0, 0), manager, output, DISARMED)
    zeros = [m for m in manager.received[before:] if m.get_type() == "GIMBAL_MANAGER_SET_PITCHYAW"]
    assert [m.yaw_rate for m in zeros[-3:]] == [0, 0, 0]  # first it stands


def test_control_is_given_back_at_the_end(manager: GimbalManager) -> None:
    output = MavlinkGimbalOutput(parameters(manager))
    until(lambda: output._in_control, manager, output, LEFT_AND_UP)
    output.close()
    deadline = time.monotonic() + DEADLINE_S
    while manager.primary != (0, 0):
        assert time.monotonic() < deadline
        manager.listen()


def test_a_pilot_who_takes_the_gimbal_keeps_it(manager: GimbalManager, output: MavlinkGimbalOutput) -> None:
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


def test_the_gimbals_attitude_is_asked_for_and_taken(manager: GimbalManager) -> None:
    output = MavlinkGimbalOutput(parameters(manager, attitude_source="mavlink"))

    def asked() -> Any:
        return [m for m in manager.received if m.get_type() == "COMMAND_LONG" and m.command == 511]

    (request, *_) = until(asked, manager, output, DISARMED)
    assert (request.param1, request.param2) == (285, 20_000)  # us
    manager.tell_attitude(5000, math.radians(30), math.radians(20), flags=44)
    taken: list[Any] = []
    until(lambda: taken.extend(output.take_attitudes(100.0)) or taken, manager, output, DISARMED)
    ((stamp, attitude),) = taken
    assert stamp == 100.0
    sight = pointing_of(attitude)
    assert math.degrees(sight.azimuth) == pytest.approx(-20)  # to the right
    assert math.degrees(sight.elevation) == pytest.approx(30)  # up
    output.close()


@pytest.mark.parametrize("flags", [16, 16 | 12, 64, 64 | 16])
def test_a_yaw_relative_to_north_is_refused(flags: int) -> None:
    with pytest.raises(MavlinkAttitudeError, match="relative to north"):
        attitude_of_status([1, 0, 0, 0], flags)
    assert attitude_of_status([1, 0, 0, 0], 32 | 16) == (0, 0, 0, 1)


def test_the_devices_clock_is_told_by_what_came_fastest() -> None:
    clock = BootClock(window_s=10.0)
    assert clock.of(5.00, 105.02) == pytest.approx(105.02)
    assert clock.of(5.10, 105.11) == pytest.approx(105.11)  # faster: 100.01 ahead
    assert clock.of(5.20, 105.29) == pytest.approx(105.21)  # it waited somewhere
    assert clock.of(20.0, 120.05) == pytest.approx(120.05)  # what was is long ago
    assert clock.of(1.0, 121.0) == pytest.approx(121.0)  # it started again


def test_a_peer_that_is_not_there_yet_is_no_error(manager: GimbalManager) -> None:
    settings = parameters(manager)
    manager.link.close()
    output = MavlinkGimbalOutput(settings)
    for _ in range(20):
        output.send(LEFT_AND_UP, None)
    output.close()


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
