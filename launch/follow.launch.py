"""The closed loop on a simulated gimbal: simulation, tracker, servo, overlay and recording.

    ros2 launch siam_tracker_ros follow.launch.py bag:=run1

The target is started and the servo armed by service; everything ends after the run. `--show-args` tells what
else there is; `siam-tracker follow --measure run1` then writes video, plot and numbers.
"""

from launch import LaunchDescription

from siam_tracker_ros.bringup.follow_plan import FollowArguments, plan_follow
from siam_tracker_ros.bringup.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    return launch_description(FollowArguments, plan_follow)
