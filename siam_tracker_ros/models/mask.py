"""The mask branch of SiamMask: correlation at one position, and its refinement (Wang et al., CVPR 2019).

A mask belongs to one cell of the response map, so all that leads to it is computed for that cell alone:
the correlation needs the search features under the kernel there, the refinement a window of each
earlier layer. Windows are cut first (`mask_windows`, `refine_windows`); what is computed of them has fixed
shapes. Positions are given as `Cells`, which may be tensors: what is cut is gathered, so that no device is
waited for to know where. Module names are PySOT's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.rpn import Embedding, head_1x1
from siam_tracker_ros.models.xcorr import xcorr_depthwise


class Cells(NamedTuple):
    """Cells of response maps: for each, the sample in the batch, the row and the column."""

    batch: Sequence[int] | Tensor
    rows: Sequence[int] | Tensor
    cols: Sequence[int] | Tensor

    def on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Samples, rows and columns as int64 tensors [M]; those that are on `device` stay as they are."""
        batch, rows, cols = (torch.as_tensor(each, dtype=torch.int64, device=device) for each in self)
        return batch, rows, cols


def windows(features: Tensor, batch: Tensor, tops: Tensor, lefts: Tensor, size: int) -> Tensor:
    """Square windows [M, C, size, size] of samples `batch` [M] of [N, C, H, W]; zeros beyond the map."""
    channels, height, width = features.shape[1:]
    steps = torch.arange(size, device=features.device)
    y, x = tops[:, None] + steps, lefts[:, None] + steps
    on_map_y, on_map_x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    outside = (y != on_map_y)[:, :, None] | (x != on_map_x)[:, None, :]
    cell = (batch[:, None] * height + on_map_y)[:, :, None] * width + on_map_x[:, None, :]
    # All channels of a cell lie together where features are laid out channels last, as networks run here.
    by_cell = features.permute(0, 2, 3, 1).reshape(-1, channels)
    cut = by_cell.index_select(0, cell.flatten()).view(*cell.shape, channels)
    return cut.masked_fill(outside[..., None], 0.0).permute(0, 3, 1, 2)


# Side, beyond that of the kernel, of the features that one response is computed from: conv_search takes one
# cell off each side.
_CONV_SEARCH_LOSS = 2
# Window of each merged layer (stride 2, 4, 8): padding of the map, side, and step per response cell.
_REFINE_WINDOWS = ((16, 61, 4), (8, 31, 2), (4, 15, 1))


def mask_windows(features: Tensor, cells: Cells, kernel_size: int) -> Tensor:
    """Search features [N, C, H, W] under the kernel at `cells`: [len(cells), C, side, side]."""
    return windows(features, *cells.on(features.device), kernel_size + _CONV_SEARCH_LOSS)


def refine_windows(layers: Sequence[Tensor], cells: Cells) -> tuple[Tensor, ...]:
    """Windows of the layers of stride 2, 4, 8 that belong to `cells`: [len(cells), C, 61 | 31 | 15, same]."""
    batch, rows, cols = cells.on(layers[0].device)
    return tuple(
        windows(layer, batch, step * rows - pad, step * cols - pad, side)
        for layer, (pad, side, step) in zip(layers, _REFINE_WINDOWS, strict=True)
    )


class MaskCorr(Embedding):
    """Depthwise correlation whose response vector at a cell encodes the mask (SiamMask, section 3.2).

    `coarse_size` as in MaskConfig; without it the branch has no head of its own.
    """

    def __init__(self, inputs: int, hidden: int, coarse_size: int | None) -> None:
        super().__init__(inputs, hidden)
        if coarse_size is not None:
            self.head = head_1x1(hidden, coarse_size * coarse_size)

    def coarse(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Coarse mask logits of every cell: [N, side*side, S, S] (SiamMask's base variant)."""
        y: Tensor = self.head(xcorr_depthwise(self.conv_search(search), kernel))
        return y

    def coarse_at(self, kernel: Tensor, windows: Tensor) -> Tensor:
        """Coarse mask logits of some cells alone, arguments as of `at`: [M, side, side]."""
        logits: Tensor = self.head(self.at(kernel, windows)[:, :, None, None])
        side = math.isqrt(logits.shape[1])
        return logits.reshape(-1, side, side)

    def at(self, kernel: Tensor, windows: Tensor) -> Tensor:
        """Kernels [M, hidden, h, w] and `mask_windows` of M cells -> response vectors [M, hidden]."""
        response: Tensor = (self.conv_search(windows) * kernel).sum(dim=(2, 3))
        return response


def _vertical(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class Refine(nn.Module):
    """Refinement module U (SiamMask, appendix A): a response vector grows to a 127x127 mask.

    Three steps up (15, 31, 61, 127 px), each merging a window of an earlier layer. `channels` are those of
    the layers of stride 2, 4 and 8.
    """

    def __init__(self, channels: tuple[int, int, int], hidden: int) -> None:
        super().__init__()
        c0, c1, c2 = channels
        self.v0 = _vertical(c0, max(c0 // 4, 4), 4)
        self.v1 = _vertical(c1, max(c1 // 4, 16), 16)
        self.v2 = _vertical(c2, max(c2 // 4, 32), 32)
        self.h2 = _vertical(32, 32, 32)
        self.h1 = _vertical(16, 16, 16)
        self.h0 = _vertical(4, 4, 4)
        self.deconv = nn.ConvTranspose2d(hidden, 32, 15, 15)
        self.post0 = nn.Conv2d(32, 16, 3, padding=1)
        self.post1 = nn.Conv2d(16, 4, 3, padding=1)
        self.post2 = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, windows: Sequence[Tensor], response: Tensor) -> Tensor:
        """`refine_windows` of M cells and their response vectors [M, hidden] -> mask logits [M, 127, 127]."""
        p0, p1, p2 = windows
        y: Tensor = self.deconv(response[:, :, None, None])
        y = self.post0(F.interpolate(self.h2(y) + self.v2(p2), size=(31, 31)))
        y = self.post1(F.interpolate(self.h1(y) + self.v1(p1), size=(61, 61)))
        y = self.post2(F.interpolate(self.h0(y) + self.v0(p0), size=(127, 127)))
        return y.squeeze(1)
