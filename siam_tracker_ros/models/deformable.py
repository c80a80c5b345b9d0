"""Deformable operators: convolution and pooling at places that the network itself chooses.

Deformable convolution is Dai et al., ICCV 2017, section 2.1, deformable RoI pooling section 2.2. Both are
written in plain PyTorch on `grid_sample`, so that they run, and have gradients, wherever PyTorch does;
where torchvision imports, its convolution is used in inference, but not in what is traced. Positions are kept
in float32 at least.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Samples a side that deformable RoI pooling takes of each bin.
_BIN_SAMPLES = 4
# The unit of its offsets, as a part of the region's size.
_OFFSET_SHARE = 0.1
# The least side of a region, cells of the map.
_MIN_REGION = 0.1


@functools.cache
def torchvision_deform_conv2d() -> Callable[..., Tensor] | None:
    """torchvision's operator, or None where torchvision is missing or does not fit this PyTorch."""
    try:
        operator: Callable[..., Tensor] = importlib.import_module("torchvision.ops").deform_conv2d
    except (ImportError, RuntimeError, AttributeError, OSError):
        return None
    return operator


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Convolution, stride 1, of [N, C, H, W] with `weight` [K, C, h, w], every tap of it moved by `offset`.

    `offset` [N, 2*h*w, H', W'] is (dy, dx), cells, tap by tap, row by row. Beyond the map are zeros.
    """
    theirs = torchvision_deform_conv2d()
    # What is traced is for other engines, which do not know that operator.
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if theirs is not None and not torch.is_grad_enabled() and not tracing:
        return theirs(x, offset, weight, padding=padding)
    return plain_deform_conv2d(x, offset, weight, padding)


def plain_deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, padding: int) -> Tensor:
    """`deform_conv2d` in plain PyTorch."""
    n, channels = x.shape[:2]
    outputs, _, rows, cols = weight.shape
    height, width = offset.shape[2:]
    moves = _precise(offset).view(n, rows * cols, 2, height, width)
    tap = torch.arange(rows * cols, device=x.device)
    tap_y, tap_x = (tap // cols - padding)[:, None, None], (tap % cols - padding)[:, None, None]
    y = moves[:, :, 0] + tap_y + torch.arange(height, device=x.device)[:, None]
    x_ = moves[:, :, 1] + tap_x + torch.arange(width, device=x.device)
    taken = sample_at(x, y.flatten(1, 2), x_.flatten(1, 2))
    taken = taken.view(n, channels * rows * cols, height * width)
    return (weight.flatten(1) @ taken).view(n, outputs, height, width)


def sample_at(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Values of [N, C, H, W] at rows and columns [N, h, w], cells: bilinear, zeros beyond the map."""
    height, width = x.shape[2:]
    grid = torch.stack(((2 * cols + 1) / width - 1, (2 * rows + 1) / height - 1), dim=-1)
    return F.grid_sample(_precise(x), grid, align_corners=False).to(x.dtype)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class DeformConv2d(nn.Module):
    """3x3 deformable convolution, padded, whose offsets a convolution predicts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=1)
        self.conv_offset = nn.Conv2d(channels, 2 * 3 * 3, 3, padding=1)
        # It begins as the plain convolution (Dai et al., section 2.1).
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        return deform_conv2d(x, self.conv_offset(x), self.weight, padding=1)


def _round_away(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.floor(x.abs() + 0.5)


def deform_roi_pool(
    x: Tensor, regions: Tensor, scale: float, size: int, offset: Tensor | None = None
) -> Tensor:
    """Average of each of `size` x `size` bins of regions: [N, C, H, W] -> [M, C, size, size].

    `regions` [M, 5] are (sample of the batch, x1, y1, x2, y2), px of an image that has `scale` cells a px;
    corners are rounded to whole px and count as inside. `offset` [M, 2, size, size] moves every bin by
    (dx, dy), in tenths of the region's width and height. Samples beyond the map are left out.
    """
    height, width = x.shape[2:]
    corners = _round_away(_precise(regions[:, 1:]))
    start = corners[:, :2] * scale - 0.5
    extent = ((corners[:, 2:] + 1) * scale - 0.5 - start).clamp(min=_MIN_REGION)
    bins = torch.arange(size, device=x.device)
    steps = torch.arange(_BIN_SAMPLES, device=x.device) / _BIN_SAMPLES
    # From the region's start, in units of its extent: [size * samples].
    along = ((bins[:, None] + steps) / size).flatten()
    x_ = (start[:, :1] + extent[:, :1] * along)[:, None, :]
    y = (start[:, 1:] + extent[:, 1:] * along)[:, :, None]
    if offset is not None:
        moves = _OFFSET_SHARE * _precise(offset).repeat_interleave(_BIN_SAMPLES, 2)
        moves = moves.repeat_interleave(_BIN_SAMPLES, 3)
        x_ = x_ + moves[:, 0] * extent[:, 0, None, None]
        y = y + moves[:, 1] * extent[:, 1, None, None]
    y, x_ = y + torch.zeros_like(x_), x_ + torch.zeros_like(y)
    inside = (x_ >= -0.5) & (x_ <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    taken = sample_at(x[regions[:, 0].long()], y.clamp(0, height - 1), x_.clamp(0, width - 1))
    sums = F.avg_pool2d(_precise(taken) * inside[:, None], _BIN_SAMPLES)
    shares = F.avg_pool2d(inside[:, None].float(), _BIN_SAMPLES)
    return (sums / shares.clamp(min=1e-6)).to(x.dtype)


class DeformRoIPool(nn.Module):
    """Deformable RoI pooling: once with the bins as they lie, to predict how they move, and once moved."""

    def __init__(self, channels: int, size: int, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.offset_fc = nn.Sequential(
            nn.Linear(channels * size * size, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 2 * size * size),
        )
        nn.init.zeros_(self.offset_fc[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.offset_fc[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, regions: Tensor, scale: float) -> Tensor:
        """[N, C, H, W] and regions [M, 5], as `deform_roi_pool` -> [M, C, size, size]."""
        still = deform_roi_pool(x, regions, scale, self.size)
        offset = self.offset_fc(still.flatten(1)).view(-1, 2, self.size, self.size)
        return deform_roi_pool(x, regions, scale, self.size, offset)
