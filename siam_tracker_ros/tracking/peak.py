"""From response maps at several scales to one box per target, batched, on the device.

SiamFC (Bertinetto et al., ECCVW 2016, section 3): up-sampled maps, a penalty on change of scale, a cosine
window. What was chosen is packed as `decode.select` packs it, so that whatever follows is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from siam_tracker_ros.models.config import PyramidConfig
from siam_tracker_ros.tracking.decode import hann_window, runner_up

# Keeps a map without any structure from being divided by zero.
_EPSILON = 1e-16


@dataclass(frozen=True)
class PeakGrid:
    """Constants of one response map size: window [U, U] of sum one, factor and penalty of each scale."""

    score_size: int
    upsampled: int
    window: Tensor
    factors: Tensor
    penalties: Tensor


def scale_factors(config: PyramidConfig) -> list[float]:
    """The scales of the pyramid, smallest search region first."""
    half = config.count // 2
    steps = [half * (2 * i / (config.count - 1) - 1) for i in range(config.count)] if half else [0.0]
    return [config.step**step for step in steps]


def peak_grid(config: PyramidConfig, score_size: int, device: torch.device) -> PeakGrid:
    """Constants for maps of `score_size` cells a side."""
    upsampled = round(config.response_up * score_size)
    window = hann_window(upsampled)
    factors = scale_factors(config)
    penalties = [1.0 if i == config.count // 2 else config.penalty for i in range(config.count)]
    return PeakGrid(
        score_size,
        upsampled,
        (window / window.sum()).to(device, torch.float32),
        torch.tensor(factors, dtype=torch.float64).to(device),
        torch.tensor(penalties, dtype=torch.float32).to(device),
    )


def select_peak(
    response: Tensor, grid: PeakGrid, size: Tensor, config: PyramidConfig, window_influence: float | Tensor
) -> Tensor:
    """Choose each target's place and scale: responses [R * N, 1, S, S] -> [N, 9], the fields of Selection.

    All targets at the first scale come first. `size` [N, 2] is each target's width and height so far, px of
    the search region; `window_influence` one number for all, or [N, 1]. The score is the logistic function of
    the peak, which is what SiamFC is trained for.
    """
    targets, side, upsampled = len(size), grid.score_size, grid.upsampled
    maps = response.float().view(-1, targets, side, side).transpose(0, 1)
    fine = F.interpolate(maps, size=(upsampled, upsampled), mode="bicubic", align_corners=False)
    peaks = fine.amax(dim=(2, 3)) * grid.penalties
    # A response that is not a number must not win.
    scale = torch.nan_to_num(peaks, nan=-torch.inf).argmax(dim=1)
    rows = torch.arange(targets, device=scale.device)
    peak, factor = peaks[rows, scale], grid.factors[scale]
    chosen = fine[rows, scale]
    chosen = chosen - chosen.amin(dim=(1, 2), keepdim=True)
    chosen = chosen / (chosen.sum(dim=(1, 2), keepdim=True) + _EPSILON)
    ranked = chosen.flatten(1) * (1.0 - window_influence) + grid.window.flatten() * window_influence
    rank, index = torch.nan_to_num(ranked, nan=-1.0).max(dim=1)
    row, col = index // upsampled, index % upsampled

    middle = (upsampled - 1) / 2 if config.centered else math.ceil(upsampled / 2)
    shift = torch.stack((col, row), dim=1).double() - middle
    shift = shift * (config.stride / config.response_up)
    if config.scaled_shift:
        shift = shift * factor[:, None]
    box = torch.cat((shift, size.double() * factor[:, None]), dim=1)

    coarse = maps[rows, scale].flatten(1)
    coarse = coarse - coarse.amin(dim=1, keepdim=True)
    cell = (row * side // upsampled) * side + col * side // upsampled
    elsewhere = runner_up(coarse, side, config.stride, cell, box)
    columns = (
        scale.double(),
        torch.sigmoid(peak.double()),
        torch.ones_like(factor),
        rank.double(),
        (elsewhere / coarse.amax(dim=1).clamp(min=_EPSILON)).double(),
    )
    return torch.cat((torch.stack(columns, dim=1), box), dim=1)
