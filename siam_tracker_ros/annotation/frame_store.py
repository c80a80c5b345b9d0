"""Footage to go back and forth in."""

from __future__ import annotations

import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from siam_tracker_ros.annotation.key_frames import AnnotationError
from siam_tracker_ros.footage.frames import FrameRange, Image, OnSkip, SourceError
from siam_tracker_ros.footage.source import is_camera_or_stream, is_images, open_source
from siam_tracker_ros.footage.whole_file import OutputError

_JPEG_QUALITY = 95


class FrameStore:
    """The frames of a source by number, from 0. Close it.

    A folder of images is read where it is. Of video and bags, which go one way, the frames are kept as JPEG
    of high quality in a folder of the system's for temporary files. `on_frame` is told of each, and of how
    many to expect.
    """

    def __init__(self, source: str, on_skip: OnSkip, on_frame: Callable[[int | None], None]) -> None:
        if is_camera_or_stream(source):
            raise AnnotationError(
                f"{source} has no end, so it cannot be annotated: record it first, as a video or a bag"
            )
        self._source = source
        self._folder: Path | None = None
        footage = open_source(source, FrameRange(), on_skip)
        self.name, self.rate = footage.name, footage.rate
        with closing(footage.frames):
            if is_images(source):
                self.count = footage.count or 0
                self._numbers = list(range(self.count))
                return
            self._folder = Path(tempfile.mkdtemp(prefix="siam_tracker_annotate_"))
            self._numbers = []
            try:
                for frame in footage.frames:
                    self._keep(frame.number, frame.image)
                    on_frame(footage.count)
            except SourceError as error:
                if not self._numbers:
                    self.close()
                    raise
                # What came before it broke off can be annotated.
                on_skip(str(error))
            except BaseException:
                self.close()
                raise
        if not self._numbers:
            self.close()
            raise AnnotationError(f"{source} gave no frame")
        self.count = self._numbers[-1] + 1

    def _keep(self, number: int, image: Image) -> None:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        path = self._file(number)
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(
                f"cannot keep frames in {path.parent}: {error.strerror} (TMPDIR names another place)"
            ) from error
        self._numbers.append(number)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:07d}.jpg"

    def read(self, number: int) -> Image | None:
        """The frame [H, W, 3] BGR; None where it cannot be read."""
        if self._folder is None:
            with closing(open_source(self._source, FrameRange(number, number + 1), _ignore).frames) as frames:
                frame = next(frames, None)
            return None if frame is None else frame.image
        at = bisect_right(self._numbers, number)
        if not at or self._numbers[at - 1] != number:
            return None
        return np.asarray(cv2.imread(str(self._file(number)), cv2.IMREAD_COLOR), np.uint8)

    def close(self) -> None:
        """Remove what was kept."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _ignore(what: str) -> None:
    """That a frame cannot be read is told where it is shown."""
