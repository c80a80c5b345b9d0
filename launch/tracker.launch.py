"""The tracker, and around it what the arguments ask for: overlay, selector, servo, RViz, recording.

    ros2 launch siam_tracker_ros tracker.launch.py image_topic:=/camera/image_raw rviz:=true

`--show-args` tells all of them. To include it in another launch file, pass them as launch_arguments.
"""

from launch import LaunchDescription

from siam_tracker_ros.bringup.arguments import TrackerArguments
from siam_tracker_ros.bringup.launch_description import launch_description
from siam_tracker_ros.bringup.tracker_plan import plan_tracker


def generate_launch_description() -> LaunchDescription:
    return launch_description(TrackerArguments, plan_tracker)
