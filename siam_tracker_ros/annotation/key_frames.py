"""Boxes of a target in some frames, and what follows from them for all others. No window, no files.

A key frame is drawn by hand: a box, or that the target is out of view from there to the next one. Between
two boxes the target moves on a straight line; where a tracker was run from a key frame it moves as that
found, bent so that it ends on the next one. Boxes are top-left corner and size, px.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box


class AnnotationError(SiamTrackerError, ValueError):
    """Footage that cannot be annotated, or key frames that do not fit it."""


class Origin(Enum):
    """Where a frame's box comes from."""

    KEY = "key frame"
    INTERPOLATED = "interpolated"
    TRACKED = "tracked"
    HIDDEN = "not in view"
    UNLABELLED = "not labelled"


@dataclass(frozen=True)
class KeyFrames:
    """What was drawn: `keys` by frame, None where the target goes out of view.

    `runs` are a tracker's boxes by the key frame that it started from, of the frames after it, one each.
    """

    frames: int
    keys: Mapping[int, Box | None] = field(default_factory=lambda: MappingProxyType({}))
    runs: Mapping[int, tuple[Box, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def with_key(self, frame: int, box: Box | None) -> KeyFrames:
        """A key frame more, or another one there; it ends what a tracker found before it."""
        self._check(frame)
        if box is not None and not (box.w > 0 and box.h > 0):
            raise AnnotationError(f"the box of frame {frame} has no area: {box.w:g} x {box.h:g} px")
        runs = {start: run for start, run in self.runs.items() if start != frame}
        before = self.key_before(frame)
        if before in runs:
            runs[before] = runs[before][: frame - before]
        keys = dict(sorted({**self.keys, frame: box}.items()))
        return replace(self, keys=keys, runs=_without_empty(runs))

    def without_key(self, frame: int) -> KeyFrames:
        """One key frame less, with what a tracker found from it; the same if there is none."""
        keys = {number: box for number, box in self.keys.items() if number != frame}
        runs = {start: run for start, run in self.runs.items() if start != frame}
        return replace(self, keys=keys, runs=runs)

    def with_run(self, frame: int, boxes: Sequence[Box]) -> KeyFrames:
        """What a tracker found in the frames after key frame `frame`, in place of what it found before.

        It counts to the next key frame; its box there says how far it was off by then.
        """
        if self.keys.get(frame) is None:
            raise AnnotationError(f"frame {frame} is no key frame with a box to track from")
        after = self.key_after(frame)
        end = self.frames - 1 if after is None else after
        return replace(self, runs=_without_empty({**self.runs, frame: tuple(boxes[: end - frame])}))

    def key_before(self, frame: int) -> int | None:
        """The last key frame before `frame`."""
        numbers = list(self.keys)
        at = bisect_left(numbers, frame)
        return numbers[at - 1] if at else None

    def key_after(self, frame: int) -> int | None:
        """The first key frame after `frame`."""
        numbers = list(self.keys)
        at = bisect_right(numbers, frame)
        return numbers[at] if at < len(numbers) else None

    def box(self, frame: int) -> Box | None:
        """The target in a frame; None where it is out of view, or nothing is known."""
        return self.label(frame)[0]

    def label(self, frame: int) -> tuple[Box | None, Origin]:
        """The target in a frame, and where that comes from."""
        self._check(frame)
        if frame in self.keys:
            box = self.keys[frame]
            return (box, Origin.KEY) if box is not None else (None, Origin.HIDDEN)
        before, after = self.key_before(frame), self.key_after(frame)
        if before is None:
            return None, Origin.UNLABELLED
        start = self.keys[before]
        if start is None:
            return None, Origin.HIDDEN
        run = self.runs.get(before, ())
        end = None if after is None else self.keys[after]
        if frame - before <= len(run):
            return self._bent(run, frame - before, after and after - before, end), Origin.TRACKED
        if after is None:
            return None, Origin.UNLABELLED
        # From where the tracker gave up, if there was one.
        known, box = before + len(run), run[-1] if run else start
        part = (frame - known) / (after - known)
        return (_between(box, end, part) if end is not None else box), Origin.INTERPOLATED

    def boxes(self) -> list[Box | None]:
        """The target in every frame; None where it is out of view, or nothing is known."""
        return [self.box(frame) for frame in range(self.frames)]

    def origins(self) -> list[Origin]:
        """Where the box of every frame comes from."""
        return [self.label(frame)[1] for frame in range(self.frames)]

    @staticmethod
    def _bent(run: Sequence[Box], step: int, length: int | None, end: Box | None) -> Box:
        """A run's box, moved by its part of what the run is off at the key frame `length` steps on."""
        found = run[step - 1]
        if length is None or end is None or len(run) < length:
            return found
        part = step / length
        moved = [
            value + part * (to - last) for value, to, last in zip(found, end, run[length - 1], strict=True)
        ]
        return Box(moved[0], moved[1], max(moved[2], 1.0), max(moved[3], 1.0))

    def _check(self, frame: int) -> None:
        if not 0 <= frame < self.frames:
            raise AnnotationError(f"no frame {frame}: there are {self.frames}, numbered from 0")


def _between(a: Box, b: Box, part: float) -> Box:
    return Box(*((1 - part) * one + part * other for one, other in zip(a, b, strict=True)))


def _without_empty(runs: Mapping[int, tuple[Box, ...]]) -> dict[int, tuple[Box, ...]]:
    return {start: run for start, run in runs.items() if run}


class History:
    """Key frames as they are, and as they were before each change."""

    def __init__(self, start: KeyFrames) -> None:
        self._states = [start]
        self._at = 0

    @property
    def now(self) -> KeyFrames:
        return self._states[self._at]

    def change(self, to: KeyFrames) -> bool:
        """Take over a change, unless it is none; whether it was one. What was undone is forgotten."""
        if to == self.now:
            return False
        self._states[self._at + 1 :] = [to]
        self._at += 1
        return True

    def undo(self) -> bool:
        """Go back by a change; whether there was one."""
        possible = self._at > 0
        self._at -= possible
        return possible

    def redo(self) -> bool:
        """Take the last undo back; whether there was one."""
        possible = self._at + 1 < len(self._states)
        self._at += possible
        return possible
