"""camera_info from calibration files and fields of view, against OpenCV's projection and hand geometry."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")

from siam_tracker_ros.control.errors import CameraInfoError
from siam_tracker_ros.nodes.camera_info import (
    approximate_camera_info,
    read_camera_info,
    scaled_camera_info,
)

# As `ros2 run camera_calibration cameracalibrator` writes it.
CALIBRATION = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [520.1, 0., 318.5, 0., 521.3, 241.9, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.05, -0.11, 0.001, -0.002, 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [515.0, 0., 317.0, 0., 0., 516.0, 242.0, 0., 0., 0., 1., 0.]
"""


def write(folder: Path, **changes: object) -> str:
    content = {**yaml.safe_load(CALIBRATION), **changes}
    path = folder / "camera.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return str(path)


def test_calibration_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(CALIBRATION)
    for location in (str(path), f"file://{path}"):
        info = read_camera_info(location)
        assert (info.width, info.height, info.distortion_model) == (640, 480, "plumb_bob")
        assert list(info.d) == [0.05, -0.11, 0.001, -0.002, 0.0]
        assert list(info.k) == [520.1, 0, 318.5, 0, 521.3, 241.9, 0, 0, 1]
        assert list(info.p)[:4] == [515.0, 0, 317.0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera_matrix": None}, "has no camera_matrix"),
        ({"camera_matrix": {"data": [1, 2, 3]}}, "camera_matrix has 3 numbers, not 9"),
        ({"camera_matrix": {"data": [0] * 9}}, "focal lengths"),
        ({"distortion_model": "fisheye42"}, "distortion_model must be one of"),
        ({"image_width": "wide"}, "invalid literal"),
        ({"image_width": -640}, "camera.yaml"),
    ],
)
def test_wrong_calibrations_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(CameraInfoError, match=words):
        read_camera_info(write(tmp_path, **changes))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CameraInfoError, match="cannot read calibration"):
        read_camera_info(str(tmp_path / "none.yaml"))
    with pytest.raises(CameraInfoError, match="no package no_such_package"):
        read_camera_info("package://no_such_package/camera.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(CameraInfoError, match=r"list\.yaml"):
        read_camera_info(str(tmp_path / "list.yaml"))


def test_approximation_spans_the_field_of_view() -> None:
    info = approximate_camera_info(640, 480, math.radians(90))
    k = np.array(info.k).reshape(3, 3)
    # The outer edges of the outermost pixels, seen along 45 degrees to either side.
    for edge, x in ((-0.5, -1.0), (639.5, 1.0)):
        assert (k @ [x, 0, 1])[0] == pytest.approx(edge)
    assert k[0, 0] == k[1, 1] == pytest.approx(320)
    assert not any(info.d)


def test_scaled_calibration_projects_to_where_the_resized_image_has_it(tmp_path: Path) -> None:
    whole = read_camera_info(write(tmp_path))
    half = scaled_camera_info(whole, 320, 240)
    points = np.array([[-0.4, -0.3, 1.0], [0.1, 0.2, 1.0], [0.45, -0.2, 1.0]])

    def project(info) -> np.ndarray:
        k = np.array(info.k).reshape(3, 3)
        return cv2.projectPoints(points, np.zeros(3), np.zeros(3), k, np.array(info.d))[0].reshape(-1, 2)

    # Halved, the centre of the first pixel lies between the first two of the whole image.
    assert project(half) == pytest.approx((project(whole) + 0.5) / 2 - 0.5)
    assert (half.width, half.height) == (320, 240)
    assert half.p[0] == pytest.approx(515.0 / 2)


def test_calibration_of_another_shape_is_refused(tmp_path: Path) -> None:
    info = read_camera_info(write(tmp_path))
    assert scaled_camera_info(info, 640, 480) is info
    with pytest.raises(CameraInfoError, match="640 x 480 px, these are 1280 x 720"):
        scaled_camera_info(info, 1280, 720)
