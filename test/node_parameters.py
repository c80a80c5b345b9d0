"""The parameters of every node, by the name of their file in config/."""

from __future__ import annotations

from siam_tracker_ros.nodes.gimbal_sim_parameters import GimbalSimParameters
from siam_tracker_ros.nodes.overlay_parameters import OverlayParameters
from siam_tracker_ros.nodes.select_target_parameters import SelectTargetParameters
from siam_tracker_ros.nodes.servo_parameters import ServoParameters
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters
from siam_tracker_ros.nodes.video_source_parameters import VideoSourceParameters

STRUCTS = {
    "tracker": TrackerParameters,
    "overlay": OverlayParameters,
    "servo": ServoParameters,
    "gimbal_sim": GimbalSimParameters,
    "video_source": VideoSourceParameters,
    "select_target": SelectTargetParameters,
}
