"""Between boxes and the regions that are refined (SiamAttn, Yu et al., CVPR 2020, section 3.3).

A region is (x1, y1, x2, y2), px of the search region from its top-left corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.decode import Selection

Region = tuple[float, float, float, float]


def proposal_region(selection: Selection, search_size: int) -> Region:
    """The region of a selected box, from the centre of its first px to that of its last."""
    cx, cy = selection.dx + search_size / 2, selection.dy + search_size / 2
    reach_x, reach_y = (selection.w - 1) / 2, (selection.h - 1) / 2
    return cx - reach_x, cy - reach_y, cx + reach_x, cy + reach_y


def refined(selection: Selection, deltas: Sequence[float]) -> Selection:
    """`selection` with its box moved by parts of its size, and resized by factors given as logarithms."""
    dx, dy, dw, dh = deltas
    return selection._replace(
        dx=selection.dx + dx * selection.w,
        dy=selection.dy + dy * selection.h,
        w=selection.w * _grown(dw),
        h=selection.h * _grown(dh),
    )


def _grown(logarithm: float) -> float:
    # Beyond this a float overflows: such a box is infinite, and is not followed.
    return math.exp(logarithm) if logarithm < 700 else math.inf


def box_of_selection(selection: Selection, crop: CenterBox, search_size: int, scale: float) -> CenterBox:
    """A box selected in the crop that covers `crop`, in px of the frame; `scale` is search px per frame px.

    `crop` has whole px for sides, so that its corner, not its centre, is where the search region begins.
    """
    return CenterBox(
        crop.cx - crop.w / 2 + (search_size / 2 + selection.dx) / scale,
        crop.cy - crop.h / 2 + (search_size / 2 + selection.dy) / scale,
        selection.w / scale,
        selection.h / scale,
    )


def region_of_box(box: CenterBox, crop: CenterBox, scale: float) -> Region:
    """The region of a box of the frame in the crop that covers `crop`."""
    cx = (box.cx - crop.cx + crop.w / 2) * scale
    cy = (box.cy - crop.cy + crop.h / 2) * scale
    reach_x, reach_y = box.w * scale / 2, box.h * scale / 2
    return cx - reach_x, cy - reach_y, cx + reach_x, cy + reach_y
