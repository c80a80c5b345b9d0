"""Siamese visual object tracking (SiamRPN++, SiamMask) for ROS 2: box a target once, then follow it."""

import os

# PyTorch's threads wait for each other by spinning. Where other processes want the cores too, as on every
# robot, a frame then takes many times as long; sleeping costs next to nothing. Read when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
