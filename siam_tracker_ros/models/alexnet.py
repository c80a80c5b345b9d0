"""The un-padded AlexNet with batch norm of SiamFC (Bertinetto et al., ECCVW 2016) and SiamRPN.

PySOT's checkpoints name its layers in two ways, one flat list (`features.N`) or five stages
(`layerN.M`); both are built from the same modules here.
"""

from __future__ import annotations

from itertools import chain

from torch import Tensor, nn

from siam_tracker_ros.models.backbone import Backbone

_CHANNELS = (96, 256, 384, 384, 256)


def _stages(width_mult: float) -> list[list[nn.Module]]:
    c1, c2, c3, c4, c5 = (int(c * width_mult) for c in _CHANNELS)
    return [
        [nn.Conv2d(3, c1, 11, 2), nn.BatchNorm2d(c1), nn.MaxPool2d(3, 2), nn.ReLU(inplace=True)],
        [nn.Conv2d(c1, c2, 5), nn.BatchNorm2d(c2), nn.MaxPool2d(3, 2), nn.ReLU(inplace=True)],
        [nn.Conv2d(c2, c3, 3), nn.BatchNorm2d(c3), nn.ReLU(inplace=True)],
        [nn.Conv2d(c3, c4, 3), nn.BatchNorm2d(c4), nn.ReLU(inplace=True)],
        [nn.Conv2d(c4, c5, 3), nn.BatchNorm2d(c5)],
    ]


class AlexNet(Backbone):
    """AlexNet with stride 8; 127 px -> 6x6, 287 px -> 26x26. Its only layer is number 5."""

    def __init__(self, width_mult: float, used_layers: tuple[int, ...], flat_keys: bool) -> None:
        super().__init__()
        if used_layers != (5,):
            raise ValueError(f"AlexNet gives layer 5 only, not {used_layers}")
        stages = _stages(width_mult)
        if flat_keys:
            self.features = nn.Sequential(*chain.from_iterable(stages))
        else:
            for index, stage in enumerate(stages, start=1):
                self.add_module(f"layer{index}", nn.Sequential(*stage))
        self.channels = {5: int(_CHANNELS[-1] * width_mult)}

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {5: features}."""
        for stage in self.children():
            x = stage(x)
        return {5: x}
