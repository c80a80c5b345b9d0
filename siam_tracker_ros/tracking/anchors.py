"""Anchor boxes of the response map (SiamRPN, Li et al., CVPR 2018, section 3.2)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.models.config import AnchorConfig

Float32 = NDArray[np.float32]


def anchor_shapes(config: AnchorConfig) -> Float32:
    """Widths and heights of the K anchors, [K, 2] px of the search region, ratio by ratio.

    Sides are shortened before they are scaled, as in PySOT and SiamMask.
    """
    area = config.stride * config.stride
    shapes = []
    for ratio in config.ratios:
        width = _shortened(math.sqrt(area / ratio), config.decimals)
        height = _shortened(width * ratio, config.decimals)
        shapes += [(width * scale, height * scale) for scale in config.scales]
    return np.array(shapes, dtype=np.float32)


def _shortened(side: float, decimals: int) -> float:
    return round(side, decimals) if decimals > 0 else int(side)


def anchor_grid(config: AnchorConfig, score_size: int) -> Float32:
    """All anchors of a response map: [K * S * S, 4] as cx, cy, w, h, px from the search region's centre.

    The order is that of the heads' channels: anchor, then row, then column.
    """
    shapes = anchor_shapes(config)
    offsets = (np.arange(score_size) - score_size // 2) * config.stride
    grid = np.empty((len(shapes), score_size, score_size, 4), dtype=np.float32)
    grid[..., 0] = offsets[None, None, :]
    grid[..., 1] = offsets[None, :, None]
    grid[..., 2:] = shapes[:, None, None, :]
    return grid.reshape(-1, 4)
