"""Cross-correlation of exemplar kernels with search features.

Plain (SiamFC, Bertinetto et al., ECCVW 2016), up-channel (SiamRPN, Li et al., CVPR 2018) and depthwise
(SiamRPN++, Li et al., CVPR 2019, section 3.4). A batch holds independent pairs: sample n of the search
features meets sample n of the kernels only.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def xcorr(search: Tensor, kernel: Tensor) -> Tensor:
    """Plain correlation: [R * N, C, H, W] with [N, C, h, w] -> response maps [R * N, 1, H-h+1, W-w+1].

    R search regions a kernel: those at n, N + n, 2 * N + n, ... meet kernel n.
    """
    count, channels, height, width = search.shape
    n = kernel.shape[0]
    response = F.conv2d(search.reshape(count // n, n * channels, height, width), kernel, groups=n)
    return response.reshape(count, 1, *response.shape[2:])


def xcorr_up_channel(search: Tensor, kernel: Tensor) -> Tensor:
    """Up-channel correlation: [N, C, H, W] with [N, K*C, h, w] -> [N, K, H-h+1, W-w+1]."""
    n, channels, height, width = search.shape
    weight = kernel.reshape(-1, channels, *kernel.shape[2:])
    response = F.conv2d(search.reshape(1, n * channels, height, width), weight, groups=n)
    return response.reshape(n, -1, *response.shape[2:])


def xcorr_depthwise(search: Tensor, kernel: Tensor) -> Tensor:
    """Depthwise correlation: [N, C, H, W] with [N, C, h, w] -> [N, C, H-h+1, W-w+1]."""
    if torch.is_grad_enabled() and (search.requires_grad or kernel.requires_grad):
        # Under autocast one may be in half precision.
        dtype = torch.promote_types(search.dtype, kernel.dtype)
        response: Tensor = _DepthwiseXCorr.apply(search.to(dtype), kernel.to(dtype))  # type: ignore[no-untyped-call]
        return response
    return _correlate_channels(search, kernel)


def _correlate_channels(search: Tensor, kernel: Tensor) -> Tensor:
    n, channels, height, width = search.shape
    weight = kernel.reshape(n * channels, 1, *kernel.shape[2:])
    response = F.conv2d(search.reshape(1, n * channels, height, width), weight, groups=n * channels)
    return response.reshape(n, channels, *response.shape[2:])


class _DepthwiseXCorr(torch.autograd.Function):
    """Depthwise correlation whose gradients are depthwise correlations too.

    PyTorch's gradient of a grouped convolution by its weights takes several times the forward pass where
    there is one channel a group. That of the kernel is the search features correlated with the response's
    gradient; that of the search features is the padded gradient correlated with the turned kernel.
    """

    @staticmethod
    def forward(ctx: Any, search: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(search, kernel)
        return _correlate_channels(search, kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        search, kernel = ctx.saved_tensors
        gradient = gradients[0].to(search.dtype)
        rows, cols = kernel.shape[2] - 1, kernel.shape[3] - 1
        padded = F.pad(gradient, (cols, cols, rows, rows))
        return _correlate_channels(padded, kernel.flip(2, 3)), _correlate_channels(search, gradient)
