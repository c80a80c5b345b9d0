"""Convolutions with their weights laid out for oneDNN once, and the ReLU after them computed on the way.

PyTorch's plain convolution re-orders its weights at every call: for a tracker, 45 to 220 MB a frame. The
operator used here is the one that PyTorch's own compiler emits. It is not public, so that it is there and
does what it should is tried, not assumed.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

# Side of the feature maps that the layout is chosen for: that of a 255 px search region at stride 8.
_TYPICAL_SIDE = 31
# Activations that the operator can compute, with the arguments it wants for them.
_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}


class OneDnnConv2d(nn.Module):
    """Inference form of a convolution and, if given, the activation after it."""

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        super().__init__()
        if not isinstance(conv.padding, tuple):
            raise ValueError(f"padding '{conv.padding}' is not a number of px")
        self._geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        shape = [1, conv.in_channels, _TYPICAL_SIDE, _TYPICAL_SIDE]
        # No buffer: the layout is opaque to state dicts and to moves between devices.
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        self._weight: Tensor = reorder(conv.weight.detach().to_mkldnn(), *self._geometry, shape)
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._activation = ("none", []) if activation is None else _ACTIVATIONS[type(activation)]

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K, H', W']."""
        name, arguments = self._activation
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._geometry, name, arguments, ""
        )
        return y


@functools.cache
def available() -> bool:
    """Whether this PyTorch has the operator, and it does what it should."""
    if not torch._C._has_mkldnn:
        return False
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        conv, x = nn.Conv2d(4, 8, 3, padding=1), torch.randn(1, 4, 9, 9)
        try:
            return torch.allclose(OneDnnConv2d(conv, nn.ReLU())(x), conv(x).relu(), atol=1e-5)
        except (AttributeError, RuntimeError, TypeError):
            return False


def use_onednn(module: nn.Module) -> None:
    """Replace the convolutions of `module`, in place, and merge activations that directly follow one."""
    children = list(module.named_children())
    for index, (name, child) in enumerate(children):
        if not isinstance(child, nn.Conv2d):
            use_onednn(child)
            continue
        # What batch norm left behind stands between them.
        following = [(n, c) for n, c in children[index + 1 :] if not isinstance(c, nn.Identity)]
        activation = None
        # Only in a Sequential is the order of registration that of computation.
        if isinstance(module, nn.Sequential) and following and type(following[0][1]) in _ACTIVATIONS:
            activation_name, activation = following[0]
            setattr(module, activation_name, nn.Identity())
        setattr(module, name, OneDnnConv2d(child, activation))
