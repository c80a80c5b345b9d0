"""Region refinement: the box and the mask of a proposal (SiamAttn, Yu et al., CVPR 2020, section 3.3).

A depthwise correlation of every level is fused for the box, and the levels themselves with the first two
stages of the backbone for the mask. Deformable RoI pooling cuts the region out of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.config import RegionConfig
from siam_tracker_ros.models.deformable import DeformRoIPool
from siam_tracker_ros.models.rpn import DepthwiseXCorr, Kernels

# Deltas are predicted in these units: shifts as parts of the region's size, logarithms of changes of size.
BOX_STDS = (0.1, 0.1, 0.2, 0.2)
_MASK_CONVOLUTIONS = 4


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU, under the names of the published weights."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False)
        self.BN256 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K, H, W]."""
        return F.relu(self.BN256(self.conv(x)), inplace=True)


class FeatureFusion(nn.Module):
    """Fused features that regions are cut out of."""

    def __init__(self, stages: tuple[int, ...], levels: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvBlock(c, hidden, 1) for c in (*stages, *levels))
        self.xcorr = nn.ModuleList(DepthwiseXCorr(c, hidden, hidden) for c in levels)
        self.convs = nn.ModuleList(ConvBlock(hidden, hidden, 1) for _ in levels)

    def kernels(self, exemplar: Sequence[Tensor]) -> Kernels:
        """Exemplar levels -> one correlation kernel a level."""
        return tuple(
            cast(DepthwiseXCorr, xcorr).kernel(z) for xcorr, z in zip(self.xcorr, exemplar, strict=True)
        )

    def box_features(self, kernels: Kernels, levels: Sequence[Tensor]) -> Tensor:
        """Kernels and search levels -> [N, hidden, S, S], S the response map's side."""
        parts = [
            conv(xcorr(kernel, x))
            for conv, xcorr, kernel, x in zip(self.convs, self.xcorr, kernels, levels, strict=True)
        ]
        fused: Tensor = sum(parts[1:], start=parts[0])
        return fused

    def mask_features(self, stages: Sequence[Tensor], levels: Sequence[Tensor]) -> Tensor:
        """The first two stages and the search levels -> [N, hidden, H, W] of the second stage's size."""
        size = stages[-1].shape[2:]
        parts = [
            lateral(F.interpolate(x, size=size, mode="bilinear", align_corners=True))
            for lateral, x in zip(self.lateral_convs, (*stages, *levels), strict=True)
        ]
        fused: Tensor = sum(parts[1:], start=parts[0])
        return fused


class BoxHead(nn.Module):
    """Deltas of a region's box, by two fully connected layers."""

    def __init__(self, config: RegionConfig) -> None:
        super().__init__()
        self.roi_pool_b = DeformRoIPool(config.hidden, config.box_pool, config.offset_hidden)
        self.tail_det = nn.Sequential(
            nn.Linear(config.hidden * config.box_pool**2, config.box_hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.box_hidden, config.box_hidden),
            nn.ReLU(inplace=True),
        )
        self.tail_det_box = nn.Linear(config.box_hidden, 4)

    def forward(self, fused: Tensor, regions: Tensor, scale: float) -> Tensor:
        """Fused features and regions [M, 5] -> deltas [M, 4] in units of BOX_STDS."""
        pooled = self.roi_pool_b(fused, regions, scale)
        deltas: Tensor = self.tail_det_box(self.tail_det(pooled.flatten(1)))
        return deltas


class RegionMaskHead(nn.Module):
    """Mask of a region, by four convolutions and one transposed one."""

    def __init__(self, config: RegionConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.roi_pool_m = DeformRoIPool(hidden, config.mask_pool, config.offset_hidden)
        self.convs = nn.ModuleList(ConvBlock(hidden, hidden, 3) for _ in range(_MASK_CONVOLUTIONS))
        self.upsample = nn.ConvTranspose2d(hidden, hidden, config.mask_growth, config.mask_growth)
        self.conv_logits = nn.Conv2d(hidden, 1, 1)

    def forward(self, fused: Tensor, regions: Tensor, scale: float) -> Tensor:
        """Fused features and regions [M, 5] -> logits [M, side, side], the pool's side grown."""
        x = self.roi_pool_m(fused, regions, scale)
        for conv in self.convs:
            x = conv(x)
        logits: Tensor = self.conv_logits(F.relu(self.upsample(x), inplace=True))
        return logits.squeeze(1)
