"""Frames, signs and rotations.

The three frames (REP-103):

- optical: x right, y down, z forward out of the lens. Bearings are unit vectors in it.
- camera body: the same origin, x forward, y left, z up.
- base: what the gimbal is mounted on, x forward, y left, z up. `attitude` is always the rotation that takes
  camera-body coordinates to base coordinates, a unit quaternion (x, y, z, w) as ROS orders it.

A line of sight is an azimuth, positive to the left (turning about base z), and an elevation, positive
upwards. A tilt joint that turns about y as REP-103 has it, and a pitch angle in ROS, are positive downwards:
the negative of an elevation. MAVLink's yaw is positive to the right: the negative of an azimuth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.errors import AttitudeError

Vector = NDArray[np.float64]
Quaternion = tuple[float, float, float, float]

_UNIT_TOLERANCE = 0.01


class LineOfSight(NamedTuple):
    """Where something is seen: azimuth and elevation, rad, in the base frame."""

    azimuth: float
    elevation: float


class AngularRates(NamedTuple):
    """How fast a line of sight turns: rates of azimuth and elevation, rad/s, in the base frame."""

    azimuth: float
    elevation: float


ZERO_RATES = AngularRates(0.0, 0.0)


class PanTilt(NamedTuple):
    """Joint angles (rad) or rates (rad/s): pan about z, positive to the left; tilt about y, positive down."""

    pan: float
    tilt: float


class PitchYaw(NamedTuple):
    """MAVLink gimbal angles (rad) or rates (rad/s): pitch positive up, yaw positive to the right."""

    pitch: float
    yaw: float


def to_pan_tilt(sight: LineOfSight | AngularRates) -> PanTilt:
    """Angles (rad) or rates (rad/s) of a line of sight as those of REP-103 joints."""
    return PanTilt(sight.azimuth, -sight.elevation)


def from_pan_tilt(joints: PanTilt) -> LineOfSight:
    """Line of sight, rad in the base frame, of a camera at these joint angles, rad."""
    return LineOfSight(joints.pan, -joints.tilt)


def to_mavlink(sight: LineOfSight | AngularRates) -> PitchYaw:
    """Angles (rad) or rates (rad/s) of a line of sight as MAVLink signs them (FRD frame)."""
    return PitchYaw(sight.elevation, -sight.azimuth)


def wrap_angle(angle: float) -> float:
    """`angle`, rad, as the same direction in [-pi, pi]."""
    return math.remainder(angle, math.tau)


def body_from_optical(vector: Vector) -> Vector:
    """A vector [3] of the optical frame in the camera-body frame, same unit."""
    return np.array([vector[2], -vector[0], -vector[1]])


def optical_from_body(vector: Vector) -> Vector:
    """A vector [3] of the camera-body frame in the optical frame, same unit."""
    return np.array([-vector[1], -vector[2], vector[0]])


def checked_quaternion(values: Sequence[float]) -> Quaternion:
    """`values` (x, y, z, w) made a unit quaternion.

    Raises AttitudeError if they are not four finite numbers of norm 1 within 1 %, as the all-zero
    quaternion of an unfilled message is not.
    """
    numbers = [float(value) for value in values]
    norm = math.sqrt(sum(value * value for value in numbers)) if len(numbers) == 4 else math.nan
    if not abs(norm - 1.0) <= _UNIT_TOLERANCE:
        raise AttitudeError(f"an attitude is a unit quaternion x, y, z, w, not {list(values)!r}")
    x, y, z, w = (value / norm for value in numbers)
    return (x, y, z, w)


def rotation_matrix(quaternion: Quaternion) -> Vector:
    """Rotation matrix [3, 3] of a unit quaternion (x, y, z, w): base vector = matrix @ camera-body vector."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def attitude_of(joints: PanTilt) -> Quaternion:
    """Attitude (x, y, z, w), base from camera body, of a gimbal that pans about z and then tilts about y.

    Raises AttitudeError for joint angles (rad) that are not finite.
    """
    if not (math.isfinite(joints.pan) and math.isfinite(joints.tilt)):
        raise AttitudeError(f"joint angles must be finite, not pan {joints.pan} and tilt {joints.tilt} rad")
    cos_pan, sin_pan = math.cos(joints.pan / 2), math.sin(joints.pan / 2)
    cos_tilt, sin_tilt = math.cos(joints.tilt / 2), math.sin(joints.tilt / 2)
    return (-sin_pan * sin_tilt, cos_pan * sin_tilt, sin_pan * cos_tilt, cos_pan * cos_tilt)


def slerp(start: Quaternion, end: Quaternion, fraction: float) -> Quaternion:
    """Attitude a `fraction` of the shorter turn from `start` to `end`; above 1 it carries on beyond."""
    dot = sum(a * b for a, b in zip(start, end, strict=True))
    if dot < 0:  # q and -q are one rotation: take the near one
        end, dot = (-end[0], -end[1], -end[2], -end[3]), -dot
    angle = math.acos(min(dot, 1.0))
    if angle < 1e-6:
        first, second = 1.0 - fraction, fraction
    else:
        first = math.sin((1.0 - fraction) * angle) / math.sin(angle)
        second = math.sin(fraction * angle) / math.sin(angle)
    mixed = [first * a + second * b for a, b in zip(start, end, strict=True)]
    norm = math.sqrt(sum(value * value for value in mixed))
    x, y, z, w = (value / norm for value in mixed)
    return (x, y, z, w)
