"""`siam-tracker record` beside publishers on a DDS graph, and its bag read back with rosbags."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Time
from graph_process import DEADLINE_S, Listener, end, node_process, parameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header, String

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.cli import main
from siam_tracker_ros.commands.record import preset_topics
from siam_tracker_ros.footage.frames import FrameRange
from siam_tracker_ros.footage.source import open_source
from siam_tracker_ros.nodes.message_definitions import MessageDefinitions, UnknownTypeError
from siam_tracker_ros.nodes.recorder import adapted_qos

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TRACKS = TrackArray(
    header=Header(stamp=Time(sec=5, nanosec=7), frame_id="eye"),
    image_width=640,
    image_height=480,
    tracks=[Track(id="cat", state=Track.TRACKING, bbox=BoundingBox2D(center_x=10.5, size_x=4.0))],
)


@contextmanager
def recorder(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "siam_tracker_ros.cli", "record", "--out", str(folder), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True)
    try:
        yield process
    finally:
        end(process)


def messages(folder: Path) -> list[tuple[str, int, Any, bytes]]:
    with AnyReader([folder]) as reader:
        return [
            (connection.topic, time_ns, reader.deserialize(data, connection.msgtype), data)
            for connection, time_ns, data in reader.messages()
        ]


def recorded_topics(folder: Path) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    return {
        one["topic_metadata"]["name"]: {**one["topic_metadata"], "count": one["message_count"]}
        for one in content["topics_with_message_count"]
    }


@pytest.fixture
def listener(ros_domain: int) -> Iterator[Listener]:
    with Listener("camera") as listener:
        yield listener


def publish_until_heard(listener: Listener, publisher: Any, message: Any) -> None:
    listener.wait(publisher.get_subscription_count, "the recorder")
    publisher.publish(message)


def test_records_as_published_what_appears_and_when(tmp_path: Path, listener: Listener) -> None:
    node, folder = listener.node, tmp_path / "bag"
    words = node.create_publisher(String, "words", BEST_EFFORT)
    latched = node.create_publisher(String, "latched", LATCHED)
    latched.publish(String(data="said before"))
    with recorder(folder, "words", "/latched", "tracks", "/never") as process:
        publish_until_heard(listener, words, String(data="one"))
        # Appears while it records, of a type of this package's own.
        tracks = node.create_publisher(TrackArray, "tracks", RELIABLE)
        publish_until_heard(listener, tracks, TRACKS)
        listener.wait(latched.get_subscription_count, "the recorder")
        assert tracks.wait_for_all_acked()
        assert end(process, signal.SIGINT) == 0
        said = process.stdout.read()
    heard = messages(folder)
    by_topic = {topic: message for topic, _, message, _ in heard}
    assert len(heard) == 3
    assert by_topic["/words"].data == "one"
    assert by_topic["/latched"].data == "said before"
    assert by_topic["/tracks"].tracks[0].bbox.center_x == 10.5
    (data,) = [data for topic, _, _, data in heard if topic == "/tracks"]
    assert deserialize_message(data, TrackArray) == TRACKS

    topics = recorded_topics(folder)
    assert {name: one["count"] for name, one in topics.items()} == {"/words": 1, "/latched": 1, "/tracks": 1}
    offered = {name: one["offered_qos_profiles"][0] for name, one in topics.items()}
    assert offered["/words"]["reliability"] == "best_effort"
    assert offered["/tracks"]["reliability"] == "reliable"
    assert offered["/latched"]["durability"] == "transient_local"
    assert "        1 /tracks" in said
    assert "/never: nobody published it" in said
    assert "3 messages in" in said


def test_real_footage_frame_by_frame(data_dir: Path, tmp_path: Path, ros_domain: int) -> None:
    sequence, folder = data_dir / "sequences" / "davis_blackswan", tmp_path / "bag"
    frames = list(open_source(str(sequence), FrameRange(0, 8), print).frames)
    with recorder(folder, "--preset", "raw", "--split-size", "3", "--compress") as process:
        values = {
            "source": sequence,
            "frames": ":8",
            "wait_for_subscribers": 1,
            "at_end": "exit",
            "depth": 100,
        }
        with node_process("video_source_node", *parameters(**values)) as source:
            assert source.wait(DEADLINE_S) == 0
        assert end(process, signal.SIGTERM) == 0
    images = [message for topic, _, message, _ in messages(folder) if topic == "/image_raw"]
    assert len(images) == len(frames) == 8
    for image, frame in zip(images, frames, strict=True):
        assert np.array_equal(image.data.reshape(image.height, image.width, 3), frame.image)
    assert {"/image_raw", "/camera_info"} <= set(recorded_topics(folder))
    assert len(list(folder.glob("*.mcap"))) > 1


def test_hears_a_publisher_of_lower_quality_that_comes_later(tmp_path: Path, listener: Listener) -> None:
    node, folder = listener.node, tmp_path / "bag"
    first = node.create_publisher(String, "words", RELIABLE)
    with recorder(folder, "--all", "--exclude", "rosout|parameter_events") as process:
        publish_until_heard(listener, first, String(data="reliable"))
        assert first.wait_for_all_acked()
        second = node.create_publisher(String, "words", BEST_EFFORT)
        publish_until_heard(listener, second, String(data="best effort"))
        # Best-effort messages are not acknowledged: one of many will do.
        for _ in range(20):
            second.publish(String(data="best effort"))
            listener.spin(1)
        assert end(process) == 0
    heard = [message.data for _, _, message, _ in messages(folder)]
    assert heard[0] == "reliable"
    assert set(heard[1:]) == {"best effort"}


def test_simulated_time(tmp_path: Path, listener: Listener) -> None:
    folder = tmp_path / "bag"
    clock = listener.node.create_publisher(Clock, "/clock", 10)
    words = listener.node.create_publisher(String, "words", RELIABLE)
    with recorder(folder, "words", "--use-sim-time") as process:
        listener.wait(clock.get_subscription_count, "the recorder's clock")
        listener.wait(words.get_subscription_count, "the recorder")
        # What comes before the first time that the recorder hears is left out.
        for _ in range(20):
            clock.publish(Clock(clock=Time(sec=77)))
            words.publish(String(data="at 77"))
            listener.spin(1)
        assert words.wait_for_all_acked()
        assert end(process) == 0
    heard = messages(folder)
    assert heard
    assert {time for _, time, _, _ in heard} == {77 * 10**9}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all", "x"], "--all records every topic"),
        (["--exclude", "("], "is no regular expression"),
        (["--duration", "-1"], "--duration is a number from 0 up, not -1"),
        (["--keep-free", "1e12"], "no room for"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], words: str
) -> None:
    assert main(["record", "--out", str(tmp_path / "bag"), *arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_folder_that_is_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine").touch()
    assert main(["record", "--out", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_presets_name_the_trackers_topics() -> None:
    assert {"image_raw", "mask", "camera_info", "tracks", "status"} <= set(preset_topics("raw", "image_raw"))
    compressed = preset_topics("compressed", "/cam/image_rect")
    assert {"/cam/image_rect/compressed", "/cam/camera_info"} <= set(compressed)
    assert "/cam/image_rect" not in compressed
    assert not any("image" in topic for topic in preset_topics("results", "image_raw"))


def test_quality_of_service_is_the_strictest_that_hears_all() -> None:
    def asked(*offered: QoSProfile) -> tuple[Any, Any]:
        qos = adapted_qos(offered)
        return qos.reliability, qos.durability

    volatile, latched = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL
    assert asked(RELIABLE) == (ReliabilityPolicy.RELIABLE, volatile)
    assert asked(RELIABLE, BEST_EFFORT) == (ReliabilityPolicy.BEST_EFFORT, volatile)
    assert asked(LATCHED, LATCHED) == (ReliabilityPolicy.RELIABLE, latched)
    assert asked(LATCHED, RELIABLE) == (ReliabilityPolicy.RELIABLE, volatile)


def test_definitions_are_those_installed() -> None:
    definitions = MessageDefinitions()
    text = definitions.definition("siam_tracker_msgs/msg/TrackArray")
    for used in ("Track", "BoundingBox2D", "TargetMask"):
        assert f"MSG: siam_tracker_msgs/{used}\n" in text
    assert "MSG: sensor_msgs/RegionOfInterest\n" in text
    for package, name in (("sensor_msgs", "Image"), ("siam_tracker_msgs", "TrackArray")):
        # Written by rosidl when it built the package.
        described = Path(get_package_share_directory(package)) / "msg" / f"{name}.json"
        hashes = {
            one["type_name"]: one["hash_string"] for one in json.loads(described.read_text())["type_hashes"]
        }
        assert definitions.hash(f"{package}/msg/{name}") == hashes[f"{package}/msg/{name}"]
    with pytest.raises(UnknownTypeError, match="build or source no_such_msgs"):
        definitions.definition("no_such_msgs/msg/Thing")
