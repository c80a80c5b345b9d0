"""What region refinement is asked for (SiamAttn, Yu et al., CVPR 2020, section 3.4).

A proposal is the true box, moved and resized by chance: what the RPN would have found, near enough to be
refined.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from siam_tracker_ros.models.config import RegionConfig

# Proposals of a sample, and how far they stray: parts of the box's size, logarithms of its change. Most of
# them overlap the true box by half and more.
_PROPOSALS = 4
_SHIFT = 0.15
_GROWTH = 0.2
NO_MASK = -1
"""Value of mask px that are not known."""


def region_targets(
    box: NDArray[np.float32],
    mask: NDArray[np.uint8] | None,
    search_size: int,
    config: RegionConfig,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """Regions [R, 4], their deltas [R, 4] and masks [R, side, side].

    Regions are x1, y1, x2, y2, px of the search region. `box` is the true one, cx, cy, w, h from the search
    region's centre; `mask` [S, S] is 0..255. Deltas are shifts as parts of the region's size and logarithms
    of the change of size; masks are 0 and 1, or NO_MASK.
    """
    shift = rng.uniform(-_SHIFT, _SHIFT, (_PROPOSALS, 2))
    growth = rng.uniform(-_GROWTH, _GROWTH, (_PROPOSALS, 2))
    size = box[2:] * np.exp(growth)
    centre = box[:2] + shift * box[2:]
    deltas = np.concatenate([(box[:2] - centre) / size, -growth], axis=1)
    centre = centre + search_size / 2
    regions = np.concatenate([centre - (size - 1) / 2, centre + (size - 1) / 2], axis=1)
    side = config.mask_pool * config.mask_growth
    masks = np.full((_PROPOSALS, side, side), NO_MASK, np.int8)
    if mask is not None:
        for cut, (cx, cy), (width, height) in zip(masks, centre, size, strict=True):
            sx, sy = width / side, height / side
            # Px (i, j) of the mask looks at the middle of its share of the region.
            place = np.array(
                [[sx, 0, cx - width / 2 + sx / 2 - 0.5], [0, sy, cy - height / 2 + sy / 2 - 0.5]]
            )
            seen = cv2.warpAffine(mask, place, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            cut[:] = seen > 127
    return {
        "regions": torch.from_numpy(regions.astype(np.float32)),
        "region_deltas": torch.from_numpy(deltas.astype(np.float32)),
        "region_masks": torch.from_numpy(masks),
    }
