"""sensor_msgs/CameraInfo of a camera: out of a calibration file, or approximated from the field of view."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from sensor_msgs.msg import CameraInfo

from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.errors import CameraInfoError

# Relative difference between the scales in x and y that rounding to whole pixels explains.
_SAME_SCALE = 0.01


def approximate_camera_info(width: int, height: int, horizontal_fov: float) -> CameraInfo:
    """A camera without distortion, square pixels, principal point in the middle; `horizontal_fov` in rad."""
    focal = width / 2 / math.tan(horizontal_fov / 2)
    # Pixel (0, 0) has its centre there, so the middle of the image lies half a pixel before width / 2.
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return CameraInfo(
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def read_camera_info(location: str) -> CameraInfo:
    """The calibration in a YAML file as camera_calibration and camera_info_manager write it.

    `location` is a path, or a file:// or package:// URL. Raises CameraInfoError for a file that cannot be
    read or that no camera model can be made of.
    """
    path = _path(location)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CameraInfoError(f"cannot read calibration {path}: {' '.join(str(error).split())}") from error
    try:
        info = CameraInfo(
            width=int(content["image_width"]),
            height=int(content["image_height"]),
            distortion_model=str(content["distortion_model"]),
            d=_numbers(content, "distortion_coefficients"),
            k=_numbers(content, "camera_matrix", 9),
            r=_numbers(content, "rectification_matrix", 9),
            p=_numbers(content, "projection_matrix", 12),
        )
        camera_model(info.width, info.height, info.distortion_model, info.d, info.k)
    except KeyError as error:
        raise CameraInfoError(f"calibration {path} has no {error.args[0]}") from error
    except (TypeError, ValueError, AssertionError) as error:
        raise CameraInfoError(f"calibration {path}: {error}") from error
    return info


def scaled_camera_info(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """`info` of the same camera whose images are resized to `width` x `height` px.

    Raises CameraInfoError where they are of another shape than those it was calibrated with.
    """
    if (width, height) == (info.width, info.height):
        return info
    scale_x, scale_y = width / info.width, height / info.height
    if abs(scale_x / scale_y - 1) > _SAME_SCALE:
        raise CameraInfoError(
            f"the calibration is for images of {info.width} x {info.height} px, these are {width} x {height} "
            "px: they are not the same picture at another size"
        )

    def scaled(matrix: Any, columns: int) -> list[float]:
        values = [float(value) for value in matrix]
        for row, scale in ((0, scale_x), (1, scale_y)):
            start = row * columns
            values[start : start + columns] = [value * scale for value in values[start : start + columns]]
            # Sizes count from the edge of the first pixel, coordinates from its centre.
            values[start + 2] += (scale - 1) / 2
        return values

    return CameraInfo(
        width=width,
        height=height,
        distortion_model=info.distortion_model,
        d=info.d,
        k=scaled(info.k, 3),
        r=info.r,
        p=scaled(info.p, 4),
    )


def _path(location: str) -> Path:
    if location.startswith("package://"):
        package, _, inside = location.removeprefix("package://").partition("/")
        try:
            return Path(get_package_share_directory(package)) / inside
        except (PackageNotFoundError, ValueError) as error:
            raise CameraInfoError(f"{location}: no package {package or '(no name)'} is installed") from error
    return Path(location.removeprefix("file://")).expanduser()


def _numbers(content: Any, name: str, count: int | None = None) -> list[float]:
    numbers = [float(value) for value in content[name]["data"]]
    if count is not None and len(numbers) != count:
        raise CameraInfoError(f"{name} has {len(numbers)} numbers, not {count}")
    return numbers
