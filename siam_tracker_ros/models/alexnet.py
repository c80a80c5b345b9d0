"""The un-padded AlexNet with batch norm of SiamFC (Bertinetto et al., ECCVW 2016) and SiamRPN.

Its checkpoints name the layers in three ways: one flat list (`features.N`), five stages (`layerN.M`), both of
SiamRPN's line, or five stages (`convN.M`) of SiamFC's. All are built from the same modules here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, pairwise

from torch import Tensor, nn

from siam_tracker_ros.models.backbone import Backbone, NoSuchLayerError

_CHANNELS = (3, 96, 256, 384, 384, 256)
_KERNELS = (11, 5, 3, 3, 3)
_STAGES = 5


@dataclass(frozen=True)
class Variant:
    """What one AlexNet differs in from another.

    `groups` and `pool_strides` are per stage, a pool stride of 0 means no pooling; `rgb` networks were
    trained on images of that channel order.
    """

    channels: tuple[int, ...] = _CHANNELS
    groups: tuple[int, ...] = (1, 1, 1, 1, 1)
    pool_strides: tuple[int, ...] = (2, 2, 0, 0, 0)
    last_norm: bool = True
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    rgb: bool = False
    stage_name: str | None = "layer"


_SIAMFC = Variant(
    groups=(1, 2, 1, 2, 2), last_norm=False, norm_eps=1e-6, norm_momentum=0.05, rgb=True, stage_name="conv"
)
VARIANTS = {
    "alexnet": Variant(),
    "alexnetlegacy": Variant(stage_name=None),
    "alexnetv1": _SIAMFC,
    # Stride 4, and few channels to make up for the larger maps.
    "alexnetv2": replace(_SIAMFC, channels=(*_CHANNELS[:-1], 32), pool_strides=(2, 1, 0, 0, 0)),
    "alexnetv3": replace(
        _SIAMFC, channels=(3, 192, 512, 768, 768, 512), groups=(1, 1, 1, 1, 1), last_norm=True
    ),
}
"""SiamRPN's by the names of PySOT, and the three that SiamFC's PyTorch implementation has."""


def _stage(variant: Variant, index: int) -> list[nn.Module]:
    inputs, outputs = list(pairwise(variant.channels))[index]
    is_last = index == _STAGES - 1
    stage: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, _KERNELS[index], 2 if index == 0 else 1, groups=variant.groups[index])
    ]
    if not is_last or variant.last_norm:
        stage.append(nn.BatchNorm2d(outputs, variant.norm_eps, variant.norm_momentum))
    if variant.pool_strides[index]:
        stage.append(nn.MaxPool2d(3, variant.pool_strides[index]))
    if not is_last:
        stage.append(nn.ReLU(inplace=True))
    return stage


class AlexNet(Backbone):
    """AlexNet with stride 8; 127 px -> 6x6, 287 px -> 26x26. Its only layer is number 5."""

    def __init__(self, width_mult: float, used_layers: tuple[int, ...], variant: Variant) -> None:
        super().__init__()
        if used_layers != (5,):
            raise ValueError(f"AlexNet gives layer 5 only, not {used_layers}")
        channels = (3, *(int(c * width_mult) for c in variant.channels[1:]))
        variant = replace(variant, channels=channels)
        self.rgb = variant.rgb
        stages = [_stage(variant, index) for index in range(_STAGES)]
        if variant.stage_name is None:
            self.features = nn.Sequential(*chain.from_iterable(stages))
        else:
            for index, stage in enumerate(stages, start=1):
                self.add_module(f"{variant.stage_name}{index}", nn.Sequential(*stage))
        self.channels = {5: channels[-1]}
        if variant.rgb:
            # SiamFC's are trained from nothing.
            self.initialise()

    def layer(self, index: int) -> list[nn.Module]:
        learning = (nn.Conv2d, nn.BatchNorm2d)
        flat: list[nn.Module] = [module for module in self.modules() if isinstance(module, learning)]
        starts = [i for i, module in enumerate(flat) if isinstance(module, nn.Conv2d)]
        if not 1 <= index <= _STAGES:
            raise NoSuchLayerError(f"an AlexNet has layers 1 to {_STAGES}, not {index}")
        return flat[starts[index - 1] : [*starts, len(flat)][index]]

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W], BGR -> {5: features}."""
        if self.rgb:
            x = x.flip(1)
        for stage in self.children():
            x = stage(x)
        return {5: x}
