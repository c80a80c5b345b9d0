"""Image-based visual servoing with a camera that only turns.

The rotational part of the interaction matrix of an image point needs no depth (Chaumette and Hutchinson,
"Visual servo control, part I", IEEE RAM 2006, eq. 11): the image error is turned into one of the gimbal's
axes, and the rest of the servo law is the same as for the line of sight. Far from the image centre, and
for a rolled camera, it draws the target along a straight line in the image.
"""

from __future__ import annotations

import math

import numpy as np

from siam_tracker_ros.control.errors import NoBearingError
from siam_tracker_ros.control.frames import (
    Quaternion,
    Vector,
    body_from_optical,
    optical_from_body,
    rotation_matrix,
)

# Beyond 78 degrees off axis the image plane is no use.
_MIN_FORWARD = 0.2
# Keeps the inverse bounded where the camera looks straight up or down and azimuth has no effect.
_DAMPING = 1e-3


def rotation_interaction_matrix(x: float, y: float) -> Vector:
    """[2, 3]: velocity of the normalised image point (x right, y down, 1/s) by the camera's angular velocity.

    The angular velocity (rad/s) is that of the camera in its optical frame.
    """
    return np.array([[x * y, -(1 + x * x), y], [1 + y * y, -x * y, -x]])


def gimbal_jacobian(attitude: Quaternion) -> Vector:
    """[3, 2]: angular velocity of the camera (optical frame) by rates of azimuth and elevation, all rad/s.

    Azimuth turns about base z; elevation about the horizontal axis to the right of where the camera points.
    """
    matrix = rotation_matrix(attitude)
    forward = matrix @ body_from_optical(np.array([0.0, 0.0, 1.0]))
    azimuth = math.atan2(float(forward[1]), float(forward[0]))
    right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.column_stack([optical_from_body(matrix.T @ up), optical_from_body(matrix.T @ right)])


def image_error(bearing: Vector, attitude: Quaternion) -> tuple[float, float]:
    """Turn of the axes, rad (azimuth left, elevation up), that takes the target to the image centre.

    `bearing` [3] is the target's direction in the optical frame, `attitude` the camera's (base from camera
    body). Raises NoBearingError for a target too far off axis to have an image point.
    """
    x, y, z = (float(value) for value in bearing)
    if not z > _MIN_FORWARD * math.sqrt(x * x + y * y + z * z):
        raise NoBearingError(f"the direction ({x:.3g}, {y:.3g}, {z:.3g}) is too far off axis to servo on")
    point = np.array([x / z, y / z])
    effect = rotation_interaction_matrix(float(point[0]), float(point[1])) @ gimbal_jacobian(attitude)
    damped = effect.T @ effect + _DAMPING**2 * np.eye(2)
    azimuth, elevation = np.linalg.solve(damped, -effect.T @ point)
    return float(azimuth), float(elevation)
