"""What a dataset reader yields: a frame on disk and the targets annotated in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box


class DatasetError(SiamTrackerError, ValueError):
    """A dataset folder or annotation file that is not in the layout its reader expects."""


@dataclass(frozen=True)
class TargetLabel:
    """One target in one frame.

    `track` names the target within its dataset: the same name in another frame is the same target. The
    mask, where there is one, is a file (non-zero where the target is) or polygons x1, y1, x2, y2, ... px.
    """

    track: str
    box: Box
    mask_file: Path | None = None
    polygons: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class AnnotatedFrame:
    """An image file and its targets. `group` is held out as one: a sequence, or the still itself."""

    image: Path
    group: str
    is_still: bool
    targets: tuple[TargetLabel, ...]
