"""Which kind of footage a source is, by what the user wrote."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path

from siam_tracker_ros.footage.bag import is_bag
from siam_tracker_ros.footage.bag_images import open_bag_images
from siam_tracker_ros.footage.camera import open_camera, open_pipeline
from siam_tracker_ros.footage.frames import Footage, FrameRange, OnSkip, SourceError
from siam_tracker_ros.footage.image_folder import natural_order, open_image_folder, open_images
from siam_tracker_ros.footage.video import is_url, open_video

DEFAULT_FOLDER_RATE = 30.0
_PIPELINE_PREFIX = "gst:"
# Between a bag and the topic of its images.
_TOPIC_MARK = "::"


def is_camera_or_stream(source: str) -> bool:
    """Whether `source` names something that may come and go: a camera, a pipeline, a stream's URL."""
    return source.isdecimal() or is_url(source) or source.startswith((_PIPELINE_PREFIX, "/dev/"))


def is_images(source: str) -> bool:
    """Whether `source` names images: a folder, or a pattern such as `shots/*.png`."""
    if is_camera_or_stream(source):
        return False
    path = Path(source).expanduser()
    if bag_and_topic(source) is not None:
        return False
    return path.is_dir() or (not path.exists() and glob.has_magic(source))


def bag_and_topic(source: str) -> tuple[Path, str | None] | None:
    """The bag and the topic that `source` names: `flight`, or `flight::/camera/image_raw`; None if no bag."""
    if is_camera_or_stream(source):
        return None
    path = Path(source).expanduser()
    if is_bag(path):
        return path, None
    before, mark, topic = source.rpartition(_TOPIC_MARK)
    named = Path(before).expanduser()
    return (named, topic or None) if mark and not path.exists() and is_bag(named) else None


def open_source(
    source: str,
    wanted: FrameRange,
    on_skip: OnSkip,
    folder_rate: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Footage:
    """Open `source`: camera index or device file, a stream URL, `gst:` and a pipeline, images, bag or video.

    Images are a folder of them, a labelled sequence's folder (`img/` and groundtruth.txt in it), or a pattern
    (`shots/*.png`). `folder_rate` is their frames/s. A bag is its folder or one of its files; the topic is
    named as in `flight::/camera/image_raw` where there are several. Raises SourceError, in one line.
    """
    path = Path(source).expanduser()
    if folder_rate is not None:
        if not is_images(source):
            raise SourceError(f"a frame rate can be set for an image folder; {source} has its own")
        if not 0.01 <= folder_rate <= 1000:
            raise SourceError(f"a frame rate is 0.01 to 1000 frames/s, not {folder_rate:g}")
    if source.isdecimal():
        return open_camera(int(source), wanted, stopped)
    if source.startswith(_PIPELINE_PREFIX):
        return open_pipeline(source.removeprefix(_PIPELINE_PREFIX).strip(), wanted, stopped)
    if is_url(source):
        return open_video(source, wanted, on_skip, stopped)
    bag = bag_and_topic(source)
    if bag is not None:
        return open_bag_images(*bag, wanted, on_skip)
    if is_images(source):
        return _open_images(path, folder_rate or DEFAULT_FOLDER_RATE, wanted, on_skip)
    if path.is_char_device():
        return open_camera(str(path), wanted, stopped)
    if not path.exists():
        raise SourceError(f"no file or folder {source}")
    # Absolute, as FFmpeg takes what comes before a colon for a protocol.
    return open_video(str(path.absolute()), wanted, on_skip)


def _open_images(path: Path, rate: float, wanted: FrameRange, on_skip: OnSkip) -> Footage:
    if path.is_dir():
        labelled = (path / "groundtruth.txt").is_file() and (path / "img").is_dir()
        return open_image_folder(path / "img" if labelled else path, rate, wanted, on_skip)
    root = Path(path.anchor or ".")
    files = (file for file in root.glob(str(path.relative_to(root))) if file.is_file())
    paths = sorted(files, key=lambda file: natural_order(str(file)))
    if not paths:
        raise SourceError(f"no file has a name like {path}")
    return open_images(re.sub(r"\W+", "_", path.name).strip("_"), paths, rate, wanted, on_skip)
