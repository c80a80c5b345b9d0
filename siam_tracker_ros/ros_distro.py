"""Which ROS 2 distribution this is."""

from __future__ import annotations

import os
import re
from importlib import metadata


def ros_distro() -> str | None:
    """Lower-case name (`jazzy`) of the sourced ROS 2, or of the one installed as wheels; None without."""
    sourced = os.environ.get("ROS_DISTRO")
    if sourced:
        return sourced.lower()
    for distribution in metadata.distributions():
        wheel = re.fullmatch(r"ros[-_]([a-z]+)[-_]rclpy", distribution.metadata["Name"] or "")
        if wheel:
            return wheel[1]
    return None
