"""A crop as it will be made: pictures laid over each other, then changes of light and sharpness.

What is random is drawn before; `render` makes the pixels with OpenCV, `device_render` the same on a device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.training.photometric import (
    Colour,
    apply_colour,
    lose_resolution,
    motion_blur,
    to_grey,
)
from siam_tracker_ros.training.warp import Affine, warp_image

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Layer:
    """`source` [H, W, 3] through `affine` (2x3, source px to crop px), `fill` beyond its border.

    `cover` [S, S], 0..255, says how much of what lies below it hides; None hides all.
    """

    source: UInt8
    affine: Affine
    fill: tuple[float, float, float]
    cover: UInt8 | None = None


@dataclass(frozen=True)
class Photometric:
    """Two changes of light, motion blur (length in px, odd, and angle), lost resolution (1: none), grey."""

    shared: Colour
    own: Colour
    blur: tuple[int, float] | None
    factor: float
    grey: bool


@dataclass(frozen=True, eq=False)
class Picture:
    """A crop of `size` px a side: layers from the lowest up, and what changes them all."""

    size: int
    layers: tuple[Layer, ...]
    photometric: Photometric


def render(picture: Picture) -> UInt8:
    """The pixels, [size, size, 3] BGR."""
    image = np.empty(0, np.uint8)
    for layer in picture.layers:
        warped = warp_image(layer.source, layer.affine, picture.size, layer.fill)
        if layer.cover is None:
            image = warped
            continue
        alpha = layer.cover.astype(np.float32)[..., None] / 255
        image = (image + (warped.astype(np.float32) - image) * alpha).astype(np.uint8)
    change = picture.photometric
    image = apply_colour(apply_colour(image, change.shared), change.own)
    if change.blur is not None:
        image = motion_blur(image, *change.blur)
    if change.factor > 1:
        image = lose_resolution(image, change.factor)
    return to_grey(image) if change.grey else image
