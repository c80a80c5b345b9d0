"""What a cell of the features sees: stride, receptive field, and how far padding reaches.

The analysis of SiamDW (Zhang and Peng, CVPR 2019, section 3), for any network of this package. Nothing is
derived layer by layer: the network itself is run, with every convolution and pooling replaced by the sum over
its window. Where the gradient of one cell is not zero, there is its receptive field; what ones in place of
the padding reach, padding has touched.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.config import ModelConfig
from siam_tracker_ros.models.siamese import SiameseNetwork

# Side of the image that receptive fields are measured in, px: larger than any of them.
_CANVAS = 1535
_SPATIAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class LevelSight:
    """One level of the features that the head compares, after the neck.

    `layers` are the convolutions on the longest way to it, `stride` and `receptive_field` (side) px of the
    image. `exemplar_cells` and `search_cells` are the sides of the maps, and the padded ones are how many of
    all their cells padding has touched.
    """

    layer: int
    channels: int
    layers: int
    stride: int
    receptive_field: int
    exemplar_cells: int
    search_cells: int
    exemplar_padded: int
    search_padded: int


class _Window(nn.Module):
    """Stands in for a convolution or a pooling: the sum over its window, in one channel."""

    def __init__(self, module: nn.Module, padding_value: float) -> None:
        super().__init__()
        self._geometry = [
            pair if isinstance(pair, tuple) else (pair, pair)
            for pair in (
                getattr(module, name, 1) for name in ("kernel_size", "stride", "padding", "dilation")
            )
        ]
        self._padding_value = padding_value

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, (rows, cols), dilation = self._geometry
        x = F.pad(x.sum(dim=1, keepdim=True), (cols, cols, rows, rows), value=self._padding_value)
        return F.conv2d(x, x.new_ones(1, 1, *kernel), stride=stride, dilation=dilation)


class _Touched(_Window):
    """The same where only zero or not counts."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(max=1.0)


def _with_windows(network: SiameseNetwork, window: type[_Window], padding_value: float) -> SiameseNetwork:
    """A copy of `network` in which only geometry is left."""
    copied = copy.deepcopy(network)

    def replace_in(module: nn.Module) -> None:
        for name, child in list(module.named_children()):
            if isinstance(child, _SPATIAL):
                setattr(module, name, window(child, padding_value))
            elif not list(child.children()):
                setattr(module, name, nn.Identity())
            else:
                replace_in(child)

    replace_in(copied.backbone)
    if copied.neck is not None:
        replace_in(copied.neck)
    return copied


def _field(level: Tensor, image: Tensor, row: int) -> tuple[int, int]:
    """First and last row of `image` that the cell (`row`, middle) of `level` sees."""
    middle = level.shape[-1] // 2
    (gradient,) = torch.autograd.grad(level[0, :, row, middle].sum(), image, retain_graph=True)
    seen = torch.nonzero(gradient[0, 0].abs().amax(dim=1)).flatten()
    return int(seen[0]), int(seen[-1])


def _depth(output: Tensor) -> int:
    """Convolutions on the longest way from the image to `output`, read from its autograd graph."""
    longest: dict[object, int] = {}
    waiting = [output.grad_fn]
    while waiting:
        node = waiting[-1]
        before = [parent for parent, _ in node.next_functions if parent is not None] if node else []
        missing = [parent for parent in before if parent not in longest]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        is_conv = node is not None and "Convolution" in node.name()
        longest[node] = max((longest[parent] for parent in before), default=0) + is_conv
    return longest[output.grad_fn]


def level_sights(config: ModelConfig, exemplar_size: int, instance_size: int) -> list[LevelSight]:
    """What the cells of every level see, for exemplars and search regions of these sides, px."""
    with torch.device("meta"):
        network = SiameseNetwork(config).eval()
        real = network.features(torch.empty(1, 3, instance_size, instance_size)).levels
        depths = [_depth(level) for level in real]
    image = torch.ones(1, 1, _CANVAS, _CANVAS, dtype=torch.float64, requires_grad=True)
    fields = []
    for level in _with_windows(network, _Window, 0.0).features(image).levels:
        middle = level.shape[-1] // 2
        first, last = _field(level, image, middle)
        fields.append((last - first + 1, _field(level, image, middle + 1)[0] - first))
    touched = _with_windows(network, _Touched, 1.0)
    with torch.no_grad():
        exemplar = touched.features(torch.zeros(1, 1, exemplar_size, exemplar_size)).levels
        search = touched.features(torch.zeros(1, 1, instance_size, instance_size)).levels
    return [
        LevelSight(
            layer,
            channels=real[i].shape[1],
            layers=depths[i],
            stride=fields[i][1],
            receptive_field=fields[i][0],
            exemplar_cells=exemplar[i].shape[-1],
            search_cells=search[i].shape[-1],
            exemplar_padded=int(torch.count_nonzero(exemplar[i].sum(dim=1))),
            search_padded=int(torch.count_nonzero(search[i].sum(dim=1))),
        )
        for i, layer in enumerate(config.rpn_layers)
    ]
