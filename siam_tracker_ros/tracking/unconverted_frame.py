"""Frames that are turned into BGR where they are looked at, as a tracker looks at a small part of each."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class UnconvertedFrame(ABC):
    """A frame in some other order or packing of colours; `shape` is [H, W, 3], as that of the BGR frame."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Height and width in px, and the 3 channels of BGR."""

    @abstractmethod
    def region(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Columns `left` to `right` and rows `top` to `bottom`, ends not included, as BGR uint8.

        Not empty and inside the frame. The same pixels as those of `whole`.
        """

    def whole(self) -> NDArray[np.uint8]:
        """The BGR frame [H, W, 3] uint8."""
        height, width, _ = self.shape
        return self.region(0, 0, width, height)
