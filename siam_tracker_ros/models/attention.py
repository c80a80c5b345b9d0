"""Deformable Siamese attention (SiamAttn, Yu et al., CVPR 2020, section 3.2).

Exemplar and search features enhance themselves by spatial and channel self-attention, and each other by
channel cross-attention; a deformable convolution takes up the sum. Since cross-attention needs both, the
exemplar's features are finished anew for every search region; what of them does not depend on it is computed
once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siam_tracker_ros.models.deformable import DeformConv2d

# Query and key have this part of the channels.
_REDUCTION = 8
# Tensors kept of the exemplar for each level: features, self-attended features, channel attention.
_PER_LEVEL = 3


class SpatialAttention(nn.Module):
    """Self-attention over places (section 3.2, equation 1; the position attention of DANet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(channels, max(channels // _REDUCTION, 1), 1)
        self.key_conv = nn.Conv2d(channels, max(channels // _REDUCTION, 1), 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> what each place takes of every other, [N, H*W, H*W], rows of sum 1."""
        query, key = self.query_conv(x).flatten(2), self.key_conv(x).flatten(2)
        return torch.softmax(query.transpose(1, 2) @ key, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        taken = self.value_conv(x).flatten(2) @ self.weights(x).transpose(1, 2)
        y: Tensor = self.gamma * taken.view_as(x) + x
        return y


def channel_weights(x: Tensor) -> Tensor:
    """[N, C, H, W] -> what each channel takes of every other, [N, C, C], rows of sum 1.

    The less alike two channels are, the more is taken (DANet's channel attention).
    """
    # In half precision the sums over all places could overflow.
    flat = x.float().flatten(2)
    alike = flat @ flat.transpose(1, 2)
    return torch.softmax(alike.amax(dim=-1, keepdim=True) - alike, dim=-1).to(x.dtype)


class ChannelAttention(nn.Module):
    """Channels mixed by given weights: the features' own, or the other branch's (equations 2 and 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """[N, C, H, W] and weights [N, C, C] -> [N, C, H, W]."""
        y: Tensor = self.gamma * (weights @ x.flatten(2)).view_as(x) + x
        return y


class FeatureEnhance(nn.Module):
    """Attention and deformable convolution of every level; both branches share the weights."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.pams = nn.ModuleList(SpatialAttention(c) for c in channels)
        self.cam_uses = nn.ModuleList(ChannelAttention() for _ in channels)
        self.deform_convs = nn.ModuleList(DeformConv2d(c) for c in channels)

    def exemplar(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What of the exemplar's levels does not depend on a search region, level by level."""
        kept: list[Tensor] = []
        for pam, cam, z in zip(self.pams, self.cam_uses, levels, strict=True):
            weights = channel_weights(z)
            kept += [z, pam(z) + cam(z, weights), weights]
        return tuple(kept)

    def forward(
        self, exemplar: Sequence[Tensor], search: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Kept tensors of the exemplar and levels of the search region -> enhanced levels of both."""
        of_exemplar, of_search = [], []
        for i, x in enumerate(search):
            z, z_self, z_weights = exemplar[_PER_LEVEL * i : _PER_LEVEL * (i + 1)]
            pam, cam, deform = self.pams[i], self.cam_uses[i], self.deform_convs[i]
            x_weights = channel_weights(x)
            of_exemplar.append(deform(z_self + cam(z, x_weights)))
            of_search.append(deform(pam(x) + cam(x, x_weights) + cam(x, z_weights)))
        return of_exemplar, of_search
