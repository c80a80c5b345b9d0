"""Siamese visual object tracking (SiamRPN++, SiamMask) for ROS 2: box a target once, follow it from then on."""
