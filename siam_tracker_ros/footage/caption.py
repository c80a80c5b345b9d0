"""Lines of text below a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np

from siam_tracker_ros.footage.frames import Image

_FONT = cv2.FONT_HERSHEY_DUPLEX
_TEXT, _GROUND = (255, 255, 255), (24, 20, 18)
# A line has room for about so many characters, in a letter's height of at least so many px.
_COLUMNS, _SMALLEST = 90, 8


def with_caption(image: Image, lines: Sequence[str]) -> Image:
    """A new image: `image` [H, W, 3] BGR at its top, the lines below it, wrapped where they are long."""
    width = image.shape[1]
    text_px = max(_SMALLEST, round(1.2 * width / _COLUMNS))
    thickness = max(1, round(text_px / 14))
    scale = cv2.getFontScaleFromHeight(_FONT, text_px, thickness)
    (letter, _), _ = cv2.getTextSize("n" * 100, _FONT, scale, thickness)
    columns = max(10, int((width - 2 * text_px) * 100 / letter))
    rows = [row for line in lines for row in textwrap.wrap(line, columns, drop_whitespace=False)]
    step = 2 * text_px
    strip: Image = np.full((step * len(rows) + text_px // 2, width, 3), _GROUND, np.uint8)
    for number, row in enumerate(rows):
        at = (text_px, step * number + round(1.6 * text_px))
        cv2.putText(strip, row, at, _FONT, scale, _TEXT, thickness, cv2.LINE_AA)
    return np.vstack((image, strip))
