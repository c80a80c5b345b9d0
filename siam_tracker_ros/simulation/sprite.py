"""Pictures of the things that stand in front of the scene: the target, and what hides it.

A sprite is an image [H, W, 4] uint8, blue, green, red and opacity, the colours already multiplied by it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Sprite = NDArray[np.uint8]

# Drawn finer and reduced, which is what smooths the edges.
_OVERSAMPLING = 4


def airship(width: int, height: int) -> Sprite:
    """A striped airship seen from the side, filling `width` x `height` px; much the same left and right."""
    w, h = width * _OVERSAMPLING, height * _OVERSAMPLING
    x, y = np.meshgrid((np.arange(w) + 0.5) / w * 2 - 1, (np.arange(h) + 0.5) / h * 2 - 1)
    hull = x**2 + (y / 0.86) ** 2 <= 1
    # Panels meet at both ends, as the meridians of a globe do.
    across = np.clip(y / 0.86 / np.sqrt(np.maximum(1 - x**2, 1e-6)), -1, 1)
    panel = np.clip(np.floor((np.arcsin(across) / np.pi + 0.5) * 6), 0, 5).astype(int)
    colors = np.array(
        [[40, 50, 200], [225, 225, 235], [40, 50, 200], [30, 170, 240], [190, 90, 30], [60, 45, 40]]
    )
    picture = colors[panel].astype(np.float32)
    picture *= (1.08 - 0.42 * (across * 0.5 + 0.5) ** 1.5)[..., None]
    for ring in (-0.72, 0.72):
        picture[(np.abs(x - ring) < 0.035) & hull] = (35, 30, 30)
    solid = hull.copy()
    cabin = (np.abs(x) < 0.24) & (y > 0.7) & (y < 1.0)
    fin = (np.abs(x) < 0.12) & (y < -0.7)
    solid |= cabin | fin
    picture[cabin & ~hull] = (60, 190, 235)
    picture[fin & ~hull] = (40, 50, 200)
    picture = np.ascontiguousarray(np.clip(picture, 0, 255)).astype(np.uint8)
    scale = w / 300
    cv2.putText(
        picture,
        "SIAM",
        (round(w / 2 - 66 * scale), round(h / 2 + 18 * scale)),
        cv2.FONT_HERSHEY_DUPLEX,
        1.8 * scale,
        (30, 20, 20),
        max(round(6 * scale), 1),
        cv2.LINE_AA,
    )
    return _reduced(picture, solid, width, height)


def hoarding(width: int, height: int, seed: int = 0) -> Sprite:
    """A wall of planks with posters on it, filling `width` x `height` px."""
    rng = np.random.default_rng(seed)
    plank = max(width // 24, 2)
    tones = np.repeat(rng.uniform(90, 150, width // plank + 1), plank)[:width]
    grain = cv2.resize(rng.uniform(-14, 14, (max(height // 40, 2), width)), (width, height))
    picture = (tones + grain)[..., None] * np.array([0.62, 0.85, 1.0])
    picture[:, ::plank] *= 0.6
    posters = max(width // 90, 2)
    for poster in range(posters):
        w, h = rng.uniform(0.5, 0.9, 2) * min(90, width / posters, height / 2)
        left, top = (poster + rng.uniform(0, 0.3)) * width / posters, rng.uniform(0, height - h)
        corner, other = (round(left), round(top)), (round(left + w), round(top + h))
        cv2.rectangle(picture, corner, other, rng.uniform(60, 220, 3).tolist(), cv2.FILLED)
        for line in np.linspace(top + 0.2 * h, top + 0.8 * h, 4):
            ends = (round(left + 0.15 * w), round(line)), (round(left + 0.85 * w), round(line))
            cv2.line(picture, *ends, rng.uniform(30, 90, 3).tolist(), max(round(h / 20), 1))
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (40, 45, 50), max(plank // 3, 1))
    return _reduced(np.clip(picture, 0, 255).astype(np.uint8), np.ones((height, width), bool), width, height)


def outline(sprite: Sprite) -> NDArray[np.float64]:
    """Corners [n, 2] of what is opaque, as shares -1 to 1 of half the width (right) and height (down)."""
    height, width = sprite.shape[:2]
    padded = cv2.copyMakeBorder(sprite[..., 3], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    fine = cv2.resize(padded, None, fx=_OVERSAMPLING, fy=_OVERSAMPLING, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((fine > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 1.0, True)[:, 0].astype(np.float64)
    in_sprite = (largest + 0.5) / _OVERSAMPLING - 1
    return np.asarray(in_sprite / np.array([width, height]) * 2 - 1)


def _reduced(picture: NDArray[np.uint8], solid: NDArray[np.bool_], width: int, height: int) -> Sprite:
    drawn = np.dstack([picture * solid[..., None], np.where(solid, 255, 0)]).astype(np.uint8)
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
