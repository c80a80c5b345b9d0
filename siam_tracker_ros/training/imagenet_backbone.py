"""Starting point of training: an ImageNet MobileNetV2 turned into this package's backbone.

The source is a MobileNetV2 state dict of width 1.0 as its authors' PyTorch ports store it: `features.0` the
stem, `features.1` to `features.17` the inverted residuals in flat `conv.N` form, RGB input with ImageNet's
mean and standard deviation. The target takes BGR 0..255 without mean or scale, so both are folded into the
stem; as our stem is not padded, the fold is exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from siam_tracker_ros.errors import SiamTrackerError

# Mean and standard deviation of ImageNet's training images, RGB, on a scale of 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_BN_EPS = 1e-5

# Inverted residuals features.1 to features.17, in the groups layer1 to layer7.
_DEPTHS = (1, 2, 3, 4, 3, 3, 1)
_BN_KEYS = ("weight", "bias", "running_mean", "running_var")


class BackboneImportError(SiamTrackerError, ValueError):
    """A state dict that is not a MobileNetV2 of the expected layout."""


def _stem(source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weight = source["features.0.0.weight"].double()
    mean = torch.tensor(IMAGENET_MEAN, dtype=torch.double).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, dtype=torch.double).view(1, 3, 1, 1)
    stem = {f"layer0.1.{key}": source[f"features.0.1.{key}"] for key in _BN_KEYS}
    # conv((x/255 - mean) / std) = conv'(x) - offset; batch norm takes the offset into its running mean.
    offset = (weight * mean / std).sum(dim=(1, 2, 3))
    stem["layer0.1.running_mean"] = (stem["layer0.1.running_mean"].double() + offset).float()
    stem["layer0.0.weight"] = (weight / (255.0 * std)).flip(1).float()
    return stem


def _identity_expansion(prefix: str, channels: int) -> dict[str, Tensor]:
    # The first block has no expansion in the source; an identity convolution and batch norm do nothing.
    # (ReLU6 after it changes nothing either: its input has passed one already.)
    return {
        f"{prefix}.0.weight": torch.eye(channels).view(channels, channels, 1, 1),
        f"{prefix}.1.weight": torch.ones(channels),
        f"{prefix}.1.bias": torch.zeros(channels),
        f"{prefix}.1.running_mean": torch.zeros(channels),
        f"{prefix}.1.running_var": torch.full((channels,), 1.0 - _BN_EPS),
    }


def imagenet_backbone_state(source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ImageNet MobileNetV2 state dict (`features.*`, width 1.0) -> state dict of our backbone at width 1.0.

    Batch-norm counters are left out. Raises BackboneImportError naming the first missing key.
    """
    try:
        state = _stem(source)
        index = 1
        for group, depth in enumerate(_DEPTHS, start=1):
            for block in range(depth):
                prefix = f"layer{group}.{block}.conv"
                skip = 0
                if index == 1:
                    state |= _identity_expansion(prefix, state["layer0.0.weight"].shape[0])
                    skip = 3
                convs = (0, 3, 6)[1 if skip else 0 :]
                for conv in convs:
                    state[f"{prefix}.{conv}.weight"] = source[f"features.{index}.conv.{conv - skip}.weight"]
                    for key in _BN_KEYS:
                        state[f"{prefix}.{conv + 1}.{key}"] = source[
                            f"features.{index}.conv.{conv + 1 - skip}.{key}"
                        ]
                index += 1
    except KeyError as error:
        raise BackboneImportError(
            f"not a width-1.0 MobileNetV2 in flat form: no tensor {error}; "
            f"expected features.0 to features.17 with conv.0 to conv.7"
        ) from None
    return state
