"""Messages of a bag, by topic."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection

from siam_tracker_ros.errors import SiamTrackerError

_NS = 1_000_000_000


class BagError(SiamTrackerError):
    """A bag that cannot be read, or lacks what is to be measured."""


@contextmanager
def bag_reader(bag: Path) -> Generator[AnyReader, None, None]:
    """The bag opened. Raises BagError."""
    try:
        with AnyReader([bag]) as reader:
            yield reader
    except (AnyReaderError, OSError) as error:
        raise BagError(f"bag {bag} cannot be read: {' '.join(str(error).split())}") from None


def topic_connections(reader: AnyReader, topic: str) -> list[Connection]:
    """Those of the topic of this name, in whatever namespace."""
    return [one for one in reader.connections if f"/{one.topic}".endswith(f"/{topic}")]


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in ns."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)
