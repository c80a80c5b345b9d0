"""Bags that are written, read back with rosbags, and their metadata.yaml against rosbag2's own format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_typestore

from siam_tracker_ros.footage.bag_writer import BagSettings, BagTopic, BagWriter, DiskFullError
from siam_tracker_ros.footage.whole_file import OutputError

STORE = get_typestore(Stores.ROS2_JAZZY)
STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"
NEVER = QosTime(9223372036, 854775807)
QOS = Qos(
    QosHistory.UNKNOWN,
    0,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    NEVER,
    NEVER,
    QosLiveliness.AUTOMATIC,
    NEVER,
    False,
)
# What rosbag2 reads of a metadata.yaml of version 9 (rosbag2_storage, yaml.hpp); each node is required.
SCHEMA = {
    "version": int,
    "storage_identifier": str,
    "duration": {"nanoseconds": int},
    "starting_time": {"nanoseconds_since_epoch": int},
    "message_count": int,
    "topics_with_message_count": [
        {
            "topic_metadata": {
                "name": str,
                "type": str,
                "serialization_format": str,
                "offered_qos_profiles": [
                    {
                        "history": str,
                        "depth": int,
                        "reliability": str,
                        "durability": str,
                        "deadline": {"sec": int, "nsec": int},
                        "lifespan": {"sec": int, "nsec": int},
                        "liveliness": str,
                        "liveliness_lease_duration": {"sec": int, "nsec": int},
                        "avoid_ros_namespace_conventions": bool,
                    }
                ],
                "type_description_hash": str,
            },
            "message_count": int,
        }
    ],
    "compression_format": str,
    "compression_mode": str,
    "relative_file_paths": [str],
    "files": [
        {
            "path": str,
            "starting_time": {"nanoseconds_since_epoch": int},
            "duration": {"nanoseconds": int},
            "message_count": int,
        }
    ],
    "custom_data": type(None),
    "ros_distro": str,
}


def fits(value: Any, schema: Any) -> bool:
    if isinstance(schema, dict):
        return set(value) == set(schema) and all(fits(value[key], schema[key]) for key in schema)
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(one, schema[0]) for one in value)
    return type(value) is schema


def topic(name: str, type_name: str = STRING) -> BagTopic:
    definition, _ = STORE.generate_msgdef(type_name, ros_version=2)
    return BagTopic(name, type_name, definition, STORE.hash_rihs01(type_name), (QOS,))


def text(number: int) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[STRING](data=f"message {number}"), STRING))


def picture(number: int) -> bytes:
    time = STORE.types["builtin_interfaces/msg/Time"](sec=number, nanosec=0)
    header = STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="eye")
    pixels = np.random.default_rng(number).integers(0, 256, 300 * 400 * 3, dtype=np.uint8)
    image = STORE.types[IMAGE](header, 300, 400, "bgr8", 0, 1200, pixels)
    return bytes(STORE.serialize_cdr(image, IMAGE))


def metadata(folder: Path) -> dict[str, Any]:
    content = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert list(content) == ["rosbag2_bagfile_information"]
    found = content["rosbag2_bagfile_information"]
    assert fits(found, SCHEMA)
    return found


def read_back(folder: Path) -> list[tuple[str, int, Any]]:
    with AnyReader([folder]) as reader:
        return [
            (connection.topic, time_ns, reader.deserialize(data, connection.msgtype))
            for connection, time_ns, data in reader.messages()
        ]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, storage: str, compress: bool) -> None:
    folder = tmp_path / "bag"
    bag = BagWriter(folder, BagSettings(storage, compress, ros_distro="jazzy"))
    bag.add_topic(topic("/words"))
    for number in range(5):
        bag.write("/words", 10**9 * (number + 1), text(number))
    bag.add_topic(topic("/late", IMAGE))
    bag.add_topic(topic("/silent"))
    bag.write("/late", 7 * 10**9, picture(7))
    bag.close()
    bag.close()

    messages = read_back(folder)
    assert [(name, time) for name, time, _ in messages] == [
        *(("/words", 10**9 * n) for n in range(1, 6)),
        ("/late", 7 * 10**9),
    ]
    assert [message.data for name, _, message in messages if name == "/words"] == [
        f"message {n}" for n in range(5)
    ]
    image = messages[-1][2]
    expected = np.random.default_rng(7).integers(0, 256, 300 * 400 * 3, dtype=np.uint8)
    assert np.array_equal(image.data, expected)
    assert bag.counts == {"/words": 5, "/late": 1, "/silent": 0}

    found = metadata(folder)
    assert (found["version"], found["storage_identifier"], found["ros_distro"]) == (9, storage, "jazzy")
    assert found["starting_time"] == {"nanoseconds_since_epoch": 10**9}
    assert found["duration"] == {"nanoseconds": 6 * 10**9}
    assert found["message_count"] == 6
    counts = {
        one["topic_metadata"]["name"]: one["message_count"] for one in found["topics_with_message_count"]
    }
    assert counts == dict(bag.counts)
    (offered,) = found["topics_with_message_count"][0]["topic_metadata"]["offered_qos_profiles"]
    assert (offered["reliability"], offered["durability"], offered["history"]) == (
        "best_effort",
        "volatile",
        "unknown",
    )
    assert offered["deadline"] == {"sec": 9223372036, "nsec": 854775807}
    # Only what metadata.yaml names is in the folder.
    assert {p.name for p in folder.iterdir()} == {"metadata.yaml", *found["relative_file_paths"]}


def test_a_bag_without_a_message_can_be_read(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag", BagSettings())
    bag.close()
    assert metadata(tmp_path / "bag")["message_count"] == 0
    assert read_back(tmp_path / "bag") == []


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("split", [{"split_s": 2.0}, {"split_bytes": 800_000}])
def test_split_bags_are_one_bag(tmp_path: Path, storage: str, split: dict[str, float]) -> None:
    folder = tmp_path / "bag"
    bag = BagWriter(folder, BagSettings(storage, **split))
    bag.add_topic(topic("/image", IMAGE))
    for number in range(1, 8):
        bag.write("/image", 10**9 * number, picture(number))
        if number == 2:
            bag.add_topic(topic("/words"))
        if number == 5:
            bag.write("/words", 10**9 * number + 1, text(5))
    bag.close()
    found = metadata(folder)
    assert len(found["files"]) == len(found["relative_file_paths"]) > 2
    assert sum(file["message_count"] for file in found["files"]) == found["message_count"] == 8
    assert found["duration"] == {"nanoseconds": 6 * 10**9}
    names = [one["topic_metadata"]["name"] for one in found["topics_with_message_count"]]
    assert names == ["/image", "/words"]
    assert [message.header.stamp.sec for name, _, message in read_back(folder) if name == "/image"] == [
        *range(1, 8)
    ]


def test_metadata_is_there_after_each_file(tmp_path: Path) -> None:
    """So that a bag whose writer was killed can be read up to the file it was at."""
    folder = tmp_path / "bag"
    bag = BagWriter(folder, BagSettings(split_s=1.0))
    bag.add_topic(topic("/words"))
    for number in range(4):
        bag.write("/words", 10**9 * (number + 1), text(number))
    assert metadata(folder)["message_count"] == 3
    assert len(read_back(folder)) == 3
    bag.close()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine").touch()
    with pytest.raises(OutputError, match="not empty"):
        BagWriter(tmp_path / "bag", BagSettings())
    assert [path.name for path in (tmp_path / "bag").iterdir()] == ["mine"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file has its name"):
        BagWriter(tmp_path / "file", BagSettings())


def test_stops_before_the_disk_is_full(tmp_path: Path) -> None:
    room = [10 << 20]
    bag = BagWriter(tmp_path / "bag", BagSettings(keep_free_bytes=4 << 20), lambda _: room[0])
    bag.add_topic(topic("/image", IMAGE))

    def write_on() -> None:
        for number in range(1, 40):
            if number == 20:
                room[0] = 3 << 20
            bag.write("/image", number, picture(number))

    with pytest.raises(DiskFullError, match="3 MiB are free, and 4 MiB are kept free"):
        write_on()
    bag.close()
    written = bag.counts["/image"]
    assert 19 <= written < 25
    assert len(read_back(tmp_path / "bag")) == metadata(tmp_path / "bag")["message_count"] == written
    with pytest.raises(DiskFullError, match="no room"):
        BagWriter(tmp_path / "other", BagSettings(keep_free_bytes=4 << 20), lambda _: room[0])


LIMITED = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_footage_bag_writer import *
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
bag = BagWriter(folder, BagSettings(sys.argv[2], split_bytes=1_000_000 * int(sys.argv[3])))
bag.add_topic(topic("/image", IMAGE))
try:
    for number in range(1, 40):
        bag.write("/image", number, picture(number))
except OutputError as error:
    print(error)
bag.close()
"""


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_write_that_fails_is_told_and_the_files_before_are_whole(tmp_path: Path, storage: str) -> None:
    said = {}
    for split in ("1", "100"):
        command = [sys.executable, "-c", LIMITED, str(tmp_path / split), storage, split]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        said[split] = run.stdout
    # Files of 1 MB stay below the limit of 3 MB, one of 100 MB does not.
    assert said["1"] == ""
    assert len(read_back(tmp_path / "1")) == 39
    assert str(tmp_path / "100") in said["100"]
    assert said["100"].startswith("cannot ")
