"""Recorded images as a video, each at the time of its stamp."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.footage.video_writer import VideoWriter


def write_video(path: Path, images: Iterable[tuple[int, Image]], rate: float) -> None:
    """Write (stamp in ns, image) in order; no file without any. `rate` is the nominal frames/s.

    Raises OutputError.
    """
    writer = VideoWriter(path, rate)
    first_ns: int | None = None
    try:
        for stamp_ns, image in images:
            first_ns = stamp_ns if first_ns is None else first_ns
            writer.write(image, (stamp_ns - first_ns) / 1e9)
        writer.close()
        writer.output.publish()
    finally:
        writer.output.discard()
