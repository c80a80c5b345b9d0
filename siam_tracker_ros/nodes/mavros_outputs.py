"""The servo's commands for MAVROS, where mavros_msgs is installed."""

from __future__ import annotations

import math
from typing import Any

from siam_tracker_ros.control.frames import to_mavlink
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.nodes.optional_messages import messages_of
from siam_tracker_ros.nodes.servo_outputs import PublishedOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters


class MavrosGimbalOutput(PublishedOutput):
    """mavros_msgs/GimbalManagerSetPitchyaw: as in MAVLink, pitch up and yaw to the right, rad/s.

    Control of the gimbal is taken through MAVROS (service gimbal_control/manager/configure).
    """

    topic = "gimbal_control/manager/set_pitchyaw"

    def __init__(self, node: Any, parameters: ServoParameters) -> None:
        """Raises MissingMessagesError."""
        self.message_type = messages_of("mavros_msgs").GimbalManagerSetPitchyaw
        super().__init__(node, parameters)

    def message(self, command: ServoCommand, stamp: Any) -> Any:
        """The rates; the angles are left unset."""
        rates, parameters = to_mavlink(command.rates), self._parameters
        return self.message_type(
            target_system=parameters.mavlink_target_system,
            target_component=parameters.mavlink_target_component,
            flags=parameters.mavlink_flags,
            gimbal_device_id=parameters.mavlink_gimbal_device,
            pitch=math.nan,
            yaw=math.nan,
            pitch_rate=rates.pitch,
            yaw_rate=rates.yaw,
        )


class MavrosVehicleOutput(PublishedOutput):
    """mavros_msgs/PositionTarget with speeds alone.

    MAVROS takes those of FRAME_BODY_NED as base_link has them: x forward, y left, z up, yaw to the left.
    """

    topic = "setpoint_raw/local"

    def __init__(self, node: Any, parameters: ServoParameters) -> None:
        """Raises MissingMessagesError."""
        self.message_type = messages_of("mavros_msgs").PositionTarget
        super().__init__(node, parameters)

    def message(self, command: ServoCommand, stamp: Any) -> Any:
        """The speeds; position, acceleration and yaw are to be ignored."""
        kind = self.message_type
        message = kind(coordinate_frame=kind.FRAME_BODY_NED, yaw_rate=command.vehicle.yaw)
        message.header.stamp, message.header.frame_id = stamp, self._parameters.vehicle_frame
        message.type_mask = (
            (kind.IGNORE_PX | kind.IGNORE_PY | kind.IGNORE_PZ)
            | (kind.IGNORE_AFX | kind.IGNORE_AFY | kind.IGNORE_AFZ)
            | kind.IGNORE_YAW
        )
        message.velocity.x, message.velocity.z = command.vehicle.forward, command.vehicle.climb
        return message
