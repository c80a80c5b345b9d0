"""Reading bags: MCAP and SQLite, compressed or not, in one file or split, whole or damaged.

rosbags reads what is whole. Of a bag that is not (its recorder was killed, the disk was full, a copy broke
off) each file is read as far as it goes, and what is lost is said. MCAP gives every message before the
damage; SQLite none where the pages that lead to them are gone.
"""

from __future__ import annotations

import heapq
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from siam_tracker_ros.footage.frames import SourceError
from siam_tracker_ros.footage.image_folder import natural_order

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SUFFIXES = frozenset({".mcap", ".db3"})
_COMPRESSED = ".zstd"
_METADATA = "metadata.yaml"

# MCAP, version 0: a file is its magic, records of an opcode and a length each, and the magic again.
_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_FOOTER, _CHUNK, _DATA_END = 0x02, 0x06, 0x0F
# The end of a file without a summary: whoever reads it looks through the records.
_PLAIN_END = _RECORD.pack(_DATA_END, 4) + bytes(4) + _RECORD.pack(_FOOTER, 20) + bytes(20) + _MAGIC
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class BagError(SourceError):
    """A bag of which nothing can be read, or that lacks what is looked for."""


@dataclass(frozen=True)
class BagMessage:
    """One message, read: `message` has the fields of its type, arrays as NumPy's; `time_ns` is when it was
    recorded."""

    topic: str
    type: str
    time_ns: int
    message: Any


class Bag:
    """A bag that is open. `types` are those of its topics; `counts` its messages by topic, as far as they are
    readable; `losses` says in words what is not."""

    def __init__(self, parts: Sequence[_Part], losses: list[str]) -> None:
        self._parts = parts
        self.losses = losses
        self.types: dict[str, str] = {}
        found: Counter[str] = Counter()
        for part in parts:
            for topic, (type_name, count) in part.topics.items():
                self.types[topic] = type_name
                found[topic] += count
        self.counts: Mapping[str, int] = found

    def topics_of_type(self, *types: str) -> list[str]:
        """Topics of one of these types (`sensor_msgs/msg/Image`), in the order of the bag."""
        return [topic for topic, type_name in self.types.items() if type_name in types]

    def topics_called(self, name: str) -> list[str]:
        """Topics of this name, in whatever namespace."""
        return [topic for topic in self.types if f"/{topic}".endswith(f"/{name}")]

    def messages(self, topics: Collection[str] | None = None) -> Generator[BagMessage, None, None]:
        """Messages in the order in which they were recorded, of these topics, by default of all.

        One that does not fit its type is left out; what turns out to be damaged is added to `losses`, and the
        next file is read.
        """
        for part in self._parts:
            yield from part.messages(self.types if topics is None else topics, self.losses)


class _Part:
    """One file. Of one that was `mended` topics are read one by one, as it has no index to sort them by."""

    def __init__(self, name: str, path: Path, mended: bool, stack: ExitStack) -> None:
        self._name, self._path, self._mended, self._stack = name, path, mended, stack
        self._reader = self._open()
        self.topics = {one.topic: (one.msgtype, one.msgcount) for one in self._reader.connections}

    def _open(self) -> AnyReader:
        # Bags of Humble and before carry no definitions.
        standard = get_typestore(Stores.ROS2_JAZZY)
        return self._stack.enter_context(AnyReader([self._path], default_typestore=standard))

    def messages(self, topics: Collection[str], losses: list[str]) -> Generator[BagMessage, None, None]:
        wanted = [topic for topic in self.topics if topic in topics]
        groups = [[topic] for topic in wanted] if self._mended else [wanted]
        streams = [self._raw(group, losses) for group in groups if group]
        unfit: Counter[str] = Counter()
        for time_ns, topic, data in heapq.merge(*streams, key=lambda one: one[0]):
            type_name = self.topics[topic][0]
            try:
                message = self._reader.deserialize(_plain(data), type_name)
            except (AnyReaderError, SerdeError, zstd.ZstdError, ValueError, struct.error):
                unfit[topic] += 1
                continue
            yield BagMessage(topic, type_name, time_ns, message)
        losses += [f"{self._name}: {count} damaged messages of {topic}" for topic, count in unfit.items()]

    def _raw(self, topics: Collection[str], losses: list[str]) -> Iterator[tuple[int, str, bytes]]:
        reader = self._open() if self._mended else self._reader
        connections = [one for one in reader.connections if one.topic in topics]
        try:
            for connection, time_ns, data in reader.messages(connections):
                yield time_ns, connection.topic, bytes(data)
        except Exception as error:
            # Whatever the readers below stumble over in damaged data.
            losses.append(f"{self._name}: damaged on the way, {', '.join(topics)}: {_reason(error)}")


def is_bag(path: Path) -> bool:
    """Whether a file or folder looks like a bag, by its name or what is in it."""
    if path.is_file():
        return _has_suffix(path)
    return path.is_dir() and (_has_metadata(path) or any(_has_suffix(file) for file in path.iterdir()))


def _has_suffix(file: Path) -> bool:
    return Path(file.name.removesuffix(_COMPRESSED)).suffix in _SUFFIXES


def _has_metadata(folder: Path) -> bool:
    try:
        return "rosbag2_bagfile_information" in (folder / _METADATA).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def open_bag(path: Path) -> Generator[Bag, None, None]:
    """The bag in a folder, or in one file. Raises BagError where nothing of it can be read."""
    if not path.exists():
        raise BagError(f"no bag {path}")
    losses: list[str] = []
    expected = _expected(path, losses) if path.is_dir() else None
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="siam_tracker_bag_")))
        parts = []
        for number, file in enumerate(_files(path)):
            try:
                part, loss = _open_file(file, scratch / str(number), stack)
            except Exception as error:
                # Readers of damaged data stumble in many ways.
                losses.append(f"{file.name}: nothing can be read ({_reason(error)})")
                continue
            parts.append(part)
            losses += [loss] if loss else []
        if not parts:
            raise BagError(f"nothing of bag {path} can be read: {'; '.join(losses) or 'it has no file'}")
        bag = Bag(parts, losses)
        found = sum(bag.counts.values())
        if expected is not None and found != expected:
            losses.append(f"{found} of {expected} messages are left")
        yield bag


def _files(path: Path) -> list[Path]:
    """The files of a bag in their order, those too that were being written."""
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(filter(_has_suffix, files), key=lambda file: natural_order(file.name))


def _expected(folder: Path, losses: list[str]) -> int | None:
    """How many messages metadata.yaml tells of, None if it cannot be read; files that are not there."""
    try:
        content = yaml.safe_load((folder / _METADATA).read_text(encoding="utf-8"))
        about = content["rosbag2_bagfile_information"]
        names = [Path(name).name for name in about["relative_file_paths"]]
        count = int(about["message_count"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        losses.append(f"{_METADATA}: {getattr(error, 'strerror', None) or _reason(error)}")
        return None
    losses += [f"{name}: is not there" for name in names if not (folder / name).is_file()]
    return count


def _open_file(file: Path, scratch: Path, stack: ExitStack) -> tuple[_Part, str]:
    """One file, and what of it is lost."""
    scratch.mkdir()
    if file.suffix == _COMPRESSED:
        file = _unpacked(file, scratch)
    attempt = ExitStack()
    try:
        part = _Part(file.name, file, False, attempt)
        stack.push(attempt.pop_all())
        return part, ""
    except Exception:
        attempt.close()
    mended = scratch / f"mended{file.suffix}"
    loss = _mend_mcap(file, mended) if file.suffix == ".mcap" else _mend_sqlite(file, scratch, mended)
    return _Part(file.name, mended, True, stack), loss


def _unpacked(file: Path, scratch: Path) -> Path:
    unpacked = scratch / file.name.removesuffix(_COMPRESSED)
    # What comes of one that is cut off is mended as a file that is cut off.
    with zstd.open(file, "rb") as packed, unpacked.open("wb") as out, suppress(EOFError, zstd.ZstdError):
        shutil.copyfileobj(packed, out)
    return unpacked


def _mend_mcap(file: Path, mended: Path) -> str:
    """Copy the whole records and end the file there; what is lost."""
    size = file.stat().st_size
    with file.open("rb") as source, mended.open("wb") as out:
        if source.read(len(_MAGIC)) != _MAGIC:
            raise BagError("it is no MCAP file")
        out.write(_MAGIC)
        while len(head := source.read(_RECORD.size)) == _RECORD.size:
            opcode, length = _RECORD.unpack(head)
            if opcode in (_FOOTER, _DATA_END):
                break
            body = source.read(min(length, size))
            if len(body) == length:
                out.write(head + body)
                continue
            if opcode == _CHUNK:
                out.write(_whole_records(_chunk_records(body)))
            break
        kept = out.tell()
        out.write(_PLAIN_END)
    return f"{file.name}: cut off after {kept} readable bytes"


def _chunk_records(chunk: bytes) -> bytes:
    """The records in a chunk of which only the beginning is left, as far as they can be unpacked."""
    # Before the records: two times, the size unpacked, a checksum, the compression's name, the size packed.
    if len(chunk) < 32:
        return b""
    (name_size,) = struct.unpack_from("<I", chunk, 28)
    name, packed = chunk[32 : 32 + name_size], chunk[40 + name_size :]
    if name == b"":
        return packed
    if name == b"zstd":
        with suppress(zstd.ZstdError):
            return bytes(zstd.ZstdDecompressor().decompress(packed))
    return b""


def _whole_records(data: bytes) -> bytes:
    end = 0
    while end + _RECORD.size <= len(data):
        after = end + _RECORD.size + _RECORD.unpack_from(data, end)[1]
        if after > len(data):
            break
        end = after
    return data[:end]


def _mend_sqlite(file: Path, scratch: Path, mended: Path) -> str:
    """Copy the rows that can be read; what is lost. An unfinished transaction is undone."""
    copy = scratch / file.name
    for suffix in ("", "-journal", "-wal"):
        beside = file.with_name(file.name + suffix)
        if beside.exists() and beside != copy.with_name(copy.name + suffix):
            shutil.copyfile(beside, copy.with_name(copy.name + suffix))
    reason = ""
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(mended)) as new:
        # Without it a file that is shorter than it says is not even opened.
        old.execute("PRAGMA writable_schema = ON")
        tables = old.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        ours = [table for table in tables if not table[0].startswith("sqlite_")]
        for name, sql in ours:
            new.execute(sql)
            try:
                for row in old.execute(f'SELECT * FROM "{name}"'):
                    new.execute(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(row))})', row)
            except sqlite3.DatabaseError as error:
                reason = str(error)
        new.commit()
    return f"{file.name}: damaged ({reason or 'its recording was not finished'})"


def _plain(data: bytes) -> bytes:
    """A message that was compressed by itself, unpacked: no serialised one starts so."""
    return bytes(zstd.decompress(data)) if data.startswith(_ZSTD_MAGIC) else data


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
