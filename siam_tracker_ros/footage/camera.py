"""A camera on this machine, or a GStreamer pipeline, as live footage."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from typing import Any

import cv2
import numpy as np

from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange, SourceError
from siam_tracker_ros.footage.newest import newest

_FALLBACK_RATE = 30.0
_SILENT = 0


def open_camera(
    camera: int | str, wanted: FrameRange, stopped: Callable[[], bool] = lambda: False
) -> Footage:
    """Camera by index, or by device file (`/dev/video0`). Raises SourceError where it does not open."""
    shown = f"camera {camera}"
    capture = _open(camera, cv2.CAP_ANY)
    if not capture.isOpened():
        raise SourceError(
            f"{shown} does not open: none there, in use by another program, or no permission "
            f"(on Linux `ls /dev/video*` lists cameras, and the group `video` may use them)"
        )
    name = re.sub(r"\W+", "_", f"camera{camera}")
    return _live(name, shown, capture, wanted, stopped)


def open_pipeline(pipeline: str, wanted: FrameRange, stopped: Callable[[], bool] = lambda: False) -> Footage:
    """GStreamer pipeline that ends in an appsink of BGR images.

    Raises SourceError where it does not start, or this OpenCV was built without GStreamer.
    """
    if not re.search(r"^\s*GStreamer:\s+YES", cv2.getBuildInformation(), re.MULTILINE):
        raise SourceError(
            "this OpenCV was built without GStreamer, so gst: sources do not open; the system's OpenCV "
            "(Debian: python3-opencv, NVIDIA JetPack's) has it, and rtsp:// and http:// need no GStreamer"
        )
    capture = _open(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise SourceError(
            f"GStreamer pipeline does not start: '{pipeline}' "
            "(it must end in: videoconvert ! video/x-raw,format=BGR ! appsink)"
        )
    return _live("pipeline", "GStreamer pipeline", capture, wanted, stopped, may_end=True)


def _open(source: int | str, backend: int) -> cv2.VideoCapture:
    # OpenCV prints a warning for every backend it tries; what matters is said once, by who called.
    # Where the level is set depends on OpenCV's version.
    log: Any = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(_SILENT)
    try:
        return cv2.VideoCapture(source, backend)
    finally:
        log.setLogLevel(level)


def _live(
    name: str,
    shown: str,
    capture: cv2.VideoCapture,
    wanted: FrameRange,
    stopped: Callable[[], bool],
    may_end: bool = False,
) -> Footage:
    rate = capture.get(cv2.CAP_PROP_FPS)
    if not 1.0 <= rate <= 1000.0:
        rate = _FALLBACK_RATE
    frames = _read(shown, capture, wanted, may_end)
    return Footage(name, newest(frames, stopped), rate, None, live=True)


def _read(
    shown: str, capture: cv2.VideoCapture, wanted: FrameRange, may_end: bool
) -> Generator[Frame, None, None]:
    opened = time.monotonic()
    number = 0
    try:
        while not wanted.ends(number):
            good, image = capture.read()
            if not good:
                if may_end and number:
                    return
                raise SourceError(f"{shown} gave no more frames after {number}")
            if wanted.wants(number):
                yield Frame(number, np.asarray(image, dtype=np.uint8), time.monotonic() - opened)
            number += 1
    finally:
        capture.release()
