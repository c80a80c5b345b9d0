"""Which output the parameters name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siam_tracker_ros.nodes.mavlink_gimbal import MavlinkGimbalOutput
from siam_tracker_ros.nodes.mavros_outputs import MavrosGimbalOutput, MavrosVehicleOutput
from siam_tracker_ros.nodes.px4_outputs import Px4GimbalOutput, Px4VehicleOutput
from siam_tracker_ros.nodes.servo_outputs import (
    JointStateOutput,
    JointTrajectoryOutput,
    RateOutput,
    ServoOutput,
    VehicleTwistOutput,
)
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

Maker = Callable[[Any, ServoParameters], ServoOutput]

GIMBAL_OUTPUTS: dict[str, Maker] = {
    "rate": RateOutput,
    "joint_state": JointStateOutput,
    "joint_trajectory": JointTrajectoryOutput,
    "mavlink": lambda _, parameters: MavlinkGimbalOutput(parameters),
    "mavros": MavrosGimbalOutput,
    "px4": Px4GimbalOutput,
}
VEHICLE_OUTPUTS: dict[str, Maker] = {
    "twist": VehicleTwistOutput,
    "mavros": MavrosVehicleOutput,
    "px4": Px4VehicleOutput,
}


def open_outputs(node: Any, parameters: ServoParameters) -> list[ServoOutput]:
    """What `gimbal_output` and `vehicle_output` name, opened; none is left open where one does not open."""
    makers = [
        table[name]
        for table, name in (
            (GIMBAL_OUTPUTS, parameters.gimbal_output),
            (VEHICLE_OUTPUTS, parameters.vehicle_output),
        )
        if name != "none"
    ]
    made: list[ServoOutput] = []
    try:
        for make in makers:
            made.append(make(node, parameters))
    except Exception:
        for output in made:
            output.close()
        raise
    return made
