"""ResNet-18/34/50 with stride 8: the strides of the last two stages become dilation.

He et al., CVPR 2016; the dilated, un-padded form is SiamRPN++'s (Li et al., CVPR 2019, section 3.3). Module
names are PySOT's, since they are the keys of its checkpoints.
"""

from __future__ import annotations

from torch import Tensor, nn

from siam_tracker_ros.models.backbone import Backbone

_STAGE_PLANES = (64, 128, 256, 512)
_STAGE_STRIDES = (1, 2, 1, 1)
_STAGE_DILATIONS = (1, 1, 2, 4)


def _first_block_dilation(dilation: int) -> int:
    # The block that would have had the stride keeps half the dilation, so that it samples the grid of the
    # stage before it.
    return max(dilation // 2, 1)


def _spatial_padding(stride: int, dilation: int) -> int:
    # A strided 3x3 convolution is not padded: padding would break the translation that a Siamese
    # tracker relies on, and 127 and 255 px shrink to odd sides as they should.
    return 0 if stride == 2 else dilation


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        inputs,
        outputs,
        kernel_size=3,
        stride=stride,
        padding=_spatial_padding(stride, dilation),
        dilation=dilation,
        bias=False,
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the residual, of ResNet-18 and ResNet-34."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int, dilation: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        first = _first_block_dilation(dilation) if downsample is not None else dilation
        self.conv1 = _conv3x3(inputs, planes, stride, first)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, 1, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += residual
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and the residual, of ResNet-50."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int, dilation: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        if downsample is not None:
            dilation = _first_block_dilation(dilation)
        self.conv1 = nn.Conv2d(inputs, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, stride, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += residual
        out: Tensor = self.relu(y)
        return out


class ResNet(Backbone):
    """Dilated ResNet.

    Layer 0 is the stem after its ReLU (stride 2), 1 to 4 the stages (strides 4, 8, 8, 8). Stages above the
    last one used are not built.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        used_layers: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.used_layers = used_layers
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=0, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.last_layer = max(used_layers)
        inputs = 64
        channels = {0: 64}
        for index in range(1, self.last_layer + 1):
            planes = _STAGE_PLANES[index - 1]
            stage = _make_stage(
                block,
                inputs,
                planes,
                depths[index - 1],
                _STAGE_STRIDES[index - 1],
                _STAGE_DILATIONS[index - 1],
            )
            self.add_module(f"layer{index}", stage)
            inputs = planes * block.expansion
            channels[index] = inputs
        self.channels = {layer: channels[layer] for layer in used_layers}

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features} for the used layers."""
        x = self.relu(self.bn1(self.conv1(x)))
        features = {0: x}
        x = self.maxpool(x)
        for index in range(1, self.last_layer + 1):
            x = getattr(self, f"layer{index}")(x)
            features[index] = x
        return {layer: features[layer] for layer in self.used_layers}


def _make_stage(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    planes: int,
    depth: int,
    stride: int,
    dilation: int,
) -> nn.Sequential:
    outputs = planes * block.expansion
    downsample: nn.Module | None = None
    if stride != 1 or inputs != outputs:
        # PySOT's projection is 3x3 wherever the stage strides or dilates, 1x1 only in the first stage.
        if stride == 1 and dilation == 1:
            projection = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)
        else:
            projection = _conv3x3(inputs, outputs, stride, _first_block_dilation(dilation))
        downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))
    blocks: list[nn.Module] = [block(inputs, planes, stride, dilation, downsample)]
    blocks += [block(outputs, planes, 1, dilation, None) for _ in range(1, depth)]
    return nn.Sequential(*blocks)


def resnet18(used_layers: tuple[int, ...]) -> ResNet:
    """ResNet-18, stages of 2, 2, 2, 2 basic blocks."""
    return ResNet(BasicBlock, (2, 2, 2, 2), used_layers)


def resnet34(used_layers: tuple[int, ...]) -> ResNet:
    """ResNet-34, stages of 3, 4, 6, 3 basic blocks."""
    return ResNet(BasicBlock, (3, 4, 6, 3), used_layers)


def resnet50(used_layers: tuple[int, ...]) -> ResNet:
    """ResNet-50, stages of 3, 4, 6, 3 bottlenecks."""
    return ResNet(Bottleneck, (3, 4, 6, 3), used_layers)
