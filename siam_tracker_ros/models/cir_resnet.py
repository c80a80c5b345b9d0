"""Residual backbones whose units crop inside: CIResNet-22, its wide form, CIResIncep-22 and CIResNeXt-22.

SiamDW (Zhang and Peng, CVPR 2019, section 4). A unit pads its 3x3 convolution and then cuts off the outermost
ring of its output, which is what the padding has touched. Nothing after the 3x3 convolution looks beyond a
cell, so the same values come of leaving the padding out and cutting that ring off the shortcut: so it is
done here, and the ring is never computed. The down-sampling unit (CIR-D) is a unit without stride and a 2x2
max pooling after it. The last unit has no ReLU, so that features may be negative. Module names are those of
the published checkpoints.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, cat, nn

from siam_tracker_ros.models.backbone import Backbone

# Units per stage, and the 3x3 convolution's channels in each.
_DEPTHS = (3, 4)
_PLANES = (64, 128)
_STEM_CHANNELS = 64
_CARDINALITY = 32

Unit = Callable[[int, int, bool], nn.Module]
"""Makes a unit out of its input channels, its planes, and whether it ends in a ReLU."""


def _without_ring(x: Tensor) -> Tensor:
    return x[:, :, 1:-1, 1:-1]


def _conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)


def _conv3x3(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, groups=groups, bias=False)


class CIRUnit(nn.Module):
    """Cropping-inside residual bottleneck: [N, C, H, W] -> [N, 4 * planes, H - 2, W - 2].

    `width` multiplies the channels of its 3x3 convolution (2 in CIResNet-22W).
    """

    expansion = 4

    def __init__(self, inputs: int, planes: int, relu: bool, width: int = 1) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = _conv1x1(inputs, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes * width)
        self.bn2 = nn.BatchNorm2d(planes * width)
        self.conv3 = _conv1x1(planes * width, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        # A unit starts as its shortcut: sums over units would make the first responses too large to learn.
        nn.init.zeros_(self.bn3.weight)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.ReLU(inplace=True) if relu else nn.Identity()
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            self.downsample = nn.Sequential(_conv1x1(inputs, outputs), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        residual = _without_ring(x)
        if self.downsample is not None:
            residual = self.downsample(residual)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += residual
        out: Tensor = self.last(y)
        return out


class _Branch3x3(nn.Module):
    """The bottleneck of an inception unit."""

    def __init__(self, inputs: int, planes: int, relu: bool) -> None:
        super().__init__()
        self.conv1 = _conv1x1(inputs, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv1x1(planes, planes * 4)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        out: Tensor = self.last(self.bn3(self.conv3(y)))
        return out


class _Branch1x1(nn.Module):
    """The shortcut of an inception unit."""

    def __init__(self, inputs: int, planes: int, relu: bool) -> None:
        super().__init__()
        self.conv = _conv1x1(inputs, planes)
        self.bn = nn.BatchNorm2d(planes, eps=1e-3)
        self.last = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.bn(self.conv(x)))
        return out


class CIRInceptionUnit(nn.Module):
    """CIR-Inception: a bottleneck beside a 1x1 shortcut, [N, C, H, W] -> [N, 5 * planes, H - 2, W - 2]."""

    expansion = 5

    def __init__(self, inputs: int, planes: int, relu: bool) -> None:
        super().__init__()
        self.branch3x3 = _Branch3x3(inputs, planes, relu)
        self.branch1x1 = _Branch1x1(inputs, planes, relu)

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch3x3(x), self.branch1x1(_without_ring(x))], dim=1)


class CIRNeXtUnit(nn.Module):
    """CIR-NeXt: 32 groups in the 3x3 convolution, [N, C, H, W] -> [N, 4 * planes, H - 2, W - 2]."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, relu: bool) -> None:
        super().__init__()
        inner, outputs = planes * 2, planes * self.expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1_0=_conv1x1(inputs, inner),
            bn1=nn.BatchNorm2d(inner),
            act0=nn.ReLU(inplace=True),
            conv3_0=_conv3x3(inner, inner, _CARDINALITY),
            bn2=nn.BatchNorm2d(inner),
            act1=nn.ReLU(inplace=True),
            conv1_1=_conv1x1(inner, outputs),
            bn3=nn.BatchNorm2d(outputs),
        )
        self.basic = nn.Sequential(layers)
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut.append(_conv1x1(inputs, outputs))
        self.bn0 = nn.BatchNorm2d(outputs)
        self.last = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.basic(x) + self.shortcut(_without_ring(x))
        out: Tensor = self.last(self.bn0(y))
        return out


@dataclass(frozen=True)
class Variant:
    """What one of the backbones differs in from another: its unit and its stem.

    A cropping stem pads its 7x7 convolution, cuts the two outer rings off and pools 2x2; the other neither
    pads nor cuts, and pools 3x3. `stem_name` is the number in the names of the stem's layers.
    """

    unit: Unit
    expansion: int
    crops_stem: bool = False
    stem_bias: bool = False
    stem_name: str = "1"


VARIANTS = {
    "cir_resnet22": Variant(CIRUnit, CIRUnit.expansion, crops_stem=True),
    "cir_resnet22w": Variant(partial(CIRUnit, width=2), CIRUnit.expansion, crops_stem=True),
    "cir_incep22": Variant(CIRInceptionUnit, CIRInceptionUnit.expansion),
    "cir_next22": Variant(CIRNeXtUnit, CIRNeXtUnit.expansion, stem_bias=True, stem_name="0"),
}


class CIRNet(Backbone):
    """A stem and two stages of units, stride 8: 127 px -> 5x5, 255 px -> 21x21.

    Layer 0 is the stem with its pooling (stride 4), 1 and 2 are the stages (strides 4 and 8).
    """

    def __init__(self, variant: Variant, used_layers: tuple[int, ...]) -> None:
        super().__init__()
        if not set(used_layers) <= {0, 1, 2}:
            raise ValueError(f"a CIR backbone gives layers 0, 1 and 2, not {used_layers}")
        self.used_layers = used_layers
        self.crops_stem = variant.crops_stem
        self._stem_names = (f"conv{variant.stem_name}", f"bn{variant.stem_name}")
        stem = nn.Conv2d(3, _STEM_CHANNELS, kernel_size=7, stride=2, bias=variant.stem_bias)
        self.add_module(self._stem_names[0], stem)
        self.add_module(self._stem_names[1], nn.BatchNorm2d(_STEM_CHANNELS))
        self.relu = nn.ReLU(inplace=True)
        self.stem_pool = nn.MaxPool2d(2 if variant.crops_stem else 3, stride=2)
        widths = [_STEM_CHANNELS, *(planes * variant.expansion for planes in _PLANES)]
        self.layer1 = nn.Sequential(*_units(variant.unit, widths[0], widths[1], 0))
        units = _units(variant.unit, widths[1], widths[2], 1)
        self.layer2 = nn.Sequential(units[0], nn.MaxPool2d(2, stride=2), *units[1:])
        self.channels = {layer: widths[layer] for layer in used_layers}
        self.initialise()

    def layer(self, index: int) -> list[nn.Module]:
        if index == 0:
            return [getattr(self, name) for name in self._stem_names]
        return super().layer(index)

    def _stem(self, x: Tensor) -> Tensor:
        conv, norm = (getattr(self, name) for name in self._stem_names)
        if self.crops_stem:
            # With a stride of two, the cells left after the cut read all px but the outermost ones.
            x = _without_ring(x)
        y: Tensor = self.stem_pool(self.relu(norm(conv(x))))
        return y

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features} for the used layers."""
        layers = {0: self._stem(x)}
        layers[1] = self.layer1(layers[0])
        layers[2] = self.layer2(layers[1])
        return {layer: layers[layer] for layer in self.used_layers}


def _units(unit: Unit, inputs: int, outputs: int, stage: int) -> list[nn.Module]:
    depth, planes = _DEPTHS[stage], _PLANES[stage]
    is_last_stage = stage == len(_DEPTHS) - 1
    return [
        unit(inputs if index == 0 else outputs, planes, not (is_last_stage and index == depth - 1))
        for index in range(depth)
    ]
