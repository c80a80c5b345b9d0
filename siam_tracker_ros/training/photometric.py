"""Changes of light, colour and sharpness of a crop: tables and one filter, cheap enough for one process."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]

LUMA = (0.114, 0.587, 0.299)
"""Shares of B, G and R in the brightness (ITU-R BT.601)."""


@dataclass(frozen=True)
class Colour:
    """A change of light: gain * 255 * (level / 255) ** gamma + offset per channel (BGR), then saturation."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0
    gamma: float = 1.0
    saturation: float = 1.0


def draw_colour(strength: float, rng: np.random.Generator) -> Colour:
    """A random change of light; at strength 0 there is none, at 0.3 it is strong."""
    common = 1 + rng.uniform(-strength, strength)
    b, g, r = (common * (1 + rng.uniform(-strength, strength) * 0.5) for _ in range(3))
    return Colour(
        gain=(b, g, r),
        offset=60 * rng.uniform(-strength, strength),
        gamma=math.exp(rng.uniform(-strength, strength)),
        saturation=1 + 1.5 * rng.uniform(-strength, strength),
    )


def colour_table(colour: Colour) -> UInt8:
    """What becomes of each level of B, G and R, [256, 3]; saturation apart."""
    levels = 255 * (np.arange(256) / 255) ** colour.gamma
    table = np.stack([np.clip(gain * levels + colour.offset, 0, 255) for gain in colour.gain], axis=1)
    return np.round(table).astype(np.uint8)


def colour_mix(colour: Colour) -> NDArray[np.float64]:
    """The 3x3 matrix on B, G, R that changes saturation."""
    luma = np.tile(LUMA, (3, 1))
    mix: NDArray[np.float64] = luma + colour.saturation * (np.eye(3) - luma)
    return mix


def apply_colour(image: UInt8, colour: Colour) -> UInt8:
    """`image` [H, W, 3] BGR under a change of light."""
    image = np.asarray(cv2.LUT(image, colour_table(colour)[None]), np.uint8)
    if colour.saturation != 1.0:
        image = np.asarray(cv2.transform(image, colour_mix(colour)), np.uint8)
    return image


def to_grey(image: UInt8) -> UInt8:
    """`image` without colour, still with three channels."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def blur_kernel(length: int, angle: float) -> NDArray[np.float32]:
    """A line of `length` px (odd) at `angle` rad, [length, length], that sums to 1."""
    kernel = np.zeros((length, length), dtype=np.float32)
    half = length // 2
    reach = (half * math.cos(angle), half * math.sin(angle))
    start = (round(half - reach[0]), round(half - reach[1]))
    end = (round(half + reach[0]), round(half + reach[1]))
    cv2.line(kernel, start, end, 1.0)
    kernel /= kernel.sum()
    return kernel


def motion_blur(image: UInt8, length: int, angle: float) -> UInt8:
    """`image` smeared along a line of `length` px (odd) at `angle` rad."""
    return np.asarray(cv2.filter2D(image, -1, blur_kernel(length, angle)), np.uint8)


def lose_resolution(image: UInt8, factor: float) -> UInt8:
    """`image` as if it had been enlarged `factor` times, as small targets are."""
    size = image.shape[1], image.shape[0]
    reduced = round(size[0] / factor), round(size[1] / factor)
    small = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
