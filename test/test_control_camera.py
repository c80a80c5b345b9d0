"""Camera model, frames and line of sight, against OpenCV and against geometry made by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from siam_tracker_ros.control.aim_point import aim_point, summarise_mask
from siam_tracker_ros.control.camera_model import CameraModel, camera_model, rectified_camera_model
from siam_tracker_ros.control.errors import AttitudeError, CameraInfoError, NoBearingError, NotFiniteError
from siam_tracker_ros.control.frames import (
    AngularRates,
    LineOfSight,
    PanTilt,
    attitude_of,
    checked_quaternion,
    from_pan_tilt,
    rotation_matrix,
    slerp,
    to_mavlink,
    to_pan_tilt,
    wrap_angle,
)
from siam_tracker_ros.control.line_of_sight import (
    angle_between,
    bearing_of,
    direction_of,
    line_of_sight,
    pointing_error,
    pointing_of,
    sight_along,
)

WIDTH, HEIGHT = 640, 480
K = (520.0, 0.0, 322.5, 0.0, 515.0, 236.0, 0.0, 0.0, 1.0)
LEVEL = attitude_of(PanTilt(0.0, 0.0))
LENSES = {
    "none": ("plumb_bob", ()),
    "plumb_bob": ("plumb_bob", (-0.28, 0.09, 0.0011, -0.0007, -0.011)),
    "pincushion": ("plumb_bob", (0.12, 0.03, -0.002, 0.001, 0.0)),
    "rational": ("rational_polynomial", (0.41, -0.19, 0.0009, -0.0005, 0.012, 0.77, -0.17, 0.02)),
    "thin_prism": (
        "rational_polynomial",
        (0.41, -0.19, 0.0009, -0.0005, 0.012, 0.77, -0.17, 0.02, 0.001, -2e-4, 0.002, 1e-4, 0.0, 0.0),
    ),
    "equidistant": ("equidistant", (-0.013, 0.021, -0.009, 0.0012)),
}


def camera(lens: str) -> CameraModel:
    model, d = LENSES[lens]
    return camera_model(WIDTH, HEIGHT, model, d, K)


def pixels(count: int = 200) -> np.ndarray:
    corners = [[0, 0], [WIDTH - 1, 0], [0, HEIGHT - 1], [WIDTH - 1, HEIGHT - 1], [K[2], K[5]]]
    rng = np.random.default_rng(7)
    return np.vstack([corners, rng.uniform((0, 0), (WIDTH - 1, HEIGHT - 1), (count, 2))])


@pytest.mark.parametrize("lens", LENSES)
def test_pixel_to_bearing_and_back(lens: str) -> None:
    model = camera(lens)
    for u, v in pixels():
        bearing = model.bearing(u, v)
        assert np.linalg.norm(bearing) == pytest.approx(1.0)
        np.testing.assert_allclose(model.pixel(3.0 * bearing), (u, v), atol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_bearings_are_those_of_opencv(lens: str) -> None:
    model, matrix, points = camera(lens), np.reshape(K, (3, 3)), pixels()
    d = np.array(LENSES[lens][1], dtype=np.float64)
    precise = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    if lens == "equidistant":
        expected = cv2.fisheye.undistortPoints(points[:, None], matrix, d, criteria=precise)[:, 0]
    else:
        undistort = getattr(cv2, "undistortPointsIter", None)
        if undistort is not None:
            expected = undistort(points[:, None], matrix, d, None, None, precise)[:, 0]
        else:
            expected = cv2.undistortPoints(points[:, None], matrix, d, criteria=precise)[:, 0]
    ours = np.array([model.bearing(u, v) for u, v in points])
    np.testing.assert_allclose(ours[:, :2] / ours[:, 2:], expected, atol=1e-7)


@pytest.mark.parametrize("lens", LENSES)
def test_pixels_are_those_of_opencv(lens: str) -> None:
    model, matrix = camera(lens), np.reshape(K, (3, 3))
    rng = np.random.default_rng(3)
    directions = np.column_stack([rng.uniform(-0.5, 0.5, (50, 2)), np.ones(50)])
    d = np.array(LENSES[lens][1] or (0.0,) * 4, dtype=np.float64)
    project = cv2.fisheye.projectPoints if lens == "equidistant" else cv2.projectPoints
    arguments = (directions[:, None], np.zeros(3), np.zeros(3), matrix, d)
    expected = project(*arguments)[0].reshape(-1, 2)
    np.testing.assert_allclose([model.pixel(direction) for direction in directions], expected, atol=1e-8)


def test_fisheye_sees_beyond_a_right_angle() -> None:
    model = camera_model(1000, 1000, "equidistant", (0.0,) * 4, (200, 0, 500, 0, 200, 500, 0, 0, 1))
    bearing = model.bearing(500 + 200 * math.radians(100), 500)
    np.testing.assert_allclose(bearing, (math.sin(math.radians(100)), 0, math.cos(math.radians(100))))
    np.testing.assert_allclose(model.pixel(bearing), (500 + 200 * math.radians(100), 500))


def test_a_pixel_without_a_ray_is_refused() -> None:
    barrel = camera_model(WIDTH, HEIGHT, "plumb_bob", (-0.5, 0.0, 0.0, 0.0, 0.0), K)
    # r - r^3 / 2 rises to 0.544 at r = 0.816 and falls from there on.
    with pytest.raises(NoBearingError, match="beyond the lens"):
        barrel.bearing(K[2] + 0.56 * K[0], K[5])
    assert barrel.bearing(K[2] + 0.54 * K[0], K[5])[0] > 0
    with pytest.raises(NoBearingError, match="not shown"):
        barrel.pixel(np.array([0.9, 0.0, 1.0]))
    with pytest.raises(NoBearingError, match="not shown"):
        camera("none").pixel(np.array([0.1, 0.0, -1.0]))
    with pytest.raises(NoBearingError, match="finite"):
        camera("none").bearing(math.nan, 3.0)


def test_binning_region_and_rectified_images() -> None:
    full = camera("none")
    part = camera_model(WIDTH, HEIGHT, "plumb_bob", (), K, binning=(2, 2), roi_offset=(100, 40))
    np.testing.assert_allclose(part.bearing((300 - 100) / 2, (200 - 40) / 2), full.bearing(300, 200))
    p = (400.0, 0, 310, 0, 0, 400, 230, 0, 0, 0, 1, 0)
    straight = rectified_camera_model(WIDTH, HEIGHT, p)
    np.testing.assert_allclose(straight.pixel(np.array([0.25, 0.5, 1.0])), (410, 430))
    unbinned = camera_model(WIDTH, HEIGHT, "plumb_bob", (), K, binning=(0, 0))
    assert unbinned == full


@pytest.mark.parametrize(
    ("model", "d", "k", "says"),
    [
        ("plumb_bob", (0.1,) * 5, (0.0,) * 9, "calibrated"),
        ("plumb_bob", (0.1, math.nan, 0, 0, 0), K, "finite"),
        ("plumb_bob", (0.1,) * 3, K, "4 or 5"),
        ("equidistant", (0.1,) * 5, K, "4 finite"),
        ("kannala", (0.1,) * 4, K, "equidistant"),
        ("rational_polynomial", (*LENSES["thin_prism"][1][:12], 0.1, 0.0), K, "tilted"),
        ("plumb_bob", (), (520.0, 0.3, *K[2:]), "skew"),
        ("plumb_bob", (), K[:8], "9 finite"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_named(model: str, d: tuple, k: tuple, says: str) -> None:
    with pytest.raises(CameraInfoError, match=says):
        camera_model(WIDTH, HEIGHT, model, d, k)


@pytest.mark.parametrize(
    ("pixel", "sign_azimuth", "sign_elevation"),
    [((600, K[5]), -1, 0), ((20, K[5]), 1, 0), ((K[2], 20), 0, 1), ((K[2], 460), 0, -1)],
    ids=["right of the image: turn right", "left: turn left", "top: look up", "bottom: look down"],
)
def test_signs_from_the_image_to_the_base(pixel: tuple, sign_azimuth: int, sign_elevation: int) -> None:
    sight = line_of_sight(camera("none").bearing(*pixel), LEVEL)
    assert [round(math.copysign(abs(a) > 1e-9, a)) for a in sight] == [sign_azimuth, sign_elevation]
    # The error of a camera that looks straight ahead has the same signs: turn towards it.
    assert pointing_error(sight, pointing_of(LEVEL)) == pytest.approx(tuple(sight))


@pytest.mark.parametrize(
    ("joints", "direction"),
    [
        (PanTilt(0, 0), (1, 0, 0)),
        (PanTilt(math.pi / 2, 0), (0, 1, 0)),  # pan positive: to the left, base y
        (PanTilt(0, math.pi / 2), (0, 0, -1)),  # tilt positive: down
        (PanTilt(math.pi / 2, math.pi / 6), (0, math.cos(math.pi / 6), -0.5)),
    ],
)
def test_where_the_axis_points(joints: PanTilt, direction: tuple) -> None:
    attitude = attitude_of(joints)
    np.testing.assert_allclose(rotation_matrix(attitude)[:, 0], direction, atol=1e-12)
    np.testing.assert_allclose(direction_of(pointing_of(attitude)), direction, atol=1e-12)


def test_a_target_seen_on_the_axis_is_where_the_gimbal_points_and_roll_turns_the_image() -> None:
    sight = line_of_sight(np.array([0.0, 0.0, 1.0]), attitude_of(PanTilt(0.4, -0.3)))
    assert sight == pytest.approx((0.4, 0.3))
    # Rolled a quarter about base x (right side down): what is at the right of the image is below.
    rolled = checked_quaternion((math.sin(math.pi / 4), 0.0, 0.0, math.cos(math.pi / 4)))
    assert line_of_sight(np.array([1.0, 0.0, 1.0]), rolled) == pytest.approx((0.0, -math.pi / 4))


def test_line_of_sight_round_trips_at_random() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        raw = rng.normal(size=4)
        attitude = checked_quaternion(raw / np.linalg.norm(raw))
        sight = LineOfSight(rng.uniform(-math.pi, math.pi), rng.uniform(-1.5, 1.5))
        back = line_of_sight(bearing_of(sight, attitude), attitude)
        assert angle_between(back, sight) < 1e-9
        assert sight_along(7 * direction_of(sight)) == pytest.approx(sight)


def test_outward_conventions() -> None:
    rates = AngularRates(0.2, 0.1)  # to the left, and up
    assert from_pan_tilt(PanTilt(0.2, -0.1)) == (0.2, 0.1)
    assert to_pan_tilt(rates) == (0.2, -0.1)  # about z: left; about y: positive is down
    assert to_mavlink(rates) == (0.1, -0.2)  # pitch up, yaw right


def test_angles_wrap_the_short_way() -> None:
    error, _ = pointing_error(LineOfSight(math.radians(-175), 0), LineOfSight(math.radians(175), 0))
    assert math.degrees(error) == pytest.approx(10.0)
    assert abs(wrap_angle(7 * math.pi)) == pytest.approx(math.pi)


@pytest.mark.parametrize("values", [(0, 0, 0, 0), (0, 0, 1), (0, 0, math.nan, 1), (0, 0, 1, 1)])
def test_what_is_no_attitude_is_refused(values: tuple) -> None:
    with pytest.raises(AttitudeError, match="quaternion"):
        checked_quaternion(values)


def test_slerp_is_even_takes_the_short_way_and_carries_on() -> None:
    start, end = attitude_of(PanTilt(0.2, 0)), attitude_of(PanTilt(0.6, 0))
    other = tuple(-value for value in end)
    for fraction, pan in [(0.0, 0.2), (0.25, 0.3), (1.0, 0.6), (1.5, 0.8)]:
        assert pointing_of(slerp(start, end, fraction)).azimuth == pytest.approx(pan)
        assert pointing_of(slerp(start, other, fraction)).azimuth == pytest.approx(pan)
    assert slerp(start, start, 0.3) == pytest.approx(start)


def test_a_good_mask_gives_the_aim_and_a_bad_one_does_not() -> None:
    center, size = (100.0, 80.0), (40.0, 30.0)
    crop = np.zeros((30, 40), dtype=bool)
    crop[10:28, 2:22] = True  # 360 px, centroid off the centre
    mask = summarise_mask(crop, 80, 65)
    assert mask == (360.0, 80 + 11.5, 65 + 18.5)
    assert aim_point(center, size, mask) == (91.5, 83.5, True)
    assert aim_point(center, size) == (100.0, 80.0, False)
    crumb = summarise_mask(np.ones((4, 4)), 98, 78)
    flood = summarise_mask(np.ones((60, 80)), 60, 50)
    astray = summarise_mask(crop, 80 + 40, 65)
    for bad in (crumb, flood, astray, summarise_mask(np.zeros((5, 5)), 0, 0)):
        assert aim_point(center, size, bad) == (100.0, 80.0, False)
    with pytest.raises(NotFiniteError):
        aim_point((math.nan, 0.0), size)
    with pytest.raises(NotFiniteError):
        aim_point(center, (0.0, 3.0))
