"""What the demo measures from a bag, against messages made by hand; and its pictures."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from siam_tracker_msgs.msg import Track, TrackArray, TrackerStatus
from siam_tracker_ros.demo.pictures import contact_sheet, course, sheet_places
from siam_tracker_ros.demo.run_measures import RunMeasures, measure, overlay_images
from siam_tracker_ros.demo.video import write_video
from siam_tracker_ros.footage.bag import BagError
from siam_tracker_ros.footage.bag_writer import BagSettings, BagTopic, BagWriter
from siam_tracker_ros.nodes.message_definitions import MessageDefinitions

TOPICS = {
    "/robot/tracks": ("siam_tracker_msgs/msg/TrackArray", TrackArray),
    "/robot/camera_info": ("sensor_msgs/msg/CameraInfo", CameraInfo),
    "/robot/status": ("siam_tracker_msgs/msg/TrackerStatus", TrackerStatus),
    "/robot/video_source_node/status": ("diagnostic_msgs/msg/DiagnosticStatus", DiagnosticStatus),
    "/robot/overlay/compressed": ("sensor_msgs/msg/CompressedImage", CompressedImage),
}
STEP_NS = 40_000_000


def time_of(ns: int) -> Time:
    return Time(sec=ns // 10**9, nanosec=ns % 10**9)


def tracks(
    number: int, state: int, latency_ms: float, confidence: float = 0.5, **fields: float
) -> TrackArray:
    """What is published of image `number`; it arrived a second after its stamp."""
    received = (1 + number) * STEP_NS + 10**9
    return TrackArray(
        header=Header(stamp=time_of((1 + number) * STEP_NS)),
        received=time_of(received),
        published=time_of(received + round(latency_ms * 1e6)),
        tracks=[Track(id="0", state=state, confidence=confidence)],
        **{"preprocess_ms": 1.0, "inference_ms": 8.0, "postprocess_ms": 0.5, **fields},
    )


def write_bag(folder: Path, messages: list[tuple[str, object]]) -> Path:
    definitions = MessageDefinitions()
    writer = BagWriter(folder, BagSettings())
    for name, (type_name, _) in TOPICS.items():
        writer.add_topic(
            BagTopic(name, type_name, definitions.definition(type_name), definitions.hash(type_name))
        )
    for number, (topic, message) in enumerate(messages):
        writer.write(topic, number, serialize_message(message))
    writer.close()
    return folder


def jpeg(number: int, grey: int) -> CompressedImage:
    _, data = cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))
    return CompressedImage(
        header=Header(stamp=time_of((1 + number) * STEP_NS)), format="jpeg", data=data.tobytes()
    )


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Six images published; 0, 1, 3 and 4 tracked in, 2 dropped by the tracker, 5 lost on the way to it."""
    of = "/robot/tracks"
    messages: list[tuple[str, object]] = [
        ("/robot/status", TrackerStatus(model="net", device="cuda:0")),
        *(("/robot/camera_info", CameraInfo()) for _ in range(5)),
        (of, tracks(0, Track.ACQUIRING, 10.0, 1.0)),
        (of, tracks(1, Track.TRACKING, 20.0, 0.9)),
        # What catching up and the end say of an image that was tracked in before is no image more.
        (of, tracks(1, Track.LOST, 500.0, preprocess_ms=0.0)),
        (of, tracks(3, Track.TRACKING, 30.0, 0.7, dropped_frames=1)),
        (of, tracks(4, Track.COASTING, 40.0, 0.2, dropped_frames=1)),
        (of, TrackArray(header=Header(stamp=time_of(9 * STEP_NS)), preprocess_ms=1.0)),
        *(("/robot/overlay/compressed", jpeg(n, 60 + 20 * n)) for n in (0, 1, 1, 3, 4)),
        (
            "/robot/video_source_node/status",
            DiagnosticStatus(values=[KeyValue(key="frames_published", value="6")]),
        ),
    ]
    return write_bag(tmp_path / "bag", messages)


def test_measures(bag: Path) -> None:
    numbers = measure(bag, "video_source_node").as_json()
    assert numbers["frames_published"] == 6
    assert numbers["frames_tracked"] == 4
    assert numbers["dropped_frames"] == 2
    assert numbers["dropped_by_tracker"] == 1
    # Of 10, 20, 30, 40 ms, interpolated.
    assert numbers["latency_ms"] == {"p50": 25.0, "p95": 38.5}
    # All of these but the first make up the latency.
    stages = {"transport": 1000.0, "queue": 15.5, "preprocess": 1.0, "inference": 8.0, "postprocess": 0.5}
    assert numbers["stages_p50_ms"] == stages
    assert numbers["states"] == {"TRACKING": 2, "ACQUIRING": 1, "COASTING": 1}
    assert numbers["mean_confidence"] == pytest.approx(0.7)
    assert (numbers["model"], numbers["device"]) == ("net", "cuda:0")


def test_a_bag_without_a_target_has_numbers_too(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", [("/robot/camera_info", CameraInfo())])
    numbers = measure(bag, "video_source_node").as_json()
    assert (numbers["frames_published"], numbers["frames_tracked"], numbers["dropped_frames"]) == (1, 0, 1)
    assert numbers["latency_ms"] == {"p50": None, "p95": None}
    assert numbers["states"] == {}


def test_what_is_no_bag_is_named(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=str(tmp_path)):
        measure(tmp_path, "video_source_node")


def test_the_video_shows_each_annotated_image_once_at_its_time(bag: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", overlay_images(bag), 25)
    with av.open(str(tmp_path / "video.mp4")) as video:
        shown = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in video.decode(video=0)]
    assert [time for time, _ in shown] == pytest.approx([0.0, 0.04, 0.12, 0.16], abs=0.002)
    assert [grey for _, grey in shown] == pytest.approx([60, 80, 120, 140], abs=4)


def test_no_image_no_video(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", [], 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "places"), [(0, []), (1, [0]), (4, [0, 1, 2, 3]), (17, list(range(0, 17, 2)))]
)
def test_sheet_shows_frames_evenly_with_first_and_last(count: int, places: list[int]) -> None:
    assert sheet_places(count) == places


def test_contact_sheet_reads_from_left_to_right() -> None:
    greys = [40, 80, 120, 160, 200]
    sheet = contact_sheet([np.full((90, 160, 3), grey, np.uint8) for grey in greys])
    height, width = 270, 480
    assert sheet.shape == (2 * height + 6, 3 * width + 12, 3)
    middles = [
        sheet[row * (height + 6) + height // 2, column * (width + 6) + width // 2, 0]
        for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    ]
    assert middles == [*greys, 255]


@pytest.mark.parametrize("kept", [1, 4])
def test_the_course_is_a_picture(bag: Path, kept: int) -> None:
    run = measure(bag, "video_source_node")
    run = RunMeasures(run.frames_published, run.frames[:kept], 0, run.model, run.device)
    picture = cv2.imdecode(np.frombuffer(course(run), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    # The states' colours are in it, not lines alone.
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
