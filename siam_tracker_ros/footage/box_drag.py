"""A box that is being drawn with the mouse."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from siam_tracker_ros.footage.frames import Image

_COLOUR, _EDGE = (255, 255, 255), (24, 20, 18)

Corner = tuple[int, int]


@dataclass(frozen=True)
class DrawnBox:
    """Pixels from (left, top) to (right, bottom), both inside of the box."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def center(self) -> tuple[float, float]:
        """Its centre, px; that of the top-left pixel of the image is (0, 0)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.right - self.left + 1, self.bottom - self.top + 1


class BoxDrag:
    """Mouse events, in px of an image, to a box: pressed in one corner, let go in the opposite one."""

    def __init__(self) -> None:
        self._from: Corner | None = None
        self._to: Corner = (0, 0)

    @property
    def active(self) -> bool:
        """Whether the button is held down."""
        return self._from is not None

    def press(self, x: int, y: int) -> None:
        """The button goes down."""
        self._from = self._to = (x, y)

    def move(self, x: int, y: int) -> None:
        """The mouse moves, with or without the button."""
        self._to = (x, y)

    def cancel(self) -> None:
        """Forget the box."""
        self._from = None

    def box(self, width: int, height: int) -> DrawnBox | None:
        """What is drawn until now, cut off at the borders of an image of that size; None if nothing is."""
        if self._from is None:
            return None
        (x0, y0), (x1, y1) = self._from, self._to
        left, right = (min(max(x, 0), width - 1) for x in sorted((x0, x1)))
        top, bottom = (min(max(y, 0), height - 1) for y in sorted((y0, y1)))
        return DrawnBox(left, top, right, bottom)

    def release(self, width: int, height: int) -> DrawnBox | None:
        """The button goes up: the box, or None if it was not down."""
        box = self.box(width, height)
        self._from = None
        return box


def draw_box_in_hand(image: Image, box: DrawnBox, colour: tuple[int, int, int] = _COLOUR) -> Image:
    """A copy of `image` [H, W, 3] BGR with a box that is drawn by hand, its lines on its outermost pixels."""
    drawn: Image = image.copy()
    corners = (box.left, box.top), (box.right, box.bottom)
    line = max(2, round(min(image.shape[:2]) / 400))
    for ink, width in ((_EDGE, line + 2), (colour, line)):
        cv2.rectangle(drawn, *corners, ink, width)
    return drawn
