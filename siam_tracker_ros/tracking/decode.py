"""From response maps to one box per target, batched, on the device.

SiamRPN (Li et al., CVPR 2018, section 4.3). Everything is float32 torch without host synchronisation;
`Selection` is read with one copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from siam_tracker_ros.models.config import AnchorConfig
from siam_tracker_ros.tracking.anchors import anchor_grid


@dataclass(frozen=True)
class ResponseGrid:
    """Constants of one response map size: anchors [A, 4] (cx, cy, w, h) and cosine window [A], A = K*S*S."""

    score_size: int
    stride: int
    anchors: Tensor
    window: Tensor


class Selection(NamedTuple):
    """The chosen anchor of one target, in px of the search region, from its centre.

    `anchor` counts anchors, rows, columns as the heads' channels do. `score` is its foreground probability,
    `penalty` what scale and ratio change left of it (0..1), `rank` the penalised and windowed value it was
    chosen by, `runner_up` the best penalised score outside the box relative to its own (0..1).
    """

    anchor: int
    score: float
    penalty: float
    rank: float
    runner_up: float
    dx: float
    dy: float
    w: float
    h: float

    def cell(self, side: int) -> tuple[int, int]:
        """Row and column of the chosen anchor in a response map of `side` cells a side."""
        return divmod(self.anchor % (side * side), side)


def hann_window(size: int) -> Tensor:
    """Cosine (Hann) window [size, size], float64, one in the middle."""
    hann = torch.hann_window(size, periodic=False, dtype=torch.float64)
    return torch.outer(hann, hann)


def response_grid(config: AnchorConfig, score_size: int, device: torch.device) -> ResponseGrid:
    """Anchors and cosine (Hann) window for maps of `score_size` cells a side."""
    anchors = torch.from_numpy(anchor_grid(config, score_size)).to(device)
    window = hann_window(score_size).flatten().to(torch.float32)
    shapes = len(anchors) // (score_size * score_size)
    return ResponseGrid(score_size, config.stride, anchors, window.repeat(shapes).to(device))


def foreground_probability(cls: Tensor) -> Tensor:
    """Classification output [N, 2K, S, S], background first -> foreground probability [N, K*S*S]."""
    background, foreground = cls.float().chunk(2, dim=1)
    return torch.sigmoid(foreground - background).flatten(1)


def decode_boxes(loc: Tensor, anchors: Tensor) -> Tensor:
    """Regression output [N, 4K, S, S] and anchors [A, 4] -> boxes [N, 4, A] as cx, cy, w, h."""
    dx, dy, dw, dh = (part.flatten(1) for part in loc.float().chunk(4, dim=1))
    cx, cy, w, h = anchors.unbind(1)
    return torch.stack((dx * w + cx, dy * h + cy, dw.exp() * w, dh.exp() * h), dim=1)


def _padded_size(w: Tensor, h: Tensor) -> Tensor:
    context = (w + h) * 0.5
    return torch.sqrt((w + context) * (h + context))


def _change(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1.0 / ratio)


def shape_penalty(boxes: Tensor, size: Tensor, penalty_k: float) -> Tensor:
    """Penalty exp(-k (r s - 1)) of boxes [N, 4, A] whose scale s and ratio r differ from `size` [N, 2]."""
    w, h = boxes[:, 2], boxes[:, 3]
    before_w, before_h = size[:, :1], size[:, 1:]
    scale = _change(_padded_size(w, h) / _padded_size(before_w, before_h))
    ratio = _change((before_w / before_h) / (w / h))
    return torch.exp(-(ratio * scale - 1.0) * penalty_k)


def runner_up(values: Tensor, side: int, stride: float, cell: Tensor, box: Tensor) -> Tensor:
    """Best of `values` [N, K * side * side] at cells outside the chosen box, two or more from the chosen one.

    `cell` [N] is the chosen one, `box` [N, 4] its box; a cell is `stride` px of the search region.
    """
    best_per_cell = values.view(len(values), -1, side, side).amax(dim=1)
    row, col = cell // side, cell % side
    axis = torch.arange(side, device=cell.device)
    # The response to one target spreads over about half its size, in cells of the map.
    reach = (box[:, 2:] / (2 * stride)).clamp(min=2.0, max=side / 2)
    near_cols = (axis[None] - col[:, None]).abs() <= reach[:, :1]
    near_rows = (axis[None] - row[:, None]).abs() <= reach[:, 1:]
    near = near_rows[:, :, None] & near_cols[:, None, :]
    best: Tensor = best_per_cell.masked_fill(near, 0.0).flatten(1).amax(dim=1)
    return best


def select(
    cls: Tensor,
    loc: Tensor,
    grid: ResponseGrid,
    size: Tensor,
    penalty_k: float,
    window_influence: float | Tensor,
) -> Tensor:
    """Choose each target's box: cls [N, 2K, S, S], loc [N, 4K, S, S] -> [N, 9], the fields of Selection.

    `size` [N, 2] is each target's width and height so far, px of the search region; `window_influence` one
    number for all, or [N, 1].
    """
    scores = foreground_probability(cls)
    boxes = decode_boxes(loc, grid.anchors)
    penalty = shape_penalty(boxes, size, penalty_k)
    penalised = penalty * scores
    ranked = penalised * (1.0 - window_influence) + grid.window * window_influence
    # An output that is not a number (a frame of noise in half precision) must not win.
    rank, index = torch.nan_to_num(ranked, nan=-1.0).max(dim=1)
    chosen = index[:, None]
    box = boxes.gather(2, index[:, None, None].expand(-1, 4, 1)).squeeze(2)
    chosen_penalised = penalised.gather(1, chosen).squeeze(1)
    cell = index % (grid.score_size * grid.score_size)
    elsewhere = runner_up(penalised, grid.score_size, grid.stride, cell, box)
    columns = (
        index.float(),
        scores.gather(1, chosen).squeeze(1),
        penalty.gather(1, chosen).squeeze(1),
        rank,
        (elsewhere / chosen_penalised.clamp(min=1e-6)).clamp(max=1.0),
    )
    return torch.cat((torch.stack(columns, dim=1), box), dim=1)


def read_selections(packed: Tensor) -> list[Selection]:
    """Selections of a batch on the host: the one synchronisation with the device."""
    return [Selection(int(row[0]), *row[1:]) for row in packed.cpu().tolist()]
