"""What the simulated camera shows, against its own truth and against hand geometry."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from siam_tracker_ros.control.camera_model import CameraModel, camera_model
from siam_tracker_ros.control.frames import LineOfSight, PanTilt
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.simulation.errors import SceneError, SimulationError
from siam_tracker_ros.simulation.gimbal import GimbalConfig
from siam_tracker_ros.simulation.rendering import Renderer, billboard, blurred
from siam_tracker_ros.simulation.scene import drawn_panorama, read_panorama
from siam_tracker_ros.simulation.simulator import Frame, Occlusion, Simulator, SimulatorConfig
from siam_tracker_ros.simulation.target_path import target_path

K = (300.0, 0, 160, 0, 300, 120, 0, 0, 1)
PINHOLE = camera_model(320, 240, "plumb_bob", (), K)
LENS = camera_model(320, 240, "plumb_bob", (-0.3, 0.1, 0.002, -0.001, 0.0), K)
FISHEYE = camera_model(320, 240, "equidistant", (0.05, -0.01, 0.0, 0.0), K)
PANORAMA = drawn_panorama(width=1024)
ANYWHERE = GimbalConfig(pan_stops=(-math.pi, math.pi), tilt_stops=(-1.5, 1.5))
QUIET = SimulatorConfig(gimbal=ANYWHERE, noise=0.0, latency_s=0.0)


def still(camera: CameraModel, sight: LineOfSight, joints: PanTilt, config: SimulatorConfig = QUIET) -> Frame:
    """The first frame of a target that stands still."""
    path = target_path("fixed", 1.0, 1.0, sight)
    (frame,) = Simulator(camera, PANORAMA, path, replace(config, start_joints=joints)).advance(0.0)
    return frame


def box_center(frame: Frame) -> tuple[float, float]:
    assert frame.truth.box is not None
    left, top, right, bottom = frame.truth.box
    return (left + right) / 2, (top + bottom) / 2


def mask_center(frame: Frame) -> tuple[float, float]:
    assert frame.truth.mask is not None
    rows, columns = np.nonzero(frame.truth.mask)
    return columns.mean() + frame.truth.corner[0], rows.mean() + frame.truth.corner[1]


def test_signs_by_hand() -> None:
    # To the left of the camera and above it: u below cx, v below cy, by f times the tangent.
    frame = still(PINHOLE, LineOfSight(0.2, 0.0), PanTilt(0.1, 0.0))
    assert box_center(frame) == pytest.approx((160 - 300 * math.tan(0.1), 120), abs=0.5)
    assert frame.truth.bearing == pytest.approx((-math.sin(0.1), 0.0, math.cos(0.1)))
    frame = still(PINHOLE, LineOfSight(0.0, 0.1), PanTilt(0.0, 0.0))
    assert box_center(frame) == pytest.approx((160, 120 - 300 * math.tan(0.1)), abs=0.5)
    # A tilt is positive down: what is at the horizon then moves up in the image.
    frame = still(PINHOLE, LineOfSight(0.0, 0.0), PanTilt(0.0, 0.1))
    assert box_center(frame) == pytest.approx((160, 120 - 300 * math.tan(0.1)), abs=0.5)
    assert frame.truth.error == pytest.approx(0.1)


@pytest.mark.parametrize("camera", [PINHOLE, LENS, FISHEYE], ids=["pinhole", "plumb_bob", "equidistant"])
@pytest.mark.parametrize("joints", [PanTilt(0.0, 0.0), PanTilt(0.25, -0.1), PanTilt(-0.2, 0.15)])
def test_box_mask_and_bearing_agree(camera: CameraModel, joints: PanTilt) -> None:
    frame = still(camera, LineOfSight(0.03, 0.02), joints)
    u, v = camera.pixel(frame.truth.bearing)
    assert box_center(frame) == pytest.approx((u, v), abs=0.6)
    assert mask_center(frame) == pytest.approx((u, v), abs=0.8)
    mask, (x, y) = frame.truth.mask, frame.truth.corner
    rows, columns = np.nonzero(mask)
    edges = (columns.min() + x - 0.5, rows.min() + y - 0.5, columns.max() + x + 0.5, rows.max() + y + 0.5)
    assert frame.truth.box == pytest.approx(edges, abs=1.2)
    assert frame.truth.visible == pytest.approx(1.0, abs=0.03)
    assert frame.truth.state == TrackState.TRACKING


def test_the_target_is_where_the_mask_says() -> None:
    frame = still(LENS, LineOfSight(0.03, 0.02), PanTilt(0.1, 0.0))
    elsewhere = still(LENS, LineOfSight(2.0, 0.02), PanTilt(0.1, 0.0))
    differs = (frame.image != elsewhere.image).any(axis=2)
    inside = np.zeros_like(differs)
    (h, w), (x, y) = frame.truth.mask.shape, frame.truth.corner
    inside[y : y + h, x : x + w] = frame.truth.mask
    assert (differs & inside).sum() > 0.99 * inside.sum()
    assert not differs[cv2.dilate(inside.astype(np.uint8), np.ones((5, 5))) == 0].any()
    assert elsewhere.truth.state == TrackState.COASTING
    assert elsewhere.truth.mask is None


@pytest.mark.parametrize("camera", [PINHOLE, LENS, FISHEYE], ids=["pinhole", "plumb_bob", "equidistant"])
@pytest.mark.parametrize("joints", [PanTilt(0.0, 0.0), PanTilt(3.1, 0.3), PanTilt(-3.1, -1.2)])
def test_a_point_of_the_panorama_is_seen_where_the_camera_model_says(
    camera: CameraModel, joints: PanTilt
) -> None:
    sight = LineOfSight(joints.pan + 0.15, -joints.tilt - 0.1)
    panorama = np.zeros((1024, 2048, 3), np.uint8)
    column = (0.5 - math.remainder(sight.azimuth, math.tau) / math.tau) * 2048 - 0.5
    row = (0.5 - sight.elevation / math.pi) * 1024 - 0.5
    at = (round(column), round(row))
    cv2.circle(panorama, at, 3, (255, 255, 255), cv2.FILLED)
    drawn = LineOfSight(
        (0.5 - (at[0] + 0.5) / 2048) * math.tau,
        (0.5 - (at[1] + 0.5) / 1024) * math.pi,
    )
    image = Renderer(camera, panorama).background(joints)[..., 0].astype(float)
    rows, columns = np.mgrid[:240, :320]
    seen = (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()
    bearing = still(camera, drawn, joints).truth.bearing
    assert seen == pytest.approx(camera.pixel(bearing), abs=0.35)


@pytest.mark.parametrize("joints", [PanTilt(0.0, 0.0), PanTilt(2.0, 0.3)])
def test_sprites_are_upright_and_not_mirrored(joints: PanTilt) -> None:
    sprite = np.zeros((40, 60, 4), np.uint8)
    sprite[..., 3] = 255
    sprite[:, :30, 2] = 255  # red to the left
    sprite[:20, :, 0] = 255  # blue above
    board = billboard(sprite, LineOfSight(joints.pan + 0.1, -joints.tilt + 0.05), 0.3, 0.2)
    layer = Renderer(PINHOLE, PANORAMA).layer(board, joints)
    inside = np.argwhere(layer.pixels[..., 3] > 127)
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0)
    assert layer.pixels[top + 8, left + 8].tolist() == [255, 0, 255, 255]
    assert layer.pixels[top + 8, right - 8].tolist() == [255, 0, 0, 255]
    assert layer.pixels[bottom - 8, left + 8].tolist() == [0, 0, 255, 255]
    # As large as f times the tangents of half of it, to both sides.
    width, height = right - left + 1, bottom - top + 1
    assert (width, height) == pytest.approx((600 * math.tan(0.15), 600 * math.tan(0.1)), rel=0.06)


def test_the_drawn_panorama_has_no_seam() -> None:
    step = np.abs(np.diff(PANORAMA.astype(int), axis=1)).mean()
    seam = np.abs(PANORAMA[:, 0].astype(int) - PANORAMA[:, -1]).mean()
    assert seam < 2 * step
    assert PANORAMA.std() > 30


def test_a_users_picture_becomes_the_scene(tmp_path: Path) -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[:, :200] = (0, 0, 200)
    picture[:, 200:] = (0, 200, 0)
    cv2.imwrite(str(tmp_path / "room.png"), picture)
    panorama = read_panorama(tmp_path / "room.png")
    assert panorama.shape == (2048, 4096, 3)
    assert (panorama[0] == panorama[1023]).all()  # carried on to the poles
    assert (panorama[:, 0] == panorama[:, -1]).all()  # mirrored, so that it closes
    with pytest.raises(SceneError, match=r"nowhere\.png"):
        read_panorama(tmp_path / "nowhere.png")


def test_blur_spreads_along_the_motion_and_keeps_the_middle() -> None:
    image = np.zeros((21, 41, 3), np.uint8)
    image[10, 20] = 250
    smeared = blurred(image, (8.0, 0.0))[..., 0].astype(float)
    assert np.flatnonzero(smeared.sum(axis=0)) == pytest.approx(np.arange(16, 25))
    assert np.flatnonzero(smeared.sum(axis=1)) == pytest.approx([10])
    assert (smeared.sum(axis=0) @ np.arange(41)) / smeared.sum() == pytest.approx(20, abs=0.1)
    assert (blurred(image, (0.3, 0.2)) == image).all()


def test_a_turning_camera_smears_the_scene() -> None:
    def contrast(rate: float) -> float:
        config = replace(QUIET, gimbal=GimbalConfig(lag_s=0.0, acceleration_limit=1e5), exposure_s=0.02)
        simulator = Simulator(PINHOLE, PANORAMA, target_path("fixed", 1, 1, LineOfSight(0.0, -1.0)), config)
        simulator.command_rates(PanTilt(rate, 0.0))
        image = simulator.advance(0.4)[-1].image
        return float(np.abs(np.diff(image.astype(int), axis=1)).mean())

    assert contrast(1.5) < 0.7 * contrast(0.0)


def test_frames_come_late_in_order_and_the_same_every_time() -> None:
    config = SimulatorConfig(latency_s=0.08, jitter_s=0.04, frame_rate=25.0)

    def frames() -> list[tuple[float, Frame]]:
        simulator = Simulator(PINHOLE, PANORAMA, target_path("line", 0.2, 0.2), config)
        simulator.start_path()
        return [(t / 100, frame) for t in range(100) for frame in simulator.advance(t / 100)]

    first, second = frames(), frames()
    stamps = [frame.truth.stamp for _, frame in first]
    assert np.diff(stamps) == pytest.approx(0.04)
    late = [frame.arrival - frame.truth.stamp for _, frame in first]
    assert min(late) >= 0.04
    assert max(late) <= 0.12
    assert max(late) - min(late) > 0.03
    assert all(0 <= arrived - frame.arrival < 0.0101 for arrived, frame in first)
    for (_, one), (_, other) in zip(first, second, strict=True):
        assert (one.image == other.image).all()


def test_noise_has_the_strength_asked_for() -> None:
    quiet = still(PINHOLE, LineOfSight(0, 0), PanTilt(0, 0.5)).image.astype(float)
    noisy = still(PINHOLE, LineOfSight(0, 0), PanTilt(0, 0.5), replace(QUIET, noise=4.0)).image
    assert (noisy - quiet).std() == pytest.approx(4.0, rel=0.1)


def test_an_occlusion_hides_all_of_the_target_for_as_long_as_asked() -> None:
    config = replace(QUIET, occlusions=(Occlusion(2.0, 1.0),), frame_rate=50.0, lost_after_s=0.5)
    simulator = Simulator(PINHOLE, PANORAMA, target_path("fixed", 1, 1), config)
    simulator.advance(0.5)
    simulator.start_path()
    frames = simulator.advance(6.0)
    hidden = [frame.truth.stamp for frame in frames if frame.truth.visible == 0]
    assert hidden[0] == pytest.approx(2.5, abs=0.041)
    assert hidden[-1] == pytest.approx(3.5, abs=0.041)
    before, after = frames[0], frames[-1]
    assert before.truth.state == after.truth.state == TrackState.TRACKING
    assert {frame.truth.state for frame in frames if 2.5 < frame.truth.stamp < 3.4} == {
        TrackState.COASTING,
        TrackState.LOST,
    }
    # The box is where the target is, hidden or not.
    boxes = np.array([frame.truth.box for frame in frames])
    assert boxes == pytest.approx(np.broadcast_to(boxes[0], boxes.shape))


def test_a_rate_command_that_is_not_renewed_ends() -> None:
    simulator = Simulator(
        PINHOLE, PANORAMA, target_path("fixed", 1, 1), replace(QUIET, command_timeout_s=0.5)
    )
    simulator.command_rates(PanTilt(0.4, 0.0))
    simulator.advance(3.0, draw=False)
    assert simulator.gimbal.rates.pan == pytest.approx(0.0, abs=1e-9)
    assert simulator.gimbal.encoders.pan == pytest.approx(0.4 * 0.5, rel=0.01)


def test_positions_hold_without_renewal() -> None:
    simulator = Simulator(PINHOLE, PANORAMA, target_path("fixed", 1, 1), QUIET)
    simulator.command_positions(PanTilt(0.4, 0.2))
    simulator.advance(5.0, draw=False)
    assert simulator.gimbal.encoders == pytest.approx((0.4, 0.2), abs=1e-6)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(SimulationError, match="jitter_s"):
        SimulatorConfig(latency_s=0.01, jitter_s=0.02)
    with pytest.raises(SimulationError, match="at most 5 s"):
        Occlusion(1.0, 20.0)
    with pytest.raises(SimulationError, match="multiple of 8"):
        Renderer(camera_model(322, 240, "plumb_bob", (), K), PANORAMA)
    folded = camera_model(320, 240, "plumb_bob", (-2.0, 0.0, 0.0, 0.0), K)
    with pytest.raises(SimulationError, match="lens model does not cover"):
        Renderer(folded, PANORAMA)
