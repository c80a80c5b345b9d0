"""The targets that are tracked, by name, and what is reported of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import TrackResult, TrackState
from siam_tracker_ros.tracking.target import Target

_SEEN = (TrackState.ACQUIRING, TrackState.TRACKING, TrackState.UNCERTAIN)


@dataclass(frozen=True)
class TargetReport:
    """One target in one image: `generation` counts its initialisations, `since_update_ns` is image time."""

    id: str
    generation: int
    result: TrackResult
    since_update_ns: int


@dataclass
class LiveTarget:
    """A target between images.

    While `catch_up_left` is not None it was started on a past image, is tracked through the kept ones in at
    most that many steps, and is not reported.
    """

    id: str
    generation: int
    target: Target
    stamp_ns: int
    frame_size: tuple[int, int]
    last: TrackResult
    seen_ns: int
    catch_up_left: int | None = None

    @classmethod
    def started(
        cls, id: str, generation: int, target: Target, box: Box, stamp_ns: int, frame_size: tuple[int, int]
    ) -> LiveTarget:
        """A target in the image it was initialised on, where its box is certain."""
        x, y, w, h = box
        # Box centres are half a pixel from the middle of their pixels: a box starts at its pixel's centre.
        last = TrackResult(Box(x - 0.5, y - 0.5, w, h), 1.0, 1.0, TrackState.ACQUIRING, (0.0, 0.0))
        return cls(id, generation, target, stamp_ns, frame_size, last, stamp_ns)

    def advance(self, result: TrackResult, stamp_ns: int) -> None:
        """Take what was found in the image of `stamp_ns`."""
        self.last, self.stamp_ns = result, stamp_ns
        if result.state in _SEEN:
            self.seen_ns = stamp_ns

    def report(self) -> TargetReport:
        """What is known as of its last image."""
        return TargetReport(self.id, self.generation, self.last, max(0, self.stamp_ns - self.seen_ns))

    def farewell(self) -> TargetReport:
        """The last report of a target that is dropped: LOST, with no confidence and no motion."""
        gone = replace(
            self.last,
            state=TrackState.LOST,
            confidence=0.0,
            score=0.0,
            velocity=(0.0, 0.0),
            mask=None,
            rotated_box=None,
        )
        return replace(self.report(), result=gone)


class LiveTargets:
    """Targets in the order they were initialised. Generations go on counting when a target is gone."""

    def __init__(self) -> None:
        self._live: dict[str, LiveTarget] = {}
        self._generations: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, id: str) -> bool:
        return id in self._live

    @property
    def ids(self) -> list[str]:
        """Names of all targets."""
        return list(self._live)

    @property
    def present(self) -> list[LiveTarget]:
        """Targets that are in the present image."""
        return [live for live in self._live.values() if live.catch_up_left is None]

    @property
    def behind(self) -> list[LiveTarget]:
        """Targets that are still tracked through past images."""
        return [live for live in self._live.values() if live.catch_up_left is not None]

    def free_id(self) -> str:
        """A name no live target has: the smallest number."""
        return next(str(number) for number in range(len(self._live) + 1) if str(number) not in self._live)

    def next_generation(self, id: str) -> int:
        """Generation of the next initialisation under this name, from 1 on."""
        self._generations[id] = self._generations.get(id, 0) + 1
        return self._generations[id]

    def put(self, live: LiveTarget) -> None:
        """Add a target; one of the same name is replaced, and becomes the last initialised."""
        self._live.pop(live.id, None)
        self._live[live.id] = live

    def drop(self, ids: list[str]) -> list[TargetReport]:
        """Take targets out; their last reports."""
        return [self._live.pop(id).farewell() for id in ids]
