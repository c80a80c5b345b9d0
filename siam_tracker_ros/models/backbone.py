"""What every backbone is: images in, features of the used layers out."""

from __future__ import annotations

from torch import Tensor, nn

from siam_tracker_ros.errors import SiamTrackerError


class NoSuchLayerError(SiamTrackerError, ValueError):
    """A layer asked for that a backbone does not have."""


class Backbone(nn.Module):
    """Base of the backbones; `channels` maps each used layer to its number of channels."""

    channels: dict[int, int]

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features} for the used layers."""
        raise NotImplementedError

    def layer(self, index: int) -> list[nn.Module]:
        """The modules that make layer `index` out of the one before. Raises NoSuchLayerError."""
        module = getattr(self, f"layer{index}", None)
        if not isinstance(module, nn.Module):
            raise NoSuchLayerError(f"a {type(self).__name__} has no layer {index}")
        return [module]

    def initialise(self) -> None:
        """Draw the weights of convolutions anew, for ReLUs after them (He et al., ICCV 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
