"""Video that players and browsers show: H.264, yuv420p, timed as the source was."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.footage.whole_file import OutputError, Unfinished, told_of

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_ENCODERS = ("libx264", "libopenh264")
# Fine enough for every common frame rate to come out exact.
_TICKS_PER_S = 90_000
_BT709 = 1
_LIMITED_RANGE = 1


def check_video_name(path: Path) -> None:
    """Raise OutputError where no video of ours goes by such a name, or this FFmpeg has no H.264 encoder."""
    if path.suffix.lower() not in CONTAINERS:
        raise OutputError(f"{path}: H.264 video is written as {', '.join(CONTAINERS)}, not '{path.suffix}'")
    _encoder()


def _encoder() -> str:
    for name in _ENCODERS:
        if name in av.codecs_available:
            return name
    raise OutputError(
        f"cannot write video: this PyAV has no H.264 encoder ({' or '.join(_ENCODERS)}); "
        "the wheels of PyPI's `av` have one"
    )


@contextmanager
def _told_of(path: Path) -> Generator[None, None, None]:
    # Some of FFmpeg's errors are the system's, others (no such option, invalid data) are not.
    with told_of(path):
        try:
            yield
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise OutputError(f"cannot write {path}: {error.strerror}") from error


class VideoWriter:
    """Writes images [H, W, 3] BGR of one size to `path`; odd sizes gain a line, as H.264 wants even ones.

    `rate` is the nominal frames/s; each frame is shown at its own time. Errors are OutputError.
    """

    def __init__(self, path: Path, rate: float) -> None:
        check_video_name(path)
        self.output = Unfinished(path)
        self._rate = Fraction(rate).limit_denominator(1001)
        self._open: tuple[OutputContainer, VideoStream] | None = None
        self._size = (0, 0)
        self._last_tick = -1

    def write(self, image: Image, time: float) -> None:
        """Add an image that is to be shown `time` s after the first, and after the one before."""
        height, width = image.shape[:2]
        with _told_of(self.output.path):
            if self._open is None:
                self._open = self._begin(width, height)
                self._size = (width, height)
            if (width, height) != self._size:
                raise OutputError(
                    f"{self.output.path}: a video has one frame size, {self._size[0]}x{self._size[1]}; "
                    f"this frame is {width}x{height}"
                )
            if width % 2 or height % 2:
                padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
                image = np.asarray(padded, dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            self._last_tick = max(round(time * _TICKS_PER_S), self._last_tick + 1)
            picture.pts, picture.time_base = self._last_tick, Fraction(1, _TICKS_PER_S)
            container, stream = self._open
            container.mux(stream.encode(picture))

    def _begin(self, width: int, height: int) -> tuple[OutputContainer, VideoStream]:
        kind = CONTAINERS[self.output.path.suffix.lower()]
        # The index goes first, so that a browser starts before it has the whole file.
        options = {} if kind == "matroska" else {"movflags": "+faststart"}
        encoder = _encoder()
        settings = {"preset": "veryfast", "crf": "20"} if encoder == "libx264" else {"rc_mode": "quality"}
        # Absolute, as FFmpeg takes what comes before a colon for a protocol.
        container = av.open(str(self.output.begin().absolute()), "w", format=kind, options=options)
        stream = cast(VideoStream, container.add_stream(encoder, rate=self._rate, options=settings))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS_PER_S)
        context.color_range = _LIMITED_RANGE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        return container, stream

    def close(self) -> None:
        """Write what is left; `output` is then whole."""
        if self._open is None:
            return
        (container, stream), self._open = self._open, None
        with _told_of(self.output.path):
            try:
                container.mux(stream.encode(None))
            finally:
                container.close()
