"""The servo's commands for PX4's uXRCE-DDS bridge, where px4_msgs is installed."""

from __future__ import annotations

import math
from typing import Any

from siam_tracker_ros.control.frames import to_mavlink
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.nodes.optional_messages import messages_of
from siam_tracker_ros.nodes.servo_outputs import PublishedOutput
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

_DO_GIMBAL_MANAGER_PITCHYAW = 1000


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
            timestamp=stamp.sec * 1_000_000 + stamp.nanosec // 1000,
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
