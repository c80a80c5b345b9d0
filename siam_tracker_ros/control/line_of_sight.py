"""From a bearing in the image to a line of sight in the base frame, and back."""

from __future__ import annotations

import math

import numpy as np

from siam_tracker_ros.control.frames import (
    LineOfSight,
    Quaternion,
    Vector,
    body_from_optical,
    optical_from_body,
    rotation_matrix,
    wrap_angle,
)

_FORWARD = np.array([0.0, 0.0, 1.0])


def direction_of(sight: LineOfSight) -> Vector:
    """Unit vector [3] in the base frame along a line of sight (rad)."""
    horizontal = math.cos(sight.elevation)
    return np.array(
        [
            horizontal * math.cos(sight.azimuth),
            horizontal * math.sin(sight.azimuth),
            math.sin(sight.elevation),
        ]
    )


def tangents_of(sight: LineOfSight) -> tuple[Vector, Vector]:
    """Unit vectors [3] in the base frame along which azimuth and elevation of a line of sight (rad) grow."""
    sin_azimuth, cos_azimuth = math.sin(sight.azimuth), math.cos(sight.azimuth)
    sin_elevation, cos_elevation = math.sin(sight.elevation), math.cos(sight.elevation)
    left = np.array([-sin_azimuth, cos_azimuth, 0.0])
    up = np.array([-sin_elevation * cos_azimuth, -sin_elevation * sin_azimuth, cos_elevation])
    return left, up


def sight_along(direction: Vector) -> LineOfSight:
    """Line of sight (rad) along a vector [3] of the base frame, of any length above 0.

    Straight up and straight down have no azimuth: 0 is given.
    """
    x, y, z = (float(value) for value in direction)
    return LineOfSight(math.atan2(y, x), math.atan2(z, math.hypot(x, y)))


def line_of_sight(bearing: Vector, attitude: Quaternion) -> LineOfSight:
    """Line of sight (rad, base frame) of a bearing [3] (optical frame) seen at an attitude.

    `attitude` is the quaternion (x, y, z, w), base from camera body, at the time of the exposure.
    """
    return sight_along(rotation_matrix(attitude) @ body_from_optical(bearing))


def bearing_of(sight: LineOfSight, attitude: Quaternion) -> Vector:
    """Bearing, unit vector [3] in the optical frame, under which a line of sight (rad, base) is seen."""
    return optical_from_body(rotation_matrix(attitude).T @ direction_of(sight))


def pointing_of(attitude: Quaternion) -> LineOfSight:
    """Line of sight (rad, base frame) of the camera's optical axis."""
    return line_of_sight(_FORWARD, attitude)


def pointing_error(target: LineOfSight, pointing: LineOfSight) -> tuple[float, float]:
    """Turn of the optical axis to the target, rad: azimuth left, the short way round, and elevation up."""
    return wrap_angle(target.azimuth - pointing.azimuth), target.elevation - pointing.elevation


def angle_between(a: LineOfSight, b: LineOfSight) -> float:
    """Angle between two lines of sight, rad, 0 to pi."""
    first, second = direction_of(a), direction_of(b)
    return math.atan2(float(np.linalg.norm(np.cross(first, second))), float(first @ second))
