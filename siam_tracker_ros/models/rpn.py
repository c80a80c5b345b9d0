"""Region proposal heads on correlation: up-channel, depthwise, and several depthwise levels weighed.

Every head splits in two: `kernels(exemplar)` is what a target needs once, `forward(kernels, search)` what a
frame needs. Both return and take tensors with a leading batch dimension of targets. Classification has
2*K channels (K anchors, background first), regression 4*K (dx, dy, dw, dh). Module names are PySOT's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.xcorr import xcorr, xcorr_depthwise, xcorr_up_channel

Kernels = tuple[Tensor, ...]


def conv_bn_relu(inputs: int, outputs: int, kernel_size: int) -> nn.Sequential:
    """Un-padded convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=kernel_size, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Embedding(nn.Module):
    """The two asymmetric convolutions before a depthwise correlation (SiamRPN++, section 3.4)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.conv_kernel = conv_bn_relu(inputs, hidden, 3)
        self.conv_search = conv_bn_relu(inputs, hidden, 3)

    def kernel(self, exemplar: Tensor) -> Tensor:
        """Exemplar features [N, C, 7, 7] -> correlation kernel [N, hidden, 5, 5]."""
        y: Tensor = self.conv_kernel(exemplar)
        return y


def head_1x1(hidden: int, outputs: int) -> nn.Sequential:
    """Two 1x1 convolutions that read a response vector."""
    return nn.Sequential(*conv_bn_relu(hidden, hidden, 1), nn.Conv2d(hidden, outputs, 1))


class DepthwiseXCorr(Embedding):
    """Depthwise correlation between two embeddings, then a two-layer head (SiamRPN++, figure 6c)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(inputs, hidden)
        self.head = head_1x1(hidden, outputs)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Kernel [N, hidden, h, w], search features [N, C, H, W] -> [N, outputs, H-h-1, W-w-1]."""
        y: Tensor = self.head(xcorr_depthwise(self.conv_search(search), kernel))
        return y


class DepthwiseRPN(nn.Module):
    """Depthwise RPN of one level (SiamRPN++, section 3.4)."""

    def __init__(self, anchor_num: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cls = DepthwiseXCorr(inputs, hidden, 2 * anchor_num)
        self.loc = DepthwiseXCorr(inputs, hidden, 4 * anchor_num)

    def kernels(self, exemplar: list[Tensor]) -> Kernels:
        """Exemplar features, one level -> (classification kernel, regression kernel)."""
        return self.cls.kernel(exemplar[0]), self.loc.kernel(exemplar[0])

    def forward(self, kernels: Kernels, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels and search features, one level -> cls [N, 2K, S, S], loc [N, 4K, S, S]."""
        return self.cls(kernels[0], search[0]), self.loc(kernels[1], search[0])


class UPChannelRPN(nn.Module):
    """Up-channel RPN (SiamRPN, Li et al., CVPR 2018, section 3.2).

    A `logistic` one gives one logit an anchor (SiamDW, Zhang and Peng, CVPR 2019); what it returns has the
    background's as well, which is 0.
    """

    def __init__(self, anchor_num: int, inputs: int, hidden: int, logistic: bool) -> None:
        super().__init__()
        self.logistic = logistic
        logits = anchor_num if logistic else 2 * anchor_num
        self.template_cls_conv = nn.Conv2d(inputs, hidden * logits, kernel_size=3)
        self.template_loc_conv = nn.Conv2d(inputs, hidden * 4 * anchor_num, kernel_size=3)
        self.search_cls_conv = nn.Conv2d(inputs, hidden, kernel_size=3)
        self.search_loc_conv = nn.Conv2d(inputs, hidden, kernel_size=3)
        self.loc_adjust = nn.Conv2d(4 * anchor_num, 4 * anchor_num, kernel_size=1)
        # What they make are weights themselves, of a correlation over `hidden` channels and about 4 x 4
        # cells: they start as small as a convolution's would, or the first losses are in the thousands.
        with torch.no_grad():
            for conv in (self.template_cls_conv, self.template_loc_conv):
                conv.weight /= 4 * math.sqrt(hidden)

    def kernels(self, exemplar: list[Tensor]) -> Kernels:
        """Exemplar features, one level -> (cls kernel [N, 2K*C, h, w], loc kernel [N, 4K*C, h, w])."""
        return self.template_cls_conv(exemplar[0]), self.template_loc_conv(exemplar[0])

    def forward(self, kernels: Kernels, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels and search features, one level -> cls [N, 2K, S, S], loc [N, 4K, S, S]."""
        cls = xcorr_up_channel(self.search_cls_conv(search[0]), kernels[0])
        if self.logistic:
            cls = F.pad(cls, (0, 0, 0, 0, cls.shape[1], 0))
        loc = xcorr_up_channel(self.search_loc_conv(search[0]), kernels[1])
        return cls, self.loc_adjust(loc)


def _as_one_anchor(score: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, 1, S, S] -> cls with the background's, 0, before them, and loc of zeros."""
    return F.pad(score, (0, 0, 0, 0, 1, 0)), score.new_zeros(len(score), 4, *score.shape[2:])


class SimilarityHead(nn.Module):
    """One score a cell and no box: the classification branch of SiamMask's two-branch variant (appendix A).

    It answers as an RPN with one anchor does, so that nothing after it has to know: the background's logit
    is 0, the regression is 0, and each box is the anchor as it is.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cls = DepthwiseXCorr(inputs, hidden, 1)

    def kernels(self, exemplar: list[Tensor]) -> Kernels:
        """Exemplar features, one level -> the score's kernel."""
        return (self.cls.kernel(exemplar[0]),)

    def forward(self, kernels: Kernels, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernel and search features, one level -> cls [N, 2, S, S], loc [N, 4, S, S] of zeros."""
        return _as_one_anchor(self.cls(kernels[0], search[0]))


class CorrelationHead(nn.Module):
    """One response a cell, the plain correlation times a constant (SiamFC, Bertinetto et al., ECCVW 2016).

    It has no weights. It answers as `SimilarityHead` does, and takes R search regions a kernel, as `xcorr`
    does.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def kernels(self, exemplar: list[Tensor]) -> Kernels:
        """Exemplar features, one level -> themselves."""
        return (exemplar[0],)

    def forward(self, kernels: Kernels, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels of N, search features of R * N, one level -> cls [R * N, 2, S, S], loc [R * N, 4, S, S]."""
        return _as_one_anchor(xcorr(search[0], kernels[0]) * self.scale)


class MultiRPN(nn.Module):
    """One depthwise RPN per level; their outputs are averaged, with learned weights where `weighted`.

    Layer-wise aggregation, SiamRPN++ section 3.3, equation 3; the weights pass a softmax.
    """

    cls_weight: Tensor
    loc_weight: Tensor

    def __init__(self, anchor_num: int, inputs: tuple[int, ...], weighted: bool) -> None:
        super().__init__()
        self.levels = len(inputs)
        self.weighted = weighted
        for index, channels in enumerate(inputs):
            self.add_module(f"rpn{index + 2}", DepthwiseRPN(anchor_num, channels, channels))
        if weighted:
            self.cls_weight = nn.Parameter(torch.ones(self.levels))
            self.loc_weight = nn.Parameter(torch.ones(self.levels))

    def _level(self, index: int) -> DepthwiseRPN:
        level: DepthwiseRPN = getattr(self, f"rpn{index + 2}")
        return level

    def kernels(self, exemplar: list[Tensor]) -> Kernels:
        """Exemplar features per level -> (cls, loc) kernels of level 1, of level 2, ..."""
        return tuple(k for i in range(self.levels) for k in self._level(i).kernels(exemplar[i : i + 1]))

    def forward(self, kernels: Kernels, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels and search features per level -> cls [N, 2K, S, S], loc [N, 4K, S, S]."""
        outputs = [self._level(i)(kernels[2 * i : 2 * i + 2], search[i : i + 1]) for i in range(self.levels)]
        cls_levels, loc_levels = zip(*outputs, strict=True)
        if not self.weighted:
            return sum(cls_levels) / self.levels, sum(loc_levels) / self.levels
        cls_weight = torch.softmax(self.cls_weight, 0)
        loc_weight = torch.softmax(self.loc_weight, 0)
        cls = sum(level * weight for level, weight in zip(cls_levels, cls_weight, strict=True))
        loc = sum(level * weight for level, weight in zip(loc_levels, loc_weight, strict=True))
        return cls, loc
