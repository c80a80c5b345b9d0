"""MobileNetV2 of any width with stride 8 (Sandler et al., CVPR 2018; dilated as in SiamRPN++).

Module names are PySOT's, since they are the keys of its checkpoints: layer0 is the stem, layer1 to layer7
the groups of inverted residuals.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from siam_tracker_ros.models.backbone import Backbone


class _Group(NamedTuple):
    expand: int
    channels: int
    depth: int
    stride: int
    dilation: int


_STEM_CHANNELS = 32
_GROUPS = (
    _Group(1, 16, 1, 1, 1),
    _Group(6, 24, 2, 2, 1),
    _Group(6, 32, 3, 2, 1),
    _Group(6, 64, 4, 1, 2),
    _Group(6, 96, 3, 1, 2),
    _Group(6, 160, 3, 1, 4),
    _Group(6, 320, 1, 1, 4),
)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; residual where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int, dilation: int) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        hidden = inputs * expand
        # Strided convolutions are not padded, as in the ResNets.
        padding = 0 if stride == 2 else dilation
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, padding, dilation=dilation, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        if self.residual:
            y += x
        return y


class MobileNetV2(Backbone):
    """MobileNetV2; layers 0 and 1 have stride 2, layer 2 stride 4, layers 3 to 7 stride 8."""

    def __init__(self, width_mult: float, used_layers: tuple[int, ...]) -> None:
        super().__init__()
        self.used_layers = used_layers
        self.last_layer = max(used_layers)
        inputs = int(_STEM_CHANNELS * width_mult)
        self.layer0 = nn.Sequential(
            nn.Conv2d(3, inputs, 3, 2, 0, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6(inplace=True)
        )
        channels = {0: inputs}
        dilation_before = 1
        for index, group in enumerate(_GROUPS[: self.last_layer], start=1):
            outputs = int(group.channels * width_mult)
            # Where the dilation rises, the first block keeps the grid of the group before it.
            first = group.dilation if group.dilation == dilation_before else max(group.dilation // 2, 1)
            blocks = [InvertedResidual(inputs, outputs, group.stride, group.expand, first)]
            blocks += [
                InvertedResidual(outputs, outputs, 1, group.expand, group.dilation)
                for _ in range(1, group.depth)
            ]
            self.add_module(f"layer{index}", nn.Sequential(*blocks))
            inputs = outputs
            channels[index] = outputs
            dilation_before = group.dilation
        self.channels = {layer: channels[layer] for layer in used_layers}

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features} for the used layers."""
        features = {}
        for index in range(self.last_layer + 1):
            x = getattr(self, f"layer{index}")(x)
            features[index] = x
        return {layer: features[layer] for layer in self.used_layers}
