"""Bags read back, whole and damaged: what is readable comes, and what is lost is said."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from test_footage_bag_writer import IMAGE, STORE, STRING, picture, text, topic

from siam_tracker_ros.footage.bag import BagError, open_bag
from siam_tracker_ros.footage.bag_writer import BagSettings, BagWriter

COUNT = 12


def write(folder: Path, storage: str = "mcap", **settings) -> Path:
    """Pictures 1, 2, ... in their second, and words half a second after each."""
    bag = BagWriter(folder, BagSettings(storage, **settings))
    bag.add_topic(topic("/image", IMAGE))
    bag.add_topic(topic("/words"))
    for number in range(1, COUNT + 1):
        bag.write("/image", 10**9 * number, picture(number))
        bag.write("/words", 10**9 * number + 5 * 10**8, text(number))
    bag.close()
    return folder


def read(path: Path) -> tuple[list[int], list[str], list[str]]:
    """Seconds of the pictures, the words, and what is lost; all must come in order."""
    with open_bag(path) as bag:
        messages = list(bag.messages())
        losses = list(bag.losses)
    assert [one.time_ns for one in messages] == sorted(one.time_ns for one in messages)
    pictures = [one.message.header.stamp.sec for one in messages if one.topic == "/image"]
    assert all(one.message.data.size == 360_000 for one in messages if one.topic == "/image")
    return pictures, [one.message.data for one in messages if one.topic == "/words"], losses


EVERY = list(range(1, COUNT + 1))
ALL_WORDS = [f"message {number}" for number in EVERY]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("split", [0.0, 3.0])
def test_whole_bags(tmp_path: Path, storage: str, compress: bool, split: float) -> None:
    folder = write(tmp_path / "bag", storage, compress=compress, split_s=split)
    assert read(folder) == (EVERY, ALL_WORDS, [])
    with open_bag(folder) as bag:
        assert bag.types == {"/image": IMAGE, "/words": STRING}
        assert bag.counts == {"/image": COUNT, "/words": COUNT}
        assert bag.topics_of_type(IMAGE) == ["/image"]
        assert {one.topic for one in bag.messages(["/words"])} == {"/words"}


def test_one_file_of_a_bag_and_a_bag_compressed_by_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag")
    assert read(folder / "bag_0.mcap") == (EVERY, ALL_WORDS, [])
    writer = Writer(tmp_path / "packed", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/words", STRING, typestore=STORE)
        writer.write(connection, 1, text(1))
    assert read(tmp_path / "packed") == ([], ["message 1"], [])
    (tmp_path / "packed" / "metadata.yaml").unlink()
    pictures, words, losses = read(tmp_path / "packed")
    assert (pictures, words) == ([], ["message 1"])
    assert "metadata" in losses[0]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
def test_without_metadata_all_is_read(tmp_path: Path, storage: str, compress: bool) -> None:
    folder = write(tmp_path / "bag", storage, compress=compress, split_s=4.0)
    (folder / "metadata.yaml").unlink()
    pictures, words, losses = read(folder)
    assert (pictures, words) == (EVERY, ALL_WORDS)
    assert len(losses) == 1


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(
    tmp_path: Path, storage: str, compress: bool, share: float
) -> None:
    folder = write(tmp_path / "bag", storage, compress=compress)
    (file,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    pictures, words, losses = read(folder)
    # What is left are the first messages of each topic.
    assert pictures == EVERY[: len(pictures)]
    assert words == ALL_WORDS[: len(words)]
    assert len(pictures) <= share * COUNT + 1
    if storage == "mcap":
        # All that the share holds; SQLite loses more where the table's root is in what was cut off.
        assert len(pictures) >= share * COUNT - 1
    said = " ".join(losses)
    assert file.name in said
    assert f"{len(pictures) + len(words)} of {2 * COUNT} messages are left" in said


def test_the_other_files_are_read_where_one_is_gone_or_no_bag(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", split_s=4.0)
    first, second, third = sorted(folder.glob("*.mcap"))
    first.unlink()
    second.write_bytes(b"no bag at all, but some text in its place")
    pictures, _, losses = read(folder)
    assert pictures == EVERY[8:]
    assert any(second.name in loss and "no MCAP file" in loss for loss in losses)
    third.unlink()
    with pytest.raises(BagError, match="nothing of bag"), open_bag(folder):
        pass


def test_a_recorder_that_was_killed_leaves_its_whole_files_and_the_begun_one(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag", BagSettings(split_s=5.0))
    bag.add_topic(topic("/image", IMAGE))
    for number in EVERY:
        bag.write("/image", 10**9 * number, picture(number))
    # As it is on the disk before the recorder closes it.
    shutil.copytree(tmp_path / "bag", tmp_path / "killed")
    bag.close()
    (tmp_path / "killed" / "metadata.yaml").unlink()
    with open_bag(tmp_path / "killed") as found:
        seconds = [one.message.header.stamp.sec for one in found.messages()]
    assert seconds == EVERY[: len(seconds)]
    assert len(seconds) >= 10


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", "sqlite3", compress=True)
    (file,) = folder.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET data = X'00' WHERE id = 3")
    database.close()
    pictures, words, losses = read(folder)
    assert pictures == [1, *EVERY[2:]]
    assert words == ALL_WORDS
    assert any("1 damaged messages of /image" in loss for loss in losses)


def test_what_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no bag"), open_bag(tmp_path / "none"):
        pass
    with pytest.raises(BagError, match="nothing of bag"), open_bag(tmp_path):
        pass
