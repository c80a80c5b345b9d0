"""Video files and network streams as footage, decoded by FFmpeg."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange, Image, OnSkip, SourceError
from siam_tracker_ros.footage.newest import newest

# To open a stream, and to wait for its next packet, s.
_TIMEOUT_S = 10.0
_FALLBACK_RATE = 30.0
# FFmpeg opens text as "video" of a text terminal.
_NOT_FOOTAGE = frozenset({"ansi", "bintext", "xbin", "idf"})
_ALWAYS_LIVE = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "tcp", "mms"})


def is_url(source: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def without_password(url: str) -> str:
    """`url` fit to be shown: user name and password struck out."""
    return re.sub(r"(://)[^/@]*@", r"\1***@", url)


def open_video(
    location: str, wanted: FrameRange, on_skip: OnSkip, stopped: Callable[[], bool] = lambda: False
) -> Footage:
    """The first video track of a file or stream URL, upright, as its player would show it.

    A stream that does not wait for its reader is read in a thread, which ends when `stopped()` is true; then
    only its newest frame is kept. Damaged packets are reported to `on_skip` and left out. Raises SourceError
    where it does not open or has no video.
    """
    shown = without_password(location)
    scheme = location.partition("://")[0].lower() if is_url(location) else ""
    options = {"rtsp_transport": "tcp"} if scheme in {"rtsp", "rtsps"} else {}
    try:
        container = av.open(location, timeout=_TIMEOUT_S if scheme else None, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"cannot open {shown} as video: {_reason(error)}") from error
    stream = _video_stream(container)
    if stream is None:
        container.close()
        raise SourceError(f"{shown} has no video track: give a video file or a folder of images")
    seconds = container.duration / av.time_base if container.duration else None
    live = scheme in _ALWAYS_LIVE or (bool(scheme) and scheme != "file" and seconds is None)
    # Decoding several frames at once holds a live picture back by as many.
    stream.thread_type = "SLICE" if live else "AUTO"
    rate = float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
    total = None
    if not live:
        total = stream.frames or (round(seconds * rate) if seconds else None)
    name = re.sub(r"[^\w.-]+", "_", Path(shown.split("?")[0]).stem) or "stream"
    pictures = _decode(container, stream, shown, on_skip)
    frames = _number(pictures, rate, wanted, live, shown)
    if live:
        frames = newest(frames, stopped)
    return Footage(name, frames, rate, wanted.count(total), live)


def _video_stream(container: InputContainer) -> VideoStream | None:
    for stream in container.streams.video:
        if stream.codec_context is None or stream.codec_context.name in _NOT_FOOTAGE:
            continue
        return stream
    return None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _decode(
    container: InputContainer, stream: VideoStream, shown: str, on_skip: OnSkip
) -> Generator[av.VideoFrame, None, None]:
    with container:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                raise SourceError(f"{shown} broke off: {_reason(error)}") from error
            try:
                pictures = packet.decode()
            except av.error.FFmpegError as error:
                on_skip(f"{shown}: damaged video data left out ({_reason(error)})")
                continue
            yield from pictures


def _number(
    pictures: Iterator[av.VideoFrame], rate: float, wanted: FrameRange, live: bool, shown: str
) -> Generator[Frame, None, None]:
    origin: float | None = None
    time = -1.0 / rate
    number = -1
    for number, picture in enumerate(pictures):
        if wanted.ends(number):
            return
        step = 1.0 / rate
        if picture.time is not None:
            origin = picture.time if origin is None else origin
            # Joined recordings and restarted streams have clocks that jump back: count on from there.
            step = picture.time - origin - time
            if step <= 0:
                step = 1.0 / rate
                origin = picture.time - time - step
        time += step
        if wanted.wants(number):
            yield Frame(number, _upright(picture), time)
    if not live and number < wanted.start:
        raise SourceError(
            f"no frame from {wanted.start} on: {shown} has {number + 1} frames, numbered from 0"
        )


def _upright(picture: av.VideoFrame) -> Image:
    image = np.asarray(picture.to_ndarray(format="bgr24"), dtype=np.uint8)
    # A phone writes how it was held beside the picture, anticlockwise in degrees.
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
