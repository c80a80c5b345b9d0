"""A command as each output's message: units and signs, for one that turns left and up and drives on."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from builtin_interfaces.msg import Time

from siam_tracker_ros.control.frames import AngularRates, LineOfSight
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.control.vehicle_follow import VehicleVelocity
from siam_tracker_ros.nodes.mavros_outputs import MavrosGimbalOutput, MavrosVehicleOutput
from siam_tracker_ros.nodes.open_outputs import GIMBAL_OUTPUTS, VEHICLE_OUTPUTS, open_outputs
from siam_tracker_ros.nodes.optional_messages import MissingMessagesError
from siam_tracker_ros.nodes.parameter_struct import described
from siam_tracker_ros.nodes.px4_outputs import Px4GimbalOutput, Px4VehicleOutput
from siam_tracker_ros.nodes.servo_messages import servo_state
from siam_tracker_ros.nodes.servo_outputs import JointTrajectoryOutput, RateOutput, VehicleTwistOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

PARAMETERS = ServoParameters()
STAMP = Time(sec=12, nanosec=345_678_000)
COMMAND = ServoCommand(
    ServoState.ARMED,
    "the target is TRACKING",
    AngularRates(0.1, 0.2),
    LineOfSight(0.3, 0.4),
    VehicleVelocity(1.0, 0.5, 0.25),
    0.05,
    LineOfSight(0.31, 0.44),
    (False, True),
    0.08,
    False,
)


class FakeNode:
    """Keeps what is made and taken down."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.sent: dict[str, list[Any]] = {}
        self.heard: dict[str, Any] = {}

    def create_publisher(self, kind: Any, topic: str, depth: int) -> Any:
        self.made.append(topic)
        sent: list[Any] = []
        self.sent[topic] = sent
        return SimpleNamespace(topic=topic, publish=sent.append, wait_for_all_acked=lambda _: True)

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> Any:
        self.made.append(topic)
        self.heard[topic] = callback
        return SimpleNamespace(topic=topic)

    def destroy_subscription(self, subscription: Any) -> None:
        self.made.remove(subscription.topic)

    def destroy_publisher(self, publisher: Any) -> None:
        self.made.remove(publisher.topic)


def message_type(name: str, constants: dict[str, int], *fields: str) -> type:
    """A stand-in for a generated message: these fields and no others."""

    def make(self: Any, **values: Any) -> None:
        assert set(values) <= set(fields)
        vector = SimpleNamespace(x=0.0, y=0.0, z=0.0)
        self.header, self.velocity = SimpleNamespace(stamp=None, frame_id=""), vector
        self.__dict__.update(values)

    return type(name, (), {"__init__": make, **constants})


@pytest.fixture
def drone_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """mavros_msgs and px4_msgs, as their definitions have them."""
    gimbal = ("target_system", "target_component", "flags", "gimbal_device_id")
    pitchyaw = message_type("G", {}, *gimbal, "pitch", "yaw", "pitch_rate", "yaw_rate")
    masks = ("PX", "PY", "PZ", "VX", "VY", "VZ", "AFX", "AFY", "AFZ")
    constants = {f"IGNORE_{name}": 1 << bit for bit, name in enumerate(masks)}
    constants |= {"FORCE": 512, "IGNORE_YAW": 1024, "IGNORE_YAW_RATE": 2048, "FRAME_BODY_NED": 8}
    target = message_type("P", constants, "coordinate_frame", "type_mask", "yaw", "yaw_rate")
    parties = ("target_system", "target_component", "source_system", "source_component")
    numbers = (f"param{number}" for number in range(1, 8))
    command = message_type("V", {}, "timestamp", "command", *numbers, *parties, "from_external")
    vectors = ("position", "velocity", "acceleration", "jerk")
    offboard = {
        "OffboardControlMode": message_type("O", {}, "timestamp", "position", "velocity"),
        "TrajectorySetpoint": message_type("T", {}, "timestamp", *vectors, "yaw", "yawspeed"),
        "VehicleLocalPosition": message_type("L", {}, "heading", "heading_good_for_control"),
    }
    for package, types in (
        ("mavros_msgs", {"GimbalManagerSetPitchyaw": pitchyaw, "PositionTarget": target}),
        ("px4_msgs", {"VehicleCommand": command, **offboard}),
    ):
        module = ModuleType(f"{package}.msg")
        module.__dict__.update(types)
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", module)


def made(output: type, **parameters: Any) -> Any:
    return output(FakeNode(), replace(PARAMETERS, **parameters)).message(COMMAND, STAMP)


def test_rates_of_the_joints() -> None:
    message = made(RateOutput)
    # REP-103: pan is positive to the left, tilt positive down.
    assert message.twist.angular.z == pytest.approx(0.1)
    assert message.twist.angular.y == pytest.approx(-0.2)
    assert (message.header.stamp, message.header.frame_id) == (STAMP, "gimbal_base")


def test_the_vehicles_speeds() -> None:
    message = made(VehicleTwistOutput, vehicle_frame="drone")
    assert (message.twist.linear.x, message.twist.linear.z) == (1.0, 0.5)
    assert message.twist.angular.z == 0.25
    assert message.header.frame_id == "drone"


def test_no_position_before_there_is_an_attitude() -> None:
    output = JointTrajectoryOutput(FakeNode(), PARAMETERS)
    assert output.message(COMMAND._replace(setpoint=None), STAMP) is None
    assert list(output.message(COMMAND, STAMP).points[0].positions) == [0.3, -0.4]


@pytest.mark.usefixtures("drone_messages")
def test_mavros_gimbal() -> None:
    message = made(MavrosGimbalOutput, mavlink_gimbal_device=1)
    assert message.pitch_rate == pytest.approx(0.2)  # up
    assert message.yaw_rate == pytest.approx(-0.1)  # left is negative
    assert math.isnan(message.pitch)
    assert math.isnan(message.yaw)
    assert (message.target_system, message.target_component, message.gimbal_device_id) == (1, 1, 1)


@pytest.mark.usefixtures("drone_messages")
def test_mavros_vehicle() -> None:
    message = made(MavrosVehicleOutput)
    assert message.coordinate_frame == 8
    # Position, acceleration and yaw are ignored; the three speeds and the yaw rate are not.
    assert message.type_mask == 0b010111000111
    assert (message.velocity.x, message.velocity.y, message.velocity.z) == (1.0, 0.0, 0.5)
    assert message.yaw_rate == 0.25


@pytest.mark.usefixtures("drone_messages")
def test_px4_gimbal() -> None:
    message = made(Px4GimbalOutput)
    assert message.command == 1000
    assert message.param3 == pytest.approx(math.degrees(0.2))
    assert message.param4 == pytest.approx(-math.degrees(0.1))
    assert math.isnan(message.param1)
    assert math.isnan(message.param2)
    assert message.param5 == 44.0
    assert message.timestamp == 12_345_678
    assert (message.source_system, message.source_component) == (1, 191)


@pytest.mark.usefixtures("drone_messages")
def test_px4_vehicle(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    node = FakeNode()
    output = Px4VehicleOutput(node, PARAMETERS)
    setpoints = node.sent["fmu/in/trajectory_setpoint"]
    hear = node.heard["fmu/out/vehicle_local_position"]

    def sent(heading: float, good: bool = True) -> Any:
        hear(SimpleNamespace(heading=heading, heading_good_for_control=good))
        output.send(COMMAND, STAMP)
        return setpoints[-1]

    output.send(COMMAND, STAMP)
    assert setpoints[-1].velocity == [0, 0, 0]  # no heading yet
    assert "no good heading" in output.trouble
    assert sent(0.0).velocity == pytest.approx([1.0, 0.0, -0.5])  # to the north and up
    assert output.trouble == ""
    assert sent(math.pi / 2).velocity == pytest.approx([0.0, 1.0, -0.5])  # to the east
    assert setpoints[-1].yawspeed == -0.25  # to the left
    assert all(map(math.isnan, setpoints[-1].position))
    mode = node.sent["fmu/in/offboard_control_mode"][-1]
    assert mode.velocity is True
    assert not hasattr(mode, "position")
    assert sent(0.0, good=False).velocity == [0, 0, 0]
    assert sent(math.nan).velocity == [0, 0, 0]
    assert sent(0.0).velocity[0] == 1.0
    now[0] += 1.0
    output.send(COMMAND, STAMP)
    assert setpoints[-1].velocity == [0, 0, 0]
    output.close()
    assert node.made == []


@pytest.mark.parametrize(
    ("gimbal", "vehicle", "package"),
    [
        ("mavros", "none", "mavros_msgs"),
        ("px4", "none", "px4_msgs"),
        ("rate", "mavros", "mavros_msgs"),
        ("rate", "px4", "px4_msgs"),
    ],
)
def test_what_is_not_installed_is_named_and_nothing_stays_open(
    gimbal: str, vehicle: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.msg", None)
    node = FakeNode()
    with pytest.raises(MissingMessagesError, match=f"needs {package}"):
        open_outputs(node, replace(PARAMETERS, gimbal_output=gimbal, vehicle_output=vehicle))
    assert node.made == []


def test_every_output_that_can_be_named_is_there() -> None:
    choices = {one.name: set(one.choices) - {"none"} for one in described(ServoParameters)}
    assert choices["gimbal_output"] == set(GIMBAL_OUTPUTS)
    assert choices["vehicle_output"] == set(VEHICLE_OUTPUTS)
    node = FakeNode()
    for output in open_outputs(node, replace(PARAMETERS, vehicle_output="twist")):
        output.close()
    assert node.made == []


def test_the_state_says_what_is_known_and_what_is_not() -> None:
    message = servo_state(COMMAND, STAMP, "gimbal_base", "7", 3, 1.5)
    assert (message.state, message.target_id, message.generation) == (message.ARMED, "7", 3)
    assert (message.azimuth_rate, message.elevation_rate) == (0.1, 0.2)
    assert message.has_target
    assert (message.target_azimuth, message.target_elevation, message.error) == (0.31, 0.44, 0.05)
    assert (message.azimuth_saturated, message.elevation_saturated) == (False, True)
    assert (message.has_track, message.track_age, message.jitter_ms) == (True, 0.08, 1.5)
    assert (message.vehicle_forward, message.vehicle_climb, message.vehicle_yaw_rate) == (1.0, 0.5, 0.25)
    bare = COMMAND._replace(setpoint=None, target=None, error=None, track_age=None)
    message = servo_state(bare, STAMP, "gimbal_base")
    assert [message.has_target, message.has_setpoint, message.has_track] == [False] * 3
