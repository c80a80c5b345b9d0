"""Pixel to bearing and back, through the three lens models of sensor_msgs/CameraInfo.

OpenCV's undistortPoints stops after five iterations and returns a value for any pixel, those included that no
ray reaches; a servo must know the difference. Here the inverse is solved to rounding, starting from a
table of the radial part, and a pixel outside of the lens's range is refused.

Pixel coordinates are ROS's: u to the right, v down, the centre of the top-left pixel at (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

import numpy as np

from siam_tracker_ros.control.errors import CameraInfoError, NoBearingError
from siam_tracker_ros.control.frames import Vector

DistortionModel = Literal["plumb_bob", "rational_polynomial", "equidistant"]

# How many coefficients each model may come with. 12: thin prism, 14: tilted sensor, in OpenCV's order.
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
# Perspective models are followed out to here, 84 degrees off axis.
_MAX_RADIUS = 10.0
_TABLE_SIZE = 2001
_SOLVED = 1e-10
# About a hundredth of a pixel at common focal lengths: rounding at the very border of the range.
_BORDER = 1e-5


class _Lens(NamedTuple):
    """Where the radial part can be inverted: undistorted radius (or angle) against distorted radius."""

    undistorted: Vector
    distorted: Vector


@dataclass(frozen=True)
class CameraModel:
    """Pinhole and lens: focal lengths and principal point in px, width and height of the image in px.

    `coefficients` are twelve, k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4, of the perspective models, and
    four, k1 k2 k3 k4, of the equidistant one. Made by `camera_model` or `rectified_camera_model`.
    """

    width: int
    height: int
    distortion_model: DistortionModel
    fx: float
    fy: float
    cx: float
    cy: float
    coefficients: tuple[float, ...]

    def bearing(self, u: float, v: float) -> Vector:
        """Unit vector [3], optical frame, towards what pixel (u, v) shows.

        Raises NoBearingError where the lens model has no ray for the pixel, or the pixel is not finite.
        """
        x, y = (u - self.cx) / self.fx, (v - self.cy) / self.fy
        if not (math.isfinite(x) and math.isfinite(y)):
            raise NoBearingError(f"pixel ({u}, {v}) is not a pair of finite numbers")
        lens = _lens(self.distortion_model, self.coefficients)
        radius = math.hypot(x, y)
        if radius > lens.distorted[-1] + _BORDER:
            raise NoBearingError(
                f"pixel ({u:g}, {v:g}) lies beyond the lens model {self.distortion_model}, which reaches "
                f"{lens.distorted[-1] * self.fx:.0f} px from ({self.cx:g}, {self.cy:g})"
            )
        guess = float(np.interp(radius, lens.distorted, lens.undistorted))
        if self.distortion_model == "equidistant":
            angle = _solved_angle(radius, guess, self.coefficients, float(lens.undistorted[-1]))
            across = math.sin(angle) / radius if radius > 0 else 0.0
            return np.array([x * across, y * across, math.cos(angle)])
        scale = guess / radius if radius > 0 else 1.0
        solved = _solved_point(x, y, x * scale, y * scale, self.coefficients)
        if solved is None or math.hypot(*solved) > lens.undistorted[-1] * (1 + _BORDER) + _BORDER:
            raise NoBearingError(f"no ray reaches pixel ({u:g}, {v:g}) through the lens model")
        ray = np.array([solved[0], solved[1], 1.0])
        return ray / math.sqrt(float(ray @ ray))

    def pixel(self, bearing: Vector) -> tuple[float, float]:
        """Pixel (u, v), possibly outside of the image, that shows the direction `bearing` [3], optical frame.

        Raises NoBearingError for a direction the lens does not show: behind the camera, or beyond its model.
        """
        x, y, z = (float(value) for value in bearing)
        if not all(map(math.isfinite, (x, y, z))) or x == y == z == 0:
            raise NoBearingError(f"({x}, {y}, {z}) is not a direction")
        lens = _lens(self.distortion_model, self.coefficients)
        off_axis = math.atan2(math.hypot(x, y), z)
        if self.distortion_model == "equidistant":
            reach, limit = off_axis, float(lens.undistorted[-1])
        else:
            # `off_axis` below pi / 2 has a tangent; the range of the model is kept as one.
            reach, limit = off_axis, math.atan(float(lens.undistorted[-1]))
        if reach > limit * (1 + _BORDER):
            raise NoBearingError(
                f"a direction {math.degrees(off_axis):.1f} degrees off axis is not shown: the lens model "
                f"{self.distortion_model} reaches {math.degrees(limit):.1f} degrees"
            )
        if self.distortion_model == "equidistant":
            across = math.hypot(x, y)
            scale = _distorted_angle(off_axis, self.coefficients)[0] / across if across > 0 else 0.0
            xd, yd = x * scale, y * scale
        else:
            xd, yd = _distorted(x / z, y / z, self.coefficients)
        return self.fx * xd + self.cx, self.fy * yd + self.cy


def camera_model(
    width: int,
    height: int,
    distortion_model: str,
    d: Sequence[float],
    k: Sequence[float],
    *,
    binning: tuple[int, int] = (1, 1),
    roi_offset: tuple[int, int] = (0, 0),
) -> CameraModel:
    """Model of the image as the driver publishes it, from the values of a sensor_msgs/CameraInfo.

    `width`, `height` (px), `d` and `k` (row by row, 9 values, px) are those of the whole sensor at full
    resolution; `binning` 0 means 1, as in the message, and `roi_offset` is the region's corner in px of
    the sensor. Raises CameraInfoError if it is not calibrated or not understood.
    """
    binning_x, binning_y = max(binning[0], 1), max(binning[1], 1)
    if width <= 0 or height <= 0:
        raise CameraInfoError(f"an image of {width} x {height} px has no pixels")
    matrix = _finite("k", k, 9)
    fx, skew, cx, fy, cy = matrix[0], matrix[1], matrix[2], matrix[4], matrix[5]
    if fx <= 0 or fy <= 0:
        raise CameraInfoError(
            f"the focal lengths k[0] = {fx:g} and k[4] = {fy:g} must be above 0 px: is it calibrated?"
        )
    if skew != 0:
        raise CameraInfoError(f"k[1] = {skew:g}: a skewed pixel grid is not supported")
    name, coefficients = _coefficients(distortion_model, d)
    return CameraModel(
        math.ceil(width / binning_x),
        math.ceil(height / binning_y),
        name,
        fx / binning_x,
        fy / binning_y,
        (cx - roi_offset[0]) / binning_x,
        (cy - roi_offset[1]) / binning_y,
        coefficients,
    )


def rectified_camera_model(
    width: int, height: int, p: Sequence[float], *, binning: tuple[int, int] = (1, 1)
) -> CameraModel:
    """Model of a rectified image (`image_rect`): no distortion, and CameraInfo's `p` (12 values, px).

    Bearings are then those of the rectified camera. Raises CameraInfoError as `camera_model` does.
    """
    matrix = _finite("p", p, 12)
    k = (matrix[0], matrix[1], matrix[2], 0.0, matrix[5], matrix[6], 0.0, 0.0, 1.0)
    return camera_model(width, height, "plumb_bob", (), k, binning=binning)


def _finite(name: str, values: Sequence[float], count: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise CameraInfoError(f"{name} must be {count} finite numbers, not {numbers}")
    return numbers


def _coefficients(distortion_model: str, d: Sequence[float]) -> tuple[DistortionModel, tuple[float, ...]]:
    """Name of the lens model and its coefficients, filled up with zeros."""
    numbers = [float(value) for value in d]
    if not any(numbers) and distortion_model in ("", *_COEFFICIENTS) and distortion_model != "equidistant":
        return "plumb_bob", (0.0,) * 12
    if distortion_model not in _COEFFICIENTS:
        raise CameraInfoError(
            f"distortion_model must be one of {', '.join(get_args(DistortionModel))}, "
            f"not {distortion_model!r}"
        )
    counts = _COEFFICIENTS[distortion_model]
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        wanted = " or ".join(map(str, counts))
        raise CameraInfoError(f"{distortion_model} takes {wanted} finite values of d, not {numbers}")
    if any(numbers[12:]):
        raise CameraInfoError(f"d[12:14] = {numbers[12:]}: a tilted sensor is not supported")
    name = cast(DistortionModel, distortion_model)
    if name == "equidistant":
        return name, tuple(numbers)
    return name, tuple(numbers[:12] + [0.0] * (12 - len(numbers)))


def _radial_factor(r2: float | Vector, c: tuple[float, ...]) -> float | Vector:
    """Scale of the radial part at a squared radius: (1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + ...)."""
    return (1 + r2 * (c[0] + r2 * (c[1] + r2 * c[4]))) / (1 + r2 * (c[5] + r2 * (c[6] + r2 * c[7])))


def _distorted(x: float, y: float, c: tuple[float, ...]) -> tuple[float, float]:
    """Distorted normalised coordinates of undistorted ones, perspective models."""
    r2 = x * x + y * y
    radial = float(_radial_factor(r2, c))
    return (
        x * radial + 2 * c[2] * x * y + c[3] * (r2 + 2 * x * x) + r2 * (c[8] + r2 * c[9]),
        y * radial + c[2] * (r2 + 2 * y * y) + 2 * c[3] * x * y + r2 * (c[10] + r2 * c[11]),
    )


def _solved_point(
    xd: float, yd: float, x: float, y: float, c: tuple[float, ...]
) -> tuple[float, float] | None:
    """Undistorted coordinates of (xd, yd) by Newton's method from (x, y); None if it does not converge."""
    step = 1e-6
    for _ in range(20):
        fx, fy = _distorted(x, y, c)
        ex, ey = fx - xd, fy - yd
        if math.hypot(ex, ey) < _SOLVED:
            return x, y
        right, left = _distorted(x + step, y, c), _distorted(x - step, y, c)
        below, above = _distorted(x, y + step, c), _distorted(x, y - step, c)
        a, d = (right[0] - left[0]) / (2 * step), (right[1] - left[1]) / (2 * step)
        b, e = (below[0] - above[0]) / (2 * step), (below[1] - above[1]) / (2 * step)
        determinant = a * e - b * d
        if not determinant > 1e-9:  # folded over: more than one ray, or none
            return None
        x -= (e * ex - b * ey) / determinant
        y -= (a * ey - d * ex) / determinant
    return None


def _distorted_angle(angle: float, c: tuple[float, ...]) -> tuple[float, float]:
    """Distorted angle of the equidistant model and its derivative."""
    a2 = angle * angle
    value = angle * (1 + a2 * (c[0] + a2 * (c[1] + a2 * (c[2] + a2 * c[3]))))
    slope = 1 + a2 * (3 * c[0] + a2 * (5 * c[1] + a2 * (7 * c[2] + a2 * 9 * c[3])))
    return value, slope


def _solved_angle(distorted: float, guess: float, c: tuple[float, ...], limit: float) -> float:
    """Angle off axis, rad, of a distorted one, by Newton's method; at most `limit`."""
    angle = guess
    for _ in range(10):
        value, slope = _distorted_angle(angle, c)
        if abs(value - distorted) < _SOLVED or slope < 1e-6:
            break
        angle = min(max(angle - (value - distorted) / slope, 0.0), limit)
    return angle


@lru_cache(maxsize=32)
def _lens(model: DistortionModel, c: tuple[float, ...]) -> _Lens:
    """The rising part of the radial curve from the axis outwards."""
    if model == "equidistant":
        undistorted = np.linspace(0.0, math.pi, _TABLE_SIZE)
        distorted = np.array([_distorted_angle(float(angle), c)[0] for angle in undistorted])
    else:
        # Dense near the axis, where the pixels are.
        undistorted = np.linspace(0.0, math.sqrt(_MAX_RADIUS), _TABLE_SIZE) ** 2
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distorted = undistorted * np.asarray(_radial_factor(undistorted**2, c))
    rising = np.diff(distorted) > 0
    count = _TABLE_SIZE if rising.all() else int(np.argmin(rising)) + 1
    return _Lens(undistorted[:count], distorted[:count])
