"""What the servo reports of each control period, as a message."""

from __future__ import annotations

from builtin_interfaces.msg import Time

from siam_tracker_msgs.msg import ServoState
from siam_tracker_ros.control.servo import ServoCommand


def servo_state(
    command: ServoCommand,
    stamp: Time,
    base_frame: str,
    target_id: str = "",
    generation: int = 0,
    jitter_ms: float = 0.0,
) -> ServoState:
    """One control period as a siam_tracker_msgs/ServoState."""
    message = ServoState(
        state=int(command.state),
        reason=command.reason,
        target_id=target_id,
        generation=generation,
        manual=command.manual,
        azimuth_rate=command.rates.azimuth,
        elevation_rate=command.rates.elevation,
        azimuth_saturated=command.saturated[0],
        elevation_saturated=command.saturated[1],
        vehicle_forward=command.vehicle.forward,
        vehicle_climb=command.vehicle.climb,
        vehicle_yaw_rate=command.vehicle.yaw,
        jitter_ms=jitter_ms,
    )
    message.header.stamp, message.header.frame_id = stamp, base_frame
    if command.target is not None and command.error is not None:
        message.has_target = True
        message.target_azimuth, message.target_elevation = command.target
        message.error = command.error
    if command.setpoint is not None:
        message.has_setpoint = True
        message.azimuth_setpoint, message.elevation_setpoint = command.setpoint
    if command.track_age is not None:
        message.has_track, message.track_age = True, command.track_age
    return message
