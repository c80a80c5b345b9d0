"""Siamese networks: backbones, necks, correlation, heads, the zoo and checkpoint loading.

Torch only: no OpenCV and no ROS below this package.
"""
