"""A recorded run is measured as its readers had it: rate, drops, latency by the stamps, scores by truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation.recording import read_recording
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.footage.bag import BagError
from siam_tracker_ros.footage.bag_writer import BagSettings, BagTopic, BagWriter
from siam_tracker_ros.nodes.message_definitions import MessageDefinitions

NAMES = {
    "tracks": "siam_tracker_msgs/msg/TrackArray",
    "image": "sensor_msgs/msg/Image",
    "info": "sensor_msgs/msg/CameraInfo",
}
STEP_NS = 50_000_000
FRAMES = 10


def time_of(ns: int) -> Time:
    return Time(sec=ns // 10**9, nanosec=ns % 10**9)


def header(number: int) -> Header:
    return Header(stamp=time_of((number + 1) * STEP_NS))


def tracks(number: int, x: float, state: int = Track.TRACKING, dropped: int = 0, id: str = "a") -> TrackArray:
    """A target of 40 by 20 px from (x, 50); its image arrived 10 ms late, the tracks went out 30 ms on."""
    received = (number + 1) * STEP_NS + 10_000_000
    box = BoundingBox2D(center_x=x + 39 / 2, center_y=50 + 19 / 2, size_x=40.0, size_y=20.0)
    return TrackArray(
        header=header(number),
        image_width=320,
        image_height=240,
        received=time_of(received),
        published=time_of(received + 30_000_000),
        preprocess_ms=4.0,
        inference_ms=20.0,
        postprocess_ms=1.0,
        dropped_frames=dropped,
        tracks=[Track(id=id, state=state, bbox=box, confidence=0.8)],
    )


def write_bag(folder: Path, topics: dict[str, str], messages: list[tuple[str, Any]]) -> Path:
    definitions = MessageDefinitions()
    writer = BagWriter(folder, BagSettings())
    for name, kind in topics.items():
        type_name = NAMES[kind]
        writer.add_topic(
            BagTopic(name, type_name, definitions.definition(type_name), definitions.hash(type_name))
        )
    for number, (topic, message) in enumerate(messages):
        writer.write(topic, number, serialize_message(message))
    writer.close()
    return folder


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Ten images; the target moves 4 px a frame and is followed from image 2 on, image 5 being dropped."""
    messages: list[tuple[str, Any]] = []
    for number in range(FRAMES):
        image = Image(header=header(number), height=2, width=2, encoding="mono8", step=2, data=[0] * 4)
        messages.append(("/camera/image_raw", image))
        if number >= 2 and number != 5:
            messages.append(("/tracks", tracks(number, 100.0 + 4 * number, dropped=int(number > 5))))
    return write_bag(tmp_path / "bag", {"/camera/image_raw": "image", "/tracks": "tracks"}, messages)


def truth_file(path: Path, frames: int = FRAMES) -> Path:
    path.write_text("".join(f"{100 + 4 * number},50,40,20\n" for number in range(frames)))
    return path


def test_rate_drops_and_latency_are_those_of_the_stamps(bag: Path) -> None:
    recording = read_recording(bag)
    live = recording.live_json()
    assert recording.images_from == "/camera/image_raw"
    assert live["image_rate"] == pytest.approx(20)
    assert (live["images"], live["images_tracked"], live["dropped_by_tracker"]) == (10, 7, 1)
    assert live["latency_ms"]["p50"] == pytest.approx(30)
    assert live["age_ms"]["p95"] == pytest.approx(40)
    # What the message does not tell of: 10 ms on the way, and what three stages leave of 30 ms.
    medians = {name: value["p50"] for name, value in live["stages_ms"].items()}
    assert medians == pytest.approx(
        {
            "transport_ms": 10.0,
            "queue_ms": 5.0,
            "preprocess_ms": 4.0,
            "inference_ms": 20.0,
            "postprocess_ms": 1.0,
        }
    )
    assert live["states"] == {"TRACKING": 7}
    assert live["losses"] == []


def test_a_dropped_image_has_the_answer_before_it(bag: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "scores.json"
    command = [
        "eval",
        "--bag",
        str(bag),
        "--truth",
        str(truth_file(tmp_path / "truth.txt")),
        "--json",
        str(out),
    ]
    assert main(command) == 0
    content = json.loads(out.read_text())
    # Image 2 is the start. Of the seven after it one has an answer that is 4 px late.
    late = (40 - 4) / (40 + 4)
    assert content["sequences"]["a"]["iou"] == pytest.approx((6 + late) / 7, abs=1e-6)
    assert content["images"] == 10
    assert "7 tracked in, 1 dropped" in capsys.readouterr().out


def test_the_truth_may_be_a_topic_of_the_bag(tmp_path: Path) -> None:
    messages = []
    for number in range(FRAMES):
        hidden = Track.COASTING if number == 7 else Track.TRACKING
        messages += [
            ("/truth/tracks", tracks(number, 100.0, hidden)),
            ("/tracks", tracks(number, 100.0 if number < 5 else 120.0)),
        ]
    bag = write_bag(tmp_path / "bag", {"/truth/tracks": "tracks", "/tracks": "tracks"}, messages)
    out = tmp_path / "scores.json"
    assert main(["eval", "--bag", str(bag), "--json", str(out)]) == 0
    # Four frames right, four a third right (20 px of 40 apart), one out of view.
    assert json.loads(out.read_text())["mean_iou"] == pytest.approx((4 + 4 / 3) / 8, abs=1e-6)


def test_a_lost_target_is_not_found(tmp_path: Path) -> None:
    states = [Track.TRACKING] * 5 + [Track.LOST] * 5
    messages = [("/tracks", tracks(number, 100.0, state)) for number, state in enumerate(states)]
    bag = write_bag(tmp_path / "bag", {"/tracks": "tracks"}, messages)
    labels = tmp_path / "truth.txt"
    labels.write_text("100,50,40,20\n" * FRAMES)
    out = tmp_path / "scores.json"
    assert main(["eval", "--bag", str(bag), "--truth", str(labels), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["mean_iou"] == pytest.approx(4 / 9)


def test_a_target_that_was_given_up_is_not_found_from_the_next_image_on(tmp_path: Path) -> None:
    messages: list[tuple[str, Any]] = [
        ("/info", CameraInfo(header=header(number))) for number in range(FRAMES)
    ]
    for number in range(5):
        messages.append(("/tracks", tracks(number, 100.0)))
    # The tracker ends: it says so with the stamp of the last image, which has its answer.
    farewell = tracks(4, 0.0, Track.LOST)
    farewell.preprocess_ms = 0.0
    messages.append(("/tracks", farewell))
    bag = write_bag(tmp_path / "bag", {"/info": "info", "/tracks": "tracks"}, messages)
    labels = tmp_path / "truth.txt"
    labels.write_text("100,50,40,20\n" * FRAMES)
    out = tmp_path / "scores.json"
    assert main(["eval", "--bag", str(bag), "--truth", str(labels), "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["mean_iou"] == pytest.approx(4 / 9)
    assert content["states"] == {"TRACKING": 5}


def test_a_bag_that_was_cut_off_gives_what_is_there(bag: Path, capsys: Any) -> None:
    (file,) = bag.glob("*.mcap")
    data = file.read_bytes()
    # The last third is the summary, with the definitions once more.
    file.write_bytes(data[: len(data) // 2])
    assert main(["eval", "--bag", str(bag)]) == 0
    told = capsys.readouterr().out
    assert "cut off" in told
    assert 1 <= len(read_recording(bag).stamps_ns) < FRAMES


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--target", "b", "--truth", "{truth}"], "there are: a"),
        (["--truth", "{short}"], "has 4 lines, but the bag 10 images"),
        (["--tracks-topic", "/other"], "there are: /tracks"),
        (["--image-topic", "/other"], "there are: /camera/image_raw"),
    ],
)
def test_what_does_not_fit_the_bag_is_named(
    bag: Path, tmp_path: Path, capsys: Any, options: list[str], complaint: str
) -> None:
    files = {
        "truth": truth_file(tmp_path / "truth.txt"),
        "short": truth_file(tmp_path / "short.txt", frames=4),
    }
    assert main(["eval", "--bag", str(bag), *(option.format(**files) for option in options)]) == 1
    assert complaint in capsys.readouterr().err


def test_several_topics_have_to_be_chosen_from(tmp_path: Path) -> None:
    topics = {"/one/tracks": "tracks", "/two/tracks": "tracks"}
    bag = write_bag(tmp_path / "bag", topics, [(name, tracks(0, 0.0)) for name in topics])
    with pytest.raises(BagError, match=r"name one of: /one/tracks, /two/tracks"):
        read_recording(bag)
    assert list(read_recording(bag, tracks_topic="two/tracks").tracks) == ["a"]


def test_a_bag_without_tracks_or_no_bag_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/info": "info"}, [("/info", CameraInfo(header=header(0)))])
    with pytest.raises(EvaluationError, match="no tracks"):
        read_recording(bag)
    with pytest.raises(BagError, match="no bag"):
        read_recording(tmp_path / "nowhere")


def test_camera_info_tells_the_images_where_none_were_recorded(tmp_path: Path) -> None:
    messages: list[tuple[str, Any]] = [
        ("/info", CameraInfo(header=header(number))) for number in range(FRAMES)
    ]
    messages.append(("/tracks", tracks(3, 0.0)))
    bag = write_bag(tmp_path / "bag", {"/info": "info", "/tracks": "tracks"}, messages)
    recording = read_recording(bag)
    assert (recording.images_from, len(recording.stamps_ns)) == ("/info", FRAMES)
    assert np.diff(recording.stamps_ns) == pytest.approx(STEP_NS)
