"""The servo's commands as messages of common_interfaces: rates, positions, the vehicle's speeds."""

from __future__ import annotations

from typing import Any, Protocol

from builtin_interfaces.msg import Duration as DurationMessage
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from siam_tracker_ros.control.frames import to_pan_tilt
from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

# The zeros at the end must not push each other out.
_DEPTH = 5
_LAST_WORD = Duration(seconds=1)


class ServoOutput(Protocol):
    """Sends commands to what moves. Called from two threads, never at the same time.

    `trouble`: what is wrong with it, in words for people; empty if nothing is.
    """

    trouble: str

    def send(self, command: ServoCommand, stamp: Time) -> None:
        """Send one command, of the node's time `stamp`."""

    def close(self) -> None:
        """Let go of what it sends through."""


class PublishedOutput:
    """A command as a message on a topic. Sub-classes make the message."""

    message_type: Any
    topic: str
    trouble = ""

    def __init__(self, node: Any, parameters: ServoParameters) -> None:
        self._node = node
        self._parameters = parameters
        self._publisher = node.create_publisher(self.message_type, self.topic, _DEPTH)

    def send(self, command: ServoCommand, stamp: Time) -> None:
        """Publish one command."""
        message = self.message(command, stamp)
        if message is not None:
            self._publisher.publish(message)

    def message(self, command: ServoCommand, stamp: Time) -> Any:
        """The message; None where there is nothing to send yet."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the topic down, once its readers have the last zeros."""
        self._publisher.wait_for_all_acked(_LAST_WORD)
        self._node.destroy_publisher(self._publisher)


class RateOutput(PublishedOutput):
    """Joint rates: angular.z turns about z, positive left; angular.y tilts about y, positive down; rad/s."""

    message_type = TwistStamped
    topic = "cmd_rate"

    def message(self, command: ServoCommand, stamp: Time) -> TwistStamped:
        """The rates as REP-103 joints have them."""
        rates = to_pan_tilt(command.rates)
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = stamp, self._parameters.base_frame
        message.twist.angular.y, message.twist.angular.z = rates.tilt, rates.pan
        return message


class JointStateOutput(PublishedOutput):
    """Joint positions, rad, and the rates at which they move, rad/s."""

    message_type = JointState
    topic = "cmd_position"

    def message(self, command: ServoCommand, stamp: Time) -> JointState | None:
        """The set-point; None before any attitude."""
        if command.setpoint is None:
            return None
        angles, rates = to_pan_tilt(command.setpoint), to_pan_tilt(command.rates)
        message = JointState(
            name=[self._parameters.pan_joint, self._parameters.tilt_joint],
            position=list(angles),
            velocity=list(rates),
        )
        message.header.stamp, message.header.frame_id = stamp, self._parameters.base_frame
        return message


class JointTrajectoryOutput(PublishedOutput):
    """Joint positions, rad, to be reached within a control period, for a joint_trajectory_controller.

    The stamp is zero, which starts a trajectory at once. Velocities are left out: a trajectory must not end
    in motion where no further one comes.
    """

    message_type = JointTrajectory
    topic = "cmd_trajectory"

    def message(self, command: ServoCommand, stamp: Time) -> JointTrajectory | None:
        """The set-point as a trajectory of one point; None before any attitude."""
        if command.setpoint is None:
            return None
        period = DurationMessage(nanosec=round(1e9 / self._parameters.control_rate))
        point = JointTrajectoryPoint(positions=list(to_pan_tilt(command.setpoint)), time_from_start=period)
        message = JointTrajectory(
            joint_names=[self._parameters.pan_joint, self._parameters.tilt_joint], points=[point]
        )
        message.header.frame_id = self._parameters.base_frame
        return message


class VehicleTwistOutput(PublishedOutput):
    """The vehicle's speeds: linear.x forward, linear.z up, m/s; angular.z about z, positive left, rad/s."""

    message_type = TwistStamped
    topic = "cmd_vel"

    def message(self, command: ServoCommand, stamp: Time) -> TwistStamped:
        """The speeds in the vehicle's frame."""
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = stamp, self._parameters.vehicle_frame
        message.twist.linear.x = command.vehicle.forward
        message.twist.linear.z = command.vehicle.climb
        message.twist.angular.z = command.vehicle.yaw
        return message
