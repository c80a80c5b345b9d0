"""The pixel to aim at: the centroid of the target's mask where it is good, else the centre of its box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.errors import NotFiniteError, require_positive


@dataclass(frozen=True)
class MaskTrust:
    """When a mask is good: how many px it has, what share of the box, how near its centroid is to the centre.

    `max_offset` is in units of the box's width and height. A mask that covers more than `max_fill` of the box
    has flooded it and its surroundings; one below `min_fill` is a crumb.
    """

    min_area_px: float = 50.0
    min_fill: float = 0.15
    max_fill: float = 1.3
    max_offset: float = 0.35

    def __post_init__(self) -> None:
        require_positive(
            min_area_px=self.min_area_px,
            min_fill=self.min_fill,
            max_fill=self.max_fill,
            max_offset=self.max_offset,
        )


class MaskSummary(NamedTuple):
    """A mask by its area (px^2) and centroid (u, v) in px of the image."""

    area: float
    u: float
    v: float


class AimPoint(NamedTuple):
    """Pixel (u, v) to aim at, px of the image, and whether the mask gave it."""

    u: float
    v: float
    from_mask: bool


def summarise_mask(crop: NDArray[Any], x: int, y: int) -> MaskSummary | None:
    """Area (px^2) and centroid (px of the image) of a mask, 0 outside of the target.

    `crop` is [h, w], its top-left pixel lies at (x, y) of the image. None if no pixel is set.
    """
    rows, columns = np.nonzero(crop)
    if not len(rows):
        return None
    return MaskSummary(float(len(rows)), x + float(columns.mean()), y + float(rows.mean()))


def aim_point(
    center: tuple[float, float],
    size: tuple[float, float],
    mask: MaskSummary | None = None,
    trust: MaskTrust | None = None,
) -> AimPoint:
    """The pixel to aim at, for a box of this centre (u, v) and size (width, height), px of the image.

    Raises NotFiniteError for a box that is not finite or has no area.
    """
    if not all(map(math.isfinite, (*center, *size))) or min(size) <= 0:
        raise NotFiniteError(f"a box needs a finite centre and a size above 0 px, not {center} and {size}")
    good = trust or MaskTrust()
    if (
        mask is not None
        and mask.area >= good.min_area_px
        and good.min_fill <= mask.area / (size[0] * size[1]) <= good.max_fill
        and abs(mask.u - center[0]) <= good.max_offset * size[0]
        and abs(mask.v - center[1]) <= good.max_offset * size[1]
    ):
        return AimPoint(mask.u, mask.v, True)
    return AimPoint(center[0], center[1], False)
