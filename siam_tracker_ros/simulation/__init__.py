"""A pan-tilt camera, its scene and its target, without a robot and without ROS."""
