"""Inference form of a network: batch norm folded into the convolution before it."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_batch_norm(module: nn.Module) -> None:
    """Fold every batch norm of `module`, in place, into the convolution registered right before it.

    The module must be in eval mode; afterwards it cannot be trained and its state dict has other keys.
    """
    previous_name, previous = "", None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            setattr(module, previous_name, fuse_conv_bn_eval(previous, child))
            setattr(module, name, nn.Identity())
        else:
            fuse_batch_norm(child)
        previous_name, previous = name, child
