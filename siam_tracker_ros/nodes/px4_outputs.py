"""The servo's commands for PX4's uXRCE-DDS bridge, where px4_msgs is installed."""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.qos import qos_profile_sensor_data

from siam_tracker_ros.control.frames import to_mavlink
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.optional_messages import messages_of
from siam_tracker_ros.nodes.servo_outputs import PublishedOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

_DO_GIMBAL_MANAGER_PITCHYAW = 1000
# Beyond this a heading is not believed any more, s.
_HEADING_S = 0.5
_UNSET = [math.nan, math.nan, math.nan]


class Px4GimbalOutput(PublishedOutput):
    """px4_msgs/VehicleCommand DO_GIMBAL_MANAGER_PITCHYAW: pitch up and yaw to the right, degrees/s.

    The same system and component have to be given control of the gimbal (DO_GIMBAL_MANAGER_CONFIGURE, or the
    ground station).
    """

    topic = "fmu/in/vehicle_command"

    def __init__(self, node: Any, parameters: ServoParameters) -> None:
        """Raises MissingMessagesError."""
        self.message_type = messages_of("px4_msgs").VehicleCommand
        super().__init__(node, parameters)

    def message(self, command: ServoCommand, stamp: Any) -> Any:
        """The rates; the angles are left unset."""
        rates, parameters = to_mavlink(command.rates), self._parameters
        return self.message_type(
            timestamp=_microseconds(stamp),
            command=_DO_GIMBAL_MANAGER_PITCHYAW,
            param1=math.nan,
            param2=math.nan,
            param3=math.degrees(rates.pitch),
            param4=math.degrees(rates.yaw),
            param5=float(parameters.mavlink_flags),
            param7=float(parameters.mavlink_gimbal_device),
            target_system=parameters.mavlink_target_system,
            target_component=parameters.mavlink_target_component,
            source_system=parameters.mavlink_system,
            source_component=parameters.mavlink_component,
            from_external=True,
        )


class Px4VehicleOutput:
    """px4_msgs/TrajectorySetpoint with speeds alone, and the OffboardControlMode that says so.

    PX4 takes speeds north, east and down, so that its own heading is needed (VehicleLocalPosition); without a
    fresh one that is good for control the vehicle is told to hover. Switching to Offboard is the pilot's.
    """

    trouble = ""

    def __init__(self, node: Any, parameters: ServoParameters) -> None:
        """Raises MissingMessagesError."""
        messages = messages_of("px4_msgs")
        self._mode, self._setpoint = messages.OffboardControlMode, messages.TrajectorySetpoint
        position = messages.VehicleLocalPosition
        self._node = node
        self._modes = node.create_publisher(self._mode, "fmu/in/offboard_control_mode", 1)
        self._setpoints = node.create_publisher(self._setpoint, "fmu/in/trajectory_setpoint", 1)
        self._heading: tuple[float, float] | None = None
        topic, qos = "fmu/out/vehicle_local_position", qos_profile_sensor_data
        self._positions = node.create_subscription(position, topic, self._on_position, qos)

    def send(self, command: ServoCommand, stamp: Any) -> None:
        """Publish one command."""
        timestamp = _microseconds(stamp)
        self._modes.publish(self._mode(timestamp=timestamp, velocity=True))
        self._setpoints.publish(
            self._setpoint(
                timestamp=timestamp,
                position=_UNSET,
                velocity=self._north_east_down(command),
                acceleration=_UNSET,
                jerk=_UNSET,
                yaw=math.nan,
                yawspeed=-command.vehicle.yaw,
            )
        )

    def close(self) -> None:
        """Take the topics down."""
        self._node.destroy_subscription(self._positions)
        for publisher in (self._modes, self._setpoints):
            self._node.destroy_publisher(publisher)

    def _on_position(self, message: Any) -> None:
        good = message.heading_good_for_control and math.isfinite(message.heading)
        self._heading = (time.monotonic(), message.heading) if good else None

    def _north_east_down(self, command: ServoCommand) -> list[float]:
        """The vehicle's speeds, m/s; standing still where the heading is not known."""
        forward, climb = command.vehicle.forward, command.vehicle.climb
        if self._heading is None or time.monotonic() - self._heading[0] > _HEADING_S:
            self.trouble = "no good heading on fmu/out/vehicle_local_position: the vehicle hovers"
            return [0.0, 0.0, 0.0]
        self.trouble = ""
        heading = self._heading[1]  # rad, clockwise from north
        return [forward * math.cos(heading), forward * math.sin(heading), -climb]


def _microseconds(stamp: Any) -> int:
    return stamp_ns(stamp) // 1000
