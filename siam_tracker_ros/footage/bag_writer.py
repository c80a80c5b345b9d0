"""Bags as rosbag2 writes them, where it is not installed: file after file, and metadata.yaml over them all.

rosbags writes one file. Each has a folder of its own while it is written, and moves beside the others once it
is whole, so that the bag can be read whatever happens to the file that is being written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from siam_tracker_ros.footage.whole_file import OutputError, check_output_folder, told_of

Storage = Literal["mcap", "sqlite3"]

# The version of metadata.yaml that rosbag2 writes since Jazzy.
_VERSION: Literal[9] = 9
_METADATA = "metadata.yaml"
_ROOT = "rosbag2_bagfile_information"
# How much is written between two looks at the room left, bytes.
_LOOK_EVERY = 1 << 20


@dataclass(frozen=True)
class BagTopic:
    """A topic to write: its type (`sensor_msgs/msg/Image`), the type's definition and hash as rosbag2 keeps
    them, and the quality of service of its publishers."""

    name: str
    type: str
    definition: str
    type_hash: str
    offered_qos: tuple[Qos, ...] = ()


@dataclass(frozen=True)
class BagSettings:
    """How to write.

    `compress` uses zstd; another file is begun after `split_bytes` or `split_s` (0: never); `keep_free_bytes`
    of the disk are left to others.
    """

    storage: Storage = "mcap"
    compress: bool = False
    split_bytes: int = 0
    split_s: float = 0.0
    keep_free_bytes: int = 64 << 20
    ros_distro: str = ""


class DiskFullError(OutputError):
    """No room for more; what was written until then is whole."""


@dataclass
class _Part:
    """The file that is being written."""

    writer: Writer
    connections: dict[str, Connection] = field(default_factory=dict)
    bytes: int = 0
    begin_ns: int | None = None


class BagWriter:
    """Writes one bag: a new folder, or an empty one. Not thread-safe. Raises OutputError where it cannot."""

    def __init__(
        self,
        folder: Path,
        settings: BagSettings,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        check_output_folder(folder)
        self.folder = folder
        self._settings = settings
        self._free_bytes = free_bytes
        self._topics: dict[str, BagTopic] = {}
        self._files: list[dict[str, Any]] = []
        self._counts: dict[str, int] = {}
        self._unlooked = 0
        with told_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._check_room()
        self._part: _Part | None = self._begin_part()

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages written, by topic."""
        return self._counts

    def add_topic(self, topic: BagTopic) -> None:
        """Write messages of `topic` from now on."""
        self._topics[topic.name] = topic
        self._counts.setdefault(topic.name, 0)
        if self._part is not None:
            self._connect(self._part, topic)

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """A serialised message of a topic that was added, received at `time_ns`.

        Raises DiskFullError before the disk is full, and OutputError where writing fails: `close` then.
        """
        self._unlooked += len(data)
        if self._unlooked > _LOOK_EVERY:
            self._check_room(len(data))
        part = self._part
        if part is None or self._is_full(part, time_ns):
            self._end_part()
            part = self._part = self._begin_part()
        try:
            part.writer.write(part.connections[topic], time_ns, data)
        # sqlite3's own errors, of a full disk too, are no OSErrors.
        except Exception as error:
            self._part = None
            part.writer.abort()
            raise OutputError(f"cannot write {part.writer.path}: {_reason(error)}; it is cut off") from error
        part.bytes += len(data)
        part.begin_ns = time_ns if part.begin_ns is None else part.begin_ns
        self._counts[topic] += 1

    def close(self) -> None:
        """Finish the file that is being written, and metadata.yaml. May be called again."""
        if self._part is not None:
            self._end_part()

    def _is_full(self, part: _Part, time_ns: int) -> bool:
        settings = self._settings
        if part.begin_ns is None:
            return False
        long = settings.split_s and time_ns - part.begin_ns >= settings.split_s * 1e9
        return bool(long or (settings.split_bytes and part.bytes >= settings.split_bytes))

    def _check_room(self, coming: int = 0) -> None:
        self._unlooked = 0
        with told_of(self.folder):
            free = self._free_bytes(self.folder)
        keep = self._settings.keep_free_bytes
        if free - coming < keep:
            raise DiskFullError(
                f"no room for {self.folder}: {free >> 20} MiB are free, and {keep >> 20} MiB are kept free"
            )

    def _begin_part(self) -> _Part:
        settings = self._settings
        name = f"{self.folder.absolute().name}_{len(self._files)}"
        plugin = StoragePlugin.MCAP if settings.storage == "mcap" else StoragePlugin.SQLITE3
        writer = Writer(self.folder / name, version=_VERSION, storage_plugin=plugin)
        if settings.compress:
            # In a file of MCAP whole chunks are compressed, which needs no further plugin to play.
            mode = CompressionMode.STORAGE if settings.storage == "mcap" else CompressionMode.MESSAGE
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with told_of(self.folder):
            writer.open()
        part = _Part(writer)
        for topic in self._topics.values():
            self._connect(part, topic)
        return part

    def _connect(self, part: _Part, topic: BagTopic) -> None:
        part.connections[topic.name] = part.writer.add_connection(
            topic.name,
            topic.type,
            msgdef=topic.definition,
            rihs01=topic.type_hash,
            offered_qos_profiles=topic.offered_qos,
        )

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            part.writer.close()
            metadata = yaml.safe_load((part.writer.path / _METADATA).read_text(encoding="utf-8"))[_ROOT]
            for file in metadata["relative_file_paths"]:
                (part.writer.path / file).replace(self.folder / file)
            shutil.rmtree(part.writer.path)
        except Exception as error:
            raise OutputError(f"cannot finish {part.writer.path}: {_reason(error)}") from error
        self._files.append(metadata)
        self._write_metadata()

    def _write_metadata(self) -> None:
        merged = {_ROOT: merged_metadata(self._files, self._settings.ros_distro)}
        path = self.folder / _METADATA
        part = path.with_suffix(".yaml.part")
        with told_of(path):
            part.write_text(yaml.safe_dump(merged, sort_keys=False), encoding="utf-8")
            part.replace(path)


def merged_metadata(files: Sequence[Mapping[str, Any]], ros_distro: str) -> dict[str, Any]:
    """What metadata.yaml says of a bag whose files, written one after the other, are each described so."""
    filled = [one for one in files if one["message_count"]] or files[:1]
    begin = min(one["starting_time"]["nanoseconds_since_epoch"] for one in filled)
    end = max(
        one["starting_time"]["nanoseconds_since_epoch"] + one["duration"]["nanoseconds"] for one in filled
    )
    topics: dict[str, dict[str, Any]] = {}
    for one in files:
        for entry in one["topics_with_message_count"]:
            name = entry["topic_metadata"]["name"]
            before = topics.get(name, {"message_count": 0})["message_count"]
            topics[name] = {**entry, "message_count": before + entry["message_count"]}
    return {
        **files[-1],
        "duration": {"nanoseconds": end - begin},
        "starting_time": {"nanoseconds_since_epoch": begin},
        "message_count": sum(one["message_count"] for one in files),
        "topics_with_message_count": list(topics.values()),
        "relative_file_paths": [path for one in files for path in one["relative_file_paths"]],
        "files": [file for one in files for file in one["files"]],
        "ros_distro": ros_distro or files[-1]["ros_distro"],
    }


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
