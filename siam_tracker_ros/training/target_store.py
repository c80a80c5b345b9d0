"""What every store of training targets offers, whatever it keeps them in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box


class StoreError(SiamTrackerError, ValueError):
    """A store that is missing, incomplete, empty, damaged, or made from something else."""


@dataclass(frozen=True)
class StoreSummary:
    """What went into a store, and what did not: {item: reason}."""

    frames: int
    targets: int
    masks: int
    tracks: int
    skipped: dict[str, str]


@dataclass(frozen=True)
class Tracks:
    """The tracks of a store, by number: names, groups they are held out with, and whether of a still."""

    names: list[str]
    groups: list[str]
    is_still: NDArray[np.bool_]


class TargetStore(ABC):
    """A store opened for reading. Targets are numbered; tracks are numbered; both in the order stored."""

    def __init__(
        self,
        tracks: Tracks,
        track_of: NDArray[np.int64],
        boxes: NDArray[np.float32],
        mask_places: NDArray[np.int64],
    ) -> None:
        """For each target: its track, its box [4], and x, y, w, h of its mask's extent (w = 0: no mask)."""
        self.track_names = tracks.names
        self.track_groups = tracks.groups
        self.track_is_still = tracks.is_still
        self._track_of = track_of
        self._boxes = boxes
        self._mask_places = mask_places
        order = np.argsort(track_of, kind="stable")
        ends = np.cumsum(np.bincount(track_of, minlength=len(tracks.names)))
        self._track_targets = np.split(order, ends[:-1])

    @abstractmethod
    def frame(self, target: int) -> NDArray[np.uint8]:
        """What is stored around a target, [H, W, 3] BGR, read-only. Raises StoreError naming the target."""

    @abstractmethod
    def frame_mean(self, target: int) -> tuple[float, float, float]:
        """Channel means of the frame a target is in."""

    @abstractmethod
    def mask(self, target: int) -> tuple[NDArray[np.uint8], int, int]:
        """Mask of a target, 0/255, cut to its extent, and the column and row of its corner in `frame`."""

    def targets_of(self, track: int) -> NDArray[np.int64]:
        """Targets of a track in the order of its frames."""
        return self._track_targets[track]

    def box(self, target: int) -> Box:
        """Box of a target in px of `frame`."""
        return Box(*self._boxes[target].tolist())

    def track_of(self, target: int) -> int:
        """The track a target belongs to."""
        return int(self._track_of[target])

    def has_mask(self, target: int) -> bool:
        """Whether a target has a mask."""
        return bool(self._mask_places[target, 2] > 0)

    def name(self, target: int) -> str:
        """Track and number of a target, for messages."""
        return f"{self.track_names[self.track_of(target)]}@{target}"

    def __len__(self) -> int:
        return len(self._track_of)
