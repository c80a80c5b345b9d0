"""What every backbone is: images in, features of the used layers out."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Base of the backbones; `channels` maps each used layer to its number of channels."""

    channels: dict[int, int]

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features} for the used layers."""
        raise NotImplementedError
