"""Why images may not arrive on a topic: who publishes there, with what type and quality of service."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

from siam_tracker_ros import dds_profile
from siam_tracker_ros.ros_distro import ros_distro


def mismatches(node: Node, topic: str, type_name: str, qos: QoSProfile) -> list[str]:
    """One line for each publisher of `topic` that a subscription of this type and quality cannot hear."""
    lines = []
    for publisher in node.get_publishers_info_by_topic(topic):
        who = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
        if publisher.topic_type != type_name:
            lines.append(f"{who} publishes {publisher.topic_type} on {topic}, {type_name} is read")
            continue
        compatibility, reason = qos_check_compatible(publisher.qos_profile, qos)
        if compatibility == QoSCompatibility.ERROR:
            lines.append(f"{who} publishes {topic} with incompatible QoS: {_words(publisher, qos, reason)}")
    return lines


def _words(publisher: Any, qos: QoSProfile, reason: str) -> str:
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    if publisher.qos_profile.reliability == best_effort and qos.reliability == reliable:
        return "it is best_effort, reliable is asked for; set image_reliability to best_effort"
    return " ".join(reason.split())


def silence(node: Node, topic: str, type_name: str, qos: QoSProfile, seconds: float) -> str:
    """What to do where no image has arrived on `topic` for `seconds`, in one line."""
    wrong = mismatches(node, topic, type_name, qos)
    if wrong:
        return f"no image: {'; '.join(wrong)}"
    publishers = node.count_publishers(topic)
    if not publishers:
        return f"no image: nobody publishes {topic}; start the camera, or remap the topic image"
    variable, profile = dds_profile.profile_variable(ros_distro()), dds_profile.shipped_profile()
    return (
        f"publisher matched, no frames: {topic} has {publishers} publisher{'s' * (publishers != 1)}, but no "
        f"image comes for {seconds:g} s and more. If it is not paused: Fast DDS loses images above 512 KiB; "
        f"set {variable}={profile} where the publisher runs"
    )
