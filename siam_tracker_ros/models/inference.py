"""Inference form of a network: batch norm folded away, weights laid out for the device, no gradients."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from siam_tracker_ros.models import onednn
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.winograd import WinogradConv2d, pays_off


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


def use_winograd(module: nn.Module) -> None:
    """Replace the wide 3x3 convolutions of `module`, in place, by their Winograd form."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and pays_off(child):
            setattr(module, name, WinogradConv2d(child))
        else:
            use_winograd(child)


def inference_copy(network: SiameseNetwork, device: torch.device, dtype: torch.dtype) -> SiameseNetwork:
    """A copy of `network` for inference on `device` in `dtype`; the original is left as it is."""
    fused: SiameseNetwork = copy.deepcopy(network).eval().requires_grad_(False)
    fuse_batch_norm(fused)
    on_plain_cpu = device.type == "cpu" and dtype == torch.float32
    if on_plain_cpu:
        # cuDNN chooses such algorithms itself, and in half precision the CPU's matrix units win.
        use_winograd(fused)
    for parameter in fused.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    fused = fused.to(device=device, dtype=dtype)
    if on_plain_cpu and onednn.available():
        onednn.use_onednn(fused)
    return fused
