"""The search region at several scales (SiamFC, Bertinetto et al., ECCVW 2016, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siam_tracker_ros.models.config import CropRule
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.crop import Window, centred_window, whole_side


@dataclass(frozen=True)
class SearchSide:
    """Side of a target's search region at the middle scale, px of the frame, and its bounds."""

    px: float
    low: float
    high: float

    def towards(self, px: float, share: float) -> SearchSide:
        """The side moved by `share` of the way to `px`."""
        moved = (1.0 - share) * self.px + share * px
        return SearchSide(max(self.low, min(self.high, moved)), self.low, self.high)


@dataclass(frozen=True)
class NestedWindows:
    """One window of the frame that is resized to `side` px, and the windows of that image, one a scale."""

    outer: Window
    side: int
    inner: tuple[Window, ...]


def scaled_windows(
    target: CenterBox, side: float, factors: Sequence[float], rule: CropRule
) -> tuple[Window, ...]:
    """A window of the frame for every scale."""
    return tuple(centred_window(target, side * factor, rule) for factor in factors)


def nested_windows(
    target: CenterBox, side: float, factors: Sequence[float], size: int, rule: CropRule
) -> NestedWindows:
    """The same as one window and its parts; the smallest scale comes out with `size` px, unresized."""
    sides = [whole_side(side * factor, rule) for factor in factors]
    enlarged = size / sides[0]
    whole = [whole_side(enlarged * side, rule) for side in sides]
    # The centre of an image whose first px is number 1, as MATLAB counts.
    middle = (1 + whole[-1]) / 2
    centre = CenterBox(middle, middle, whole[-1], whole[-1])
    return NestedWindows(
        centred_window(target, side * factors[-1], rule),
        whole[-1],
        tuple(centred_window(centre, part, rule) for part in whole),
    )
