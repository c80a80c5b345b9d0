"""The topic that images are read from, and why none may arrive on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from sensor_msgs.msg import CompressedImage, Image

from siam_tracker_ros import dds_profile
from siam_tracker_ros.nodes.image_parameters import ImageParameters
from siam_tracker_ros.ros_distro import ros_distro

_RELIABILITY = {
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
}


@dataclass(frozen=True)
class ImageTopic:
    """Where a node reads images: the topic's name in full, the message type and the quality of service."""

    name: str
    type: Any
    qos: QoSProfile

    @property
    def type_name(self) -> str:
        """The type as the graph names it."""
        return f"sensor_msgs/msg/{self.type.__name__}"


def image_topic(node: Node, parameters: ImageParameters) -> ImageTopic:
    """The topic `image` as remapped; compressed ones come beside it, where image_transport has them."""
    base = node.resolve_topic_name("image")
    qos = QoSProfile(depth=parameters.image_depth, reliability=_RELIABILITY[parameters.image_reliability])
    if parameters.image_transport == "compressed":
        return ImageTopic(f"{base}/compressed", CompressedImage, qos)
    return ImageTopic(base, Image, qos)


def mismatches(node: Node, topic: ImageTopic) -> list[str]:
    """One line for each publisher of the topic that a subscription to it cannot hear."""
    lines = []
    for publisher in node.get_publishers_info_by_topic(topic.name):
        who = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
        if publisher.topic_type != topic.type_name:
            lines.append(f"{who} publishes {publisher.topic_type} on {topic.name}, {topic.type_name} is read")
            continue
        compatibility, reason = qos_check_compatible(publisher.qos_profile, topic.qos)
        if compatibility == QoSCompatibility.ERROR:
            words = _words(publisher, topic.qos, reason)
            lines.append(f"{who} publishes {topic.name} with incompatible QoS: {words}")
    return lines


def _words(publisher: Any, qos: QoSProfile, reason: str) -> str:
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    if publisher.qos_profile.reliability == best_effort and qos.reliability == reliable:
        return "it is best_effort, reliable is asked for; set image_reliability to best_effort"
    return " ".join(reason.split())


def silence(node: Node, topic: ImageTopic, seconds: float, handed_over: bool = False) -> str:
    """What to do where no image has arrived on the topic for `seconds`, in one line.

    `handed_over` says that images come from a node of this process.
    """
    if handed_over:
        return (
            f"no image: {topic.name} is published in this process, but nothing comes: is it paused, or over?"
        )
    wrong = mismatches(node, topic)
    if wrong:
        return f"no image: {'; '.join(wrong)}"
    publishers = node.count_publishers(topic.name)
    if not publishers:
        return f"no image: nobody publishes {topic.name}; start the camera, or remap the topic image"
    variable, profile = dds_profile.profile_variable(ros_distro()), dds_profile.shipped_profile()
    return (
        f"publisher matched, no frames: {topic.name} has {publishers} publisher{'s' * (publishers != 1)}, "
        f"but no image comes for {seconds:g} s and more. If it is not paused: Fast DDS loses images above "
        f"512 KiB; set {variable}={profile} where the publisher runs"
    )
