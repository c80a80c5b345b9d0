"""Siamese visual object tracking (SiamRPN++, SiamMask) for ROS 2: box a target once, then follow it."""
