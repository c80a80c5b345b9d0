"""A strip below the picture: every frame by where its box comes from, the key frames, and where one is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from siam_tracker_ros.annotation.key_frames import Origin
from siam_tracker_ros.footage.frames import Image

# Okabe and Ito's palette, BGR: told apart with any kind of colour vision.
COLOURS = {
    Origin.KEY: (0, 159, 230),
    Origin.TRACKED: (115, 158, 0),
    Origin.INTERPOLATED: (233, 180, 86),
    Origin.HIDDEN: (167, 121, 204),
    Origin.UNLABELLED: (90, 84, 80),
}
_GROUND, _CURSOR = (24, 20, 18), (255, 255, 255)
_MARGIN = 10
HEIGHT = 34
"""Of the strip, px."""


def draw_timeline(width: int, origins: Sequence[Origin], keys: Collection[int], present: int) -> Image:
    """The strip [HEIGHT, width, 3] BGR: a band in the colours of the frames, key frames as ticks that reach
    above it, the present frame as a white line through all."""
    strip: Image = np.full((HEIGHT, width, 3), _GROUND, np.uint8)
    frames = len(origins)
    band = slice(12, HEIGHT - 6)
    columns = np.arange(_MARGIN, max(width - _MARGIN, _MARGIN + 1))
    colours = np.array([COLOURS[origin] for origin in origins], np.uint8)
    at = [frame_at(int(x), width, frames) for x in columns]
    strip[band, columns[0] : columns[-1] + 1] = colours[at]
    for key in keys:
        x = _place(key, width, frames)
        cv2.line(strip, (x, 5), (x, HEIGHT - 6), _GROUND, 3)
        cv2.line(strip, (x, 5), (x, HEIGHT - 6), COLOURS[Origin.KEY], 1)
        cv2.circle(strip, (x, 6), 3, COLOURS[Origin.KEY], -1, cv2.LINE_AA)
    x = _place(present, width, frames)
    cv2.line(strip, (x, 0), (x, HEIGHT), _GROUND, 4)
    cv2.line(strip, (x, 0), (x, HEIGHT), _CURSOR, 2)
    return strip


def frame_at(x: int, width: int, frames: int) -> int:
    """The frame whose part of the strip column `x` lies in, the nearest one beside it."""
    span = max(width - 2 * _MARGIN, 1)
    return min(max((x - _MARGIN) * frames // span, 0), frames - 1)


def _place(frame: int, width: int, frames: int) -> int:
    """The middle column of a frame's part of the strip."""
    span = max(width - 2 * _MARGIN, 1)
    return _MARGIN + (2 * frame + 1) * span // (2 * frames)
