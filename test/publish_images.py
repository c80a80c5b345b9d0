"""Publish best-effort images to another process, each after the one before was acknowledged.

usage: publish_images.py WIDTH HEIGHT COUNT. Image 0 is published until it arrives, as the other side may not
be ready; the others once. Ends by itself, or is killed where an image was lost.
"""

from __future__ import annotations

import sys

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import UInt32

width, height, count = map(int, sys.argv[1:])
rclpy.init()
node = rclpy.create_node("publisher")
publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
acknowledged: list[int] = []
kept = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
subscription = node.create_subscription(UInt32, "received", lambda seen: acknowledged.append(seen.data), kept)
image = Image(width=width, height=height, step=3 * width, encoding="bgr8", data=bytes(3 * width * height))
for index in range(count):
    image.header.frame_id = str(index)
    publisher.publish(image)
    while index not in acknowledged:
        rclpy.spin_once(node, timeout_sec=0.1)
        if index == 0:
            publisher.publish(image)
rclpy.shutdown()
