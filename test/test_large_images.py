"""The shipped Fast DDS profile lets large best-effort images through to another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siam_tracker_ros import dds_profile
from siam_tracker_ros.ros_distro import ros_distro

IMAGES = 5
DEADLINE_S = 60.0
PUBLISHER = Path(__file__).parent / "publish_images.py"


def test_every_1080p_image_arrives(ros_domain: int) -> None:
    """Each image but the first is published once, when the one before was acknowledged."""
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("NOT TESTED: the profile is Fast DDS's, and this ROS 2 runs on another middleware")
    node = rclpy.create_node("subscriber", context=context)
    kept = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    acknowledge = node.create_publisher(UInt32, "received", kept)
    sizes: dict[int, int] = {}

    def on_image(image: Image) -> None:
        index = int(image.header.frame_id)
        sizes[index] = len(image.data)
        acknowledge.publish(UInt32(data=index))

    node.create_subscription(Image, "image", on_image, qos_profile_sensor_data)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    variable = dds_profile.profile_variable(ros_distro())
    environment = {**os.environ, variable: str(dds_profile.shipped_profile())}
    command = [sys.executable, str(PUBLISHER), "1920", "1080", str(IMAGES)]
    try:
        with subprocess.Popen(command, env=environment) as publisher:
            deadline = time.monotonic() + DEADLINE_S
            while publisher.poll() is None and time.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.1)
            publisher.kill()
    finally:
        executor.shutdown()
        node.destroy_node()
        context.shutdown()
    assert sizes == dict.fromkeys(range(IMAGES), 1920 * 1080 * 3)
