"""The neck: adjusts each level to the head's channels and cuts the exemplar to its centre.

SiamRPN++ (Li et al., CVPR 2019, section 3.3): the 15x15 exemplar features are cropped to 7x7, both to
spare the correlation and to keep the padding's influence out.
"""

from __future__ import annotations

from torch import Tensor, nn

_CENTER_SIZE = 7
# Only exemplars are this narrow (15 cells); search regions start at 31.
_EXEMPLAR_WIDTH_LIMIT = 20


class AdjustLayer(nn.Module):
    """1x1 convolution and batch norm; maps narrower than 20 cells lose all but their centre 7x7."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[3] < _EXEMPLAR_WIDTH_LIMIT:
            start = (x.shape[3] - _CENTER_SIZE) // 2
            # Cropping first is the same for a 1x1 convolution, and spares its work on what is cut.
            x = x[:, :, start : start + _CENTER_SIZE, start : start + _CENTER_SIZE]
        y: Tensor = self.downsample(x)
        return y


class AdjustAllLayer(nn.Module):
    """One AdjustLayer per level, with PySOT's names: `downsample`, or `downsample2`, `downsample3`, ..."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        names = ["downsample"] if len(inputs) == 1 else [f"downsample{i + 2}" for i in range(len(inputs))]
        for name, level_inputs, level_outputs in zip(names, inputs, outputs, strict=True):
            self.add_module(name, AdjustLayer(level_inputs, level_outputs))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features per level -> adjusted features per level."""
        return [adjust(x) for adjust, x in zip(self.children(), features, strict=True)]
