"""What the servo node makes of the messages it is given: masks, tracks, cameras, stamps."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from siam_tracker_msgs.msg import BoundingBox2D, TargetMask, Track
from siam_tracker_ros.control.errors import CameraInfoError
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.nodes.camera_of_info import camera_of
from siam_tracker_ros.nodes.loop_clock import LoopClock
from siam_tracker_ros.nodes.mask_decoding import MaskMessageError, mask_crop
from siam_tracker_ros.nodes.track_observation import chosen_track, observation_of

CROP = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]], bool)


def mask(encoding: int, data: bytes, width: int = 4, height: int = 3) -> TargetMask:
    roi = RegionOfInterest(x_offset=100, y_offset=50, width=width, height=height)
    return TargetMask(roi=roi, encoding=encoding, data=data)


def runs(*lengths: int) -> bytes:
    return np.array(lengths, "<u4").tobytes()


MONO8 = mask(TargetMask.MONO8, (CROP * 255).astype(np.uint8).tobytes())
RLE = mask(TargetMask.RLE, runs(1, 2, 3, 3, 3))  # by hand, from the rows of CROP


@pytest.mark.parametrize("message", [MONO8, RLE], ids=["mono8", "rle"])
def test_a_mask_is_read_as_it_was_written(message: TargetMask) -> None:
    assert np.array_equal(mask_crop(message), CROP)


def test_a_mask_that_starts_inside() -> None:
    assert mask_crop(mask(TargetMask.RLE, runs(0, 12))).all()


def test_no_mask() -> None:
    assert mask_crop(TargetMask()) is None


@pytest.mark.parametrize(
    "message",
    [
        mask(TargetMask.MONO8, b"\xff" * 11),
        mask(TargetMask.RLE, runs(1, 2, 3)),
        mask(TargetMask.RLE, runs(4_000_000_000, 4_000_000_000)),
        mask(TargetMask.RLE, b"\x01\x02\x03"),
        mask(9, b""),
    ],
)
def test_a_mask_that_does_not_fill_its_region_is_refused(message: TargetMask) -> None:
    with pytest.raises(MaskMessageError, match="a mask of encoding"):
        mask_crop(message)


def track(id: str, **fields: Any) -> Track:
    box = BoundingBox2D(center_x=10.5, center_y=20.0, size_x=4.0, size_y=3.0)
    return Track(id=id, state=Track.UNCERTAIN, generation=3, confidence=0.5, bbox=box, **fields)


def test_a_track_becomes_an_observation() -> None:
    seen = observation_of(track("a", mask=MONO8), 7.25)
    assert (seen.stamp, seen.generation, seen.state) == (7.25, 3, TrackState.UNCERTAIN)
    assert (seen.center, seen.size) == ((10.5, 20.0), (4.0, 3.0))
    # Centroid of the five pixels, px of the image.
    assert seen.mask == (5.0, 100 + (1 + 2 + 2 + 3 + 0) / 5, 50 + (0 + 0 + 1 + 1 + 2) / 5)
    assert observation_of(track("a", mask=MONO8), 7.25, with_mask=False).mask is None


@pytest.mark.parametrize(
    ("present", "wanted", "followed", "chosen"),
    [
        ("ab", "", "", "a"),
        ("ab", "", "b", "b"),  # stays with the one it has
        ("ab", "", "c", "a"),
        ("ab", "b", "a", "b"),
        ("ab", "c", "a", None),
        ("", "", "a", None),
    ],
)
def test_which_track(present: str, wanted: str, followed: str, chosen: str | None) -> None:
    found = chosen_track([track(id) for id in present], wanted, followed)
    assert (found and found.id) == chosen


def info(**fields: Any) -> CameraInfo:
    k = [600.0, 0.0, 321.0, 0.0, 610.0, 239.0, 0.0, 0.0, 1.0]
    p = [500.0, 0.0, 311.0, 0.0, 0.0, 510.0, 229.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(
        width=640, height=480, distortion_model="plumb_bob", d=[-0.2, 0.05, 0.0, 0.0, 0.0], k=k, p=p, **fields
    )


def test_a_camera_of_its_message() -> None:
    camera = camera_of(info())
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (600.0, 610.0, 321.0, 239.0)
    assert camera.coefficients[:2] == (-0.2, 0.05)


def test_a_rectified_image_has_the_projections_camera_and_no_distortion() -> None:
    camera = camera_of(info(), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 510.0, 311.0, 229.0)
    assert not any(camera.coefficients)


@pytest.mark.parametrize("rectified", [False, True])
def test_region_and_binning(rectified: bool) -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=300)
    whole = camera_of(info(), rectified)
    part = camera_of(info(roi=roi, binning_x=2, binning_y=2), rectified)
    assert (part.width, part.height) == (200, 150)
    # The same ray: the sensor's pixel (300, 240) is (100, 100) of the part.
    assert part.bearing(100.0, 100.0) == pytest.approx(whole.bearing(300.0, 240.0))


def test_an_uncalibrated_camera() -> None:
    with pytest.raises(CameraInfoError, match="is it calibrated"):
        camera_of(CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.0] * 5))


class FakeClock:
    """A node's clock that a test sets."""

    def __init__(self, ns: int, simulated: bool) -> None:
        self.ns, self.ros_time_is_active = ns, simulated

    def now(self) -> Any:
        return SimpleNamespace(nanoseconds=self.ns)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The steady clock, as a test sets it."""
    clock = SimpleNamespace(ns=5_000_000_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock.ns)
    return clock


def test_stamps_are_told_on_the_steady_clock(steady: SimpleNamespace) -> None:
    node = FakeClock(1_700_000_000_123_456_789, simulated=False)
    clock = LoopClock(node)
    assert clock.now() == 5.0
    assert clock.of_stamp(Time(sec=1_700_000_000, nanosec=23_456_789)) == pytest.approx(4.9, abs=1e-9)
    steady.ns += 20_000_000
    node.ns += 21_000_000  # slewed
    assert not clock.has_jumped()
    assert clock.of_stamp(Time(sec=1_700_000_000, nanosec=144_456_789)) == pytest.approx(5.02, abs=1e-9)


@pytest.mark.parametrize("seconds", [-3600, 1])
def test_a_system_clock_that_is_set_has_jumped(steady: SimpleNamespace, seconds: int) -> None:
    node = FakeClock(1_700_000_000_000_000_000, simulated=False)
    clock = LoopClock(node)
    assert clock.now() == 5.0
    node.ns += seconds * 1_000_000_000
    assert clock.now() == 5.0  # the loop's time goes on
    assert clock.has_jumped()
    assert not clock.has_jumped()


def test_simulated_time_is_the_loops_time(steady: SimpleNamespace) -> None:
    node = FakeClock(100_000_000_000, simulated=True)
    clock = LoopClock(node)
    assert clock.now() == 100.0
    node.ns += 10_000_000_000  # faster than the wall
    assert clock.now() == 110.0
    assert clock.of_stamp(Time(sec=109)) == 109.0
    assert not clock.has_jumped()
    node.ns = 50_000_000_000
    assert clock.has_jumped()
    assert clock.now() == 50.0
    node.ros_time_is_active = False
    assert clock.has_jumped()
