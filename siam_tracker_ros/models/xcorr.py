"""Cross-correlation of exemplar kernels with search features.

Plain (SiamFC, Bertinetto et al., ECCVW 2016), up-channel (SiamRPN, Li et al., CVPR 2018) and depthwise
(SiamRPN++, Li et al., CVPR 2019, section 3.4). A batch holds independent pairs: sample n of the search
features meets sample n of the kernels only.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def xcorr(search: Tensor, kernel: Tensor) -> Tensor:
    """Plain correlation: [N, C, H, W] with [N, C, h, w] -> one response map [N, 1, H-h+1, W-w+1]."""
    return xcorr_up_channel(search, kernel)


def xcorr_up_channel(search: Tensor, kernel: Tensor) -> Tensor:
    """Up-channel correlation: [N, C, H, W] with [N, K*C, h, w] -> [N, K, H-h+1, W-w+1]."""
    n, channels, height, width = search.shape
    weight = kernel.reshape(-1, channels, *kernel.shape[2:])
    response = F.conv2d(search.reshape(1, n * channels, height, width), weight, groups=n)
    return response.reshape(n, -1, *response.shape[2:])


def xcorr_depthwise(search: Tensor, kernel: Tensor) -> Tensor:
    """Depthwise correlation: [N, C, H, W] with [N, C, h, w] -> [N, C, H-h+1, W-w+1]."""
    n, channels, height, width = search.shape
    weight = kernel.reshape(n * channels, 1, *kernel.shape[2:])
    response = F.conv2d(search.reshape(1, n * channels, height, width), weight, groups=n * channels)
    return response.reshape(n, channels, *response.shape[2:])
