"""The video source on a DDS graph: real footage from a process of its own, heard in this one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from diagnostic_msgs.msg import DiagnosticStatus
from graph_process import DEADLINE_S, Listener, end, node_process, parameters
from graph_tracker import stamp_ns
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.nodes.parameter_struct import parameter_file, parameter_table
from siam_tracker_ros.nodes.video_source_parameters import VideoSourceParameters

NODE = "video_source_node"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Viewer(Listener):
    """Hears everything that the video source publishes."""

    def __init__(self) -> None:
        super().__init__("viewer")
        self.images: list[Image] = self.hear(Image, "image_raw")
        self.infos: list[CameraInfo] = self.hear(CameraInfo, "camera_info")
        self.statuses: list[DiagnosticStatus] = self.hear(DiagnosticStatus, f"{NODE}/status", LATCHED)

    def status(self, state: str) -> dict[str, str]:
        """Wait for the status to be `state`; its values."""

        def found() -> Any:
            values = {v.key: v.value for v in self.statuses[-1].values} if self.statuses else {}
            return values if values.get("state") == state else None

        return self.wait(found, f"status {state}")


@contextmanager
def video_source(source: Path | str, **values: Any) -> Iterator[subprocess.Popen[str]]:
    """It keeps all images for whoever hears them, however slow the machine is."""
    given = {"source": source, "wait_for_subscribers": 1, "depth": 100, **values}
    with node_process("video_source_node", *parameters(**given)) as process:
        yield process


@pytest.fixture
def sequence(data_dir: Path) -> Path:
    return data_dir / "sequences" / "davis_blackswan"


@pytest.fixture
def viewer(ros_domain: int) -> Iterator[Viewer]:
    with Viewer() as viewer:
        yield viewer


def pixels(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, -1)


def as_read(sequence: Path, number: int) -> np.ndarray:
    return cv2.imread(str(sequence / "img" / f"{number + 1:06d}.jpg"))


def test_parameter_file_and_table_are_the_generated_ones() -> None:
    path = Path(__file__).resolve().parent.parent / "config" / "video_source.yaml"
    assert path.read_text() == parameter_file(VideoSourceParameters)
    readme = path.parents[1] / "README.md"
    assert parameter_table(VideoSourceParameters) in readme.read_text(encoding="utf-8")


def test_images_of_a_folder_arrive_whole_and_in_order(sequence: Path, viewer: Viewer) -> None:
    with video_source(sequence, frames="3:15", rate=60.0, at_end="exit", frame_id="eye") as process:
        assert viewer.wait(lambda: process.poll() is not None, "the end") is True
        viewer.wait(lambda: len(viewer.images) == 12 and viewer.infos, "all images")
    assert process.returncode == 0
    infos = {stamp_ns(info.header): info for info in viewer.infos}
    for number, image in enumerate(viewer.images, start=3):
        assert (image.encoding, image.width, image.height, image.step) == ("bgr8", 854, 480, 3 * 854)
        assert np.array_equal(pixels(image), as_read(sequence, number))
        assert image.header.frame_id == "eye"
        # Only subscriptions to the images are waited for.
        info = infos.pop(stamp_ns(image.header), None)
        if info is not None:
            assert info.header == image.header
            assert (info.width, info.height) == (854, 480)
            assert info.k[0] == pytest.approx(427 / np.tan(1.0472 / 2))
    assert not infos
    stamps = [stamp_ns(image.header) for image in viewer.images]
    assert stamps == sorted(set(stamps))


def test_footage_stamps_clock_size_and_grey(sequence: Path, viewer: Viewer) -> None:
    clocks = viewer.hear(Clock, "/clock")
    values = {"stamps": "footage", "first_stamp": 1000.0, "publish_clock": True, "encoding": "mono8"}
    with video_source(sequence, frames=":6", stride=2, rate=200.0, width=427, **values):
        viewer.status("finished")
        viewer.wait(lambda: len(viewer.images) == len(clocks) == 3, "images and clocks")
    stamps = [stamp_ns(image.header) for image in viewer.images]
    assert stamps == [10**12 + round(n * 1e9 / 30) for n in (0, 2, 4)]
    assert [message.clock for message in clocks] == [image.header.stamp for image in viewer.images]
    image = viewer.images[0]
    assert (image.width, image.height, image.encoding, image.step) == (427, 240, "mono8", 427)
    grey = cv2.cvtColor(as_read(sequence, 0), cv2.COLOR_BGR2GRAY)
    expected = cv2.resize(grey, (427, 240), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels(image)[..., 0].astype(int) - expected).max() <= 2
    assert (viewer.infos[0].width, viewer.infos[0].height) == (427, 240)


def test_compressed_images_are_the_same_picture(sequence: Path, viewer: Viewer) -> None:
    jpegs = viewer.hear(CompressedImage, "image_raw/compressed")
    with video_source(sequence, frames=":4", compressed=True, wait_for_subscribers=2):
        viewer.wait(lambda: len(jpegs) == len(viewer.images) == 4, "compressed images")
    for jpeg, image in zip(jpegs, viewer.images, strict=True):
        assert jpeg.header == image.header
        assert jpeg.format == "bgr8; jpeg compressed bgr8"
        decoded = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(decoded.astype(int) - pixels(image)).mean() < 3


def test_waits_for_whoever_consumes_it(sequence: Path, viewer: Viewer) -> None:
    tracks = viewer.node.create_publisher(TrackArray, "tracks", 10)
    values = {"pace": "consumed", "frames": ":5", "consumer_timeout": 600.0}
    with video_source(sequence, **values) as process:
        for count in range(1, 6):
            viewer.wait(lambda count=count: len(viewer.images) >= count, f"image {count}")
            # The tracks of an image before are no answer: nothing follows.
            if count > 1:
                tracks.publish(TrackArray(header=viewer.images[-2].header))
            viewer.spin(5)
            assert len(viewer.images) == count
            tracks.publish(TrackArray(header=viewer.images[-1].header))
        assert viewer.status("finished")["frames_without_tracks"] == "0"
        assert process.poll() is None


def test_goes_on_without_tracks_after_a_while_and_counts_it(sequence: Path, viewer: Viewer) -> None:
    with video_source(sequence, pace="consumed", frames=":3", consumer_timeout=0.05):
        values = viewer.status("finished")
    assert (values["frames_published"], values["frames_without_tracks"]) == ("3", "3")
    viewer.wait(lambda: len(viewer.images) == 3, "the images")


def test_starts_paused_steps_and_goes_on(sequence: Path, viewer: Viewer) -> None:
    with video_source(sequence, start_paused=True, frames=":5", rate=100.0):
        viewer.status("paused")
        assert viewer.ask(Trigger, f"{NODE}/step").success
        viewer.wait(lambda: len(viewer.images) == 1, "one image")
        viewer.wait(lambda: viewer.status("paused")["frames_published"] == "1", "the count")
        assert len(viewer.images) == 1
        assert viewer.ask(SetBool, f"{NODE}/pause", data=False).success
        assert viewer.status("finished")["last_frame"] == "4"
        viewer.wait(lambda: len(viewer.images) == 5, "the rest")
        answer = viewer.ask(SetBool, f"{NODE}/pause", data=False)
        assert not answer.success
        assert answer.message == "the footage is over"


def test_loops_with_stamps_that_grow(sequence: Path, viewer: Viewer) -> None:
    with video_source(sequence, loop=True, frames=":3", rate=200.0, stamps="footage", first_stamp=5.0):
        viewer.wait(lambda: len(viewer.images) >= 8, "more images than there are")
    stamps = [stamp_ns(image.header) for image in viewer.images[:8]]
    assert [b - a for a, b in pairwise(stamps)] == pytest.approx([1e9 / 30] * 7, abs=2)
    assert np.array_equal(pixels(viewer.images[3]), as_read(sequence, 0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "/no/such/video.mp4"}, "no file or folder /no/such/video.mp4"),
        ({"source": "a", "frames": "9:3"}, "the end is not after the first"),
        ({}, "the parameter source is empty"),
        ({"source": "a", "camera_info_url": "/no/such.yaml"}, "cannot read calibration /no/such.yaml"),
    ],
)
def test_what_cannot_be_is_one_line_and_the_end(ros_domain: int, values: dict[str, Any], words: str) -> None:
    with node_process(
        "video_source_node", *parameters(**values), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert words in line
    assert "Traceback" not in said


def test_a_camera_that_is_not_there_is_waited_for(ros_domain: int) -> None:
    with (
        node_process("video_source_node", *parameters(source="/dev/no_camera", reconnect_period=0.05)),
        Viewer() as viewer,
    ):
        viewer.status("playing")


def test_ends_in_order_while_it_waits(sequence: Path, viewer: Viewer) -> None:
    with video_source(sequence, rate=0.001) as process:
        viewer.wait(lambda: viewer.images, "the first image")
        assert end(process, signal.SIGTERM) == 0


def test_changes_of_parameters(sequence: Path, viewer: Viewer) -> None:
    def change(name: str, value: ParameterValue) -> Any:
        asked = [Parameter(name=name, value=value)]
        return viewer.ask(SetParameters, f"{NODE}/set_parameters", parameters=asked).results[0]

    with video_source(sequence, rate=0.001):
        viewer.wait(lambda: viewer.images, "the first image")
        text = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="mono8")
        assert not change("encoding", text).successful
        fast = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=500.0)
        assert change("rate", fast).successful
