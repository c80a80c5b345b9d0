"""What a dataset reader yields: a frame and the targets annotated in it, or what cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box


class DatasetError(SiamTrackerError, ValueError):
    """A dataset folder or annotation file that is not in the layout its reader expects."""


@dataclass(frozen=True, eq=False)
class TargetLabel:
    """One target in one frame.

    `track` names the target within its group: the same name in another frame of the group is the same
    target. The mask, where there is one, is a file (non-zero where the target is), polygons x1, y1, x2, y2,
    ... px, or `mask`, [H, W] bool of the frame.
    """

    track: str
    box: Box
    mask_file: Path | None = None
    polygons: tuple[tuple[float, ...], ...] = ()
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A frame and its targets. `group` is held out as one: a sequence, or the still itself.

    `image` is its file; where `pixels` [H, W, 3] BGR are given, it is their name alone.
    """

    image: Path
    group: str
    is_still: bool
    targets: tuple[TargetLabel, ...]
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class BrokenItem:
    """A part of a dataset that cannot be used, and why; the reader goes on with the next."""

    name: str
    reason: str


Item = AnnotatedFrame | BrokenItem
