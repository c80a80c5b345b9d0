"""What one frame's search needs to know of each target, as one row of numbers.

A row goes to the device in one copy, and everything about a target that changes from frame to frame is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.crop import Window


class Request(NamedTuple):
    """Where one target is searched for.

    It was at `before` and is expected at `expected` (px of the frame); `scale` is px of the search region per
    px of the frame, `windows` what is cut from the frame, one for every scale searched.
    """

    fill: tuple[int, int, int]
    before: CenterBox
    expected: CenterBox
    scale: float
    window_influence: float
    windows: tuple[Window, ...]

    def row(self) -> tuple[float, ...]:
        """All numbers in the order in which `Requests` reads them."""
        windows = chain.from_iterable(self.windows)
        return (*self.fill, *self.before, *self.expected, self.scale, self.window_influence, *windows)


_BEFORE_WINDOWS = 13


def request_columns(scales: int) -> int:
    """Numbers in a row where the search region is cut at so many scales."""
    return _BEFORE_WINDOWS + 3 * scales


@dataclass(frozen=True)
class Requests:
    """Rows of several targets, [N, `request_columns`] float64, read column by column.

    In float64 px of any frame, whole or not, are what they were on the host.
    """

    table: Tensor

    @classmethod
    def of(cls, requests: Sequence[Request], device: torch.device) -> Requests:
        """`requests` on `device`."""
        table = torch.tensor([request.row() for request in requests], dtype=torch.float64)
        return cls(table.to(device, non_blocking=True))

    @property
    def fills(self) -> Tensor:
        """Colours beyond the border [N, 3] float32."""
        return self.table[:, :3].to(torch.float32)

    @property
    def before(self) -> Tensor:
        """Boxes before this frame, [N, 4] as cx, cy, w, h, px of the frame."""
        return self.table[:, 3:7]

    @property
    def expected(self) -> Tensor:
        """Boxes as they are expected, [N, 4] as cx, cy, w, h, px of the frame."""
        return self.table[:, 7:11]

    @property
    def scale(self) -> Tensor:
        """Px of the search region per px of the frame, [N, 1]."""
        return self.table[:, 11:12]

    @property
    def sizes(self) -> Tensor:
        """Widths and heights before this frame, [N, 2] float32, px of the search region."""
        return (self.before[:, 2:] * self.scale).to(torch.float32)

    @property
    def window_influence(self) -> Tensor:
        """Weight of the cosine window, [N, 1] float32."""
        return self.table[:, 12:13].to(torch.float32)

    @property
    def squares(self) -> Tensor:
        """Windows of the frame, [R * N, 3] int64 (left, top, side), all targets at the first scale first."""
        windows = self.table[:, _BEFORE_WINDOWS:].to(torch.int64)
        return windows.reshape(len(windows), -1, 3).transpose(0, 1).flatten(0, 1)
