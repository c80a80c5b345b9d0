"""Which kind of footage a source is, by what the user wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from siam_tracker_ros.footage.camera import open_camera, open_pipeline
from siam_tracker_ros.footage.frames import Footage, FrameRange, OnSkip, SourceError
from siam_tracker_ros.footage.image_folder import open_image_folder
from siam_tracker_ros.footage.video import is_url, open_video

DEFAULT_FOLDER_RATE = 30.0
_PIPELINE_PREFIX = "gst:"


def open_source(
    source: str,
    wanted: FrameRange,
    on_skip: OnSkip,
    folder_rate: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Footage:
    """Open `source`: a camera index or device file, a stream URL, `gst:` and a pipeline, a folder, or a file.

    `folder_rate` is the frames/s of an image folder. Raises SourceError, in one line.
    """
    path = Path(source).expanduser()
    is_folder = not source.isdecimal() and not is_url(source) and path.is_dir()
    if folder_rate is not None:
        if not is_folder:
            raise SourceError(f"a frame rate can be set for an image folder; {source} has its own")
        if not 0.01 <= folder_rate <= 1000:
            raise SourceError(f"a frame rate is 0.01 to 1000 frames/s, not {folder_rate:g}")
    if source.isdecimal():
        return open_camera(int(source), wanted, stopped)
    if source.startswith(_PIPELINE_PREFIX):
        return open_pipeline(source.removeprefix(_PIPELINE_PREFIX).strip(), wanted, stopped)
    if is_url(source):
        return open_video(source, wanted, on_skip, stopped)
    if is_folder:
        return open_image_folder(path, folder_rate or DEFAULT_FOLDER_RATE, wanted, on_skip)
    if path.is_char_device():
        return open_camera(str(path), wanted, stopped)
    if not path.exists():
        raise SourceError(f"no file or folder {source}")
    # Absolute, as FFmpeg takes what comes before a colon for a protocol.
    return open_video(str(path.absolute()), wanted, on_skip)
