"""Footage through the whole package: source, tracker, overlay and recording.

    ros2 launch siam_tracker_ros demo.launch.py source:=video.mp4 box:=380,53,132,190

`--show-args` tells what else there is; `rviz:=true` shows it.
"""

from launch import LaunchDescription

from siam_tracker_ros.bringup.arguments import DemoArguments
from siam_tracker_ros.bringup.launch_description import launch_description
from siam_tracker_ros.bringup.source_plan import plan_demo


def generate_launch_description() -> LaunchDescription:
    return launch_description(DemoArguments, plan_demo)
