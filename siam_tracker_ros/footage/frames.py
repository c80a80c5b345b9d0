"""Footage as the rest sees it: numbered, timed frames, wherever they come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError

Image = NDArray[np.uint8]
# Told of every frame that is passed over because it cannot be read, in words.
OnSkip = Callable[[str], None]


class SourceError(SiamTrackerError):
    """Footage that cannot be opened, or read on from where it is."""


@dataclass(frozen=True)
class Frame:
    """One image [H, W, 3] BGR.

    `number` counts the frames of the source from 0, unreadable ones included; `time` is in s from the start
    of the source (of a live one: from when it was opened) and grows from frame to frame.
    """

    number: int
    image: Image
    time: float


@dataclass(frozen=True)
class FrameRange:
    """Frames `start` to `stop`, without `stop` (None: to the end), every `stride`-th."""

    start: int = 0
    stop: int | None = None
    stride: int = 1

    def wants(self, number: int) -> bool:
        return number >= self.start and (number - self.start) % self.stride == 0 and not self.ends(number)

    def ends(self, number: int) -> bool:
        """Whether no frame from `number` on is wanted."""
        return self.stop is not None and number >= self.stop

    def count(self, total: int | None) -> int | None:
        """How many frames are wanted of a source that has `total`; None where that is not known."""
        return None if total is None else len(range(total)[self.start : self.stop : self.stride])


@dataclass(frozen=True)
class Footage:
    """A source that is open: close `frames` to let go of it.

    `name` is short and fit for a file name; `rate` is frames/s of the source, a guess where it does not say;
    `count` is how many frames to expect, None where the source has no known end; a `live` source does not
    wait for who reads it.
    """

    name: str
    frames: Generator[Frame, None, None]
    rate: float
    count: int | None
    live: bool = False


def parse_frame_range(text: str | None, stride: int = 1) -> FrameRange:
    """Range written as `A:B`, `A:` or `:B`: from frame A up to, not including, frame B, counted from 0."""
    if stride < 1:
        raise SourceError(f"a stride is a whole number from 1 up, not {stride}")
    if text is None:
        return FrameRange(stride=stride)
    match = re.fullmatch(r"(\d*):(\d*)", text.strip())
    if match is None:
        raise SourceError(
            f"frames are given as A:B, the first frame and the one after the last, counted from 0 "
            f"(76:137, :100, 50:), not '{text}'"
        )
    start = int(match[1] or 0)
    stop = int(match[2]) if match[2] else None
    if stop is not None and stop <= start:
        raise SourceError(f"frames {text} are none: the end is not after the first")
    return FrameRange(start, stop, stride)
