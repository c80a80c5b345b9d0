"""3x3 convolution by Winograd's minimal filtering F(2x2, 3x3), for wide layers on the CPU.

Lavin and Gray, CVPR 2016, section 4.1: 16 products per 2x2 outputs in place of 36, as 16 matrix products.
The sums are shorter too, so the result is nearer to the exact one than that of a direct convolution.
Dilation d turns into d*d interleaved undilated grids.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Below this many weights per tap the transforms cost more than they spare (measured on x86 with AVX-512).
_MIN_CHANNEL_PRODUCT = 256 * 256
# Bounds the memory of the transformed input and output on large search regions.
_MAX_TILES = 1024

_KERNEL_TRANSFORM = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def pays_off(conv: nn.Conv2d) -> bool:
    """Whether `conv` can be computed this way and is wide enough to gain by it."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.dilation[0] == conv.dilation[1]
        and isinstance(conv.padding, tuple)
        and conv.padding[0] == conv.padding[1]
        and conv.in_channels * conv.out_channels >= _MIN_CHANNEL_PRODUCT
    )


class WinogradConv2d(nn.Module):
    """Inference form of a 3x3, stride 1 convolution; the input is best laid out channels last."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        transform = torch.tensor(_KERNEL_TRANSFORM, dtype=torch.float64)
        weight = torch.einsum("ay,oiyx,bx->abio", transform, conv.weight.double(), transform)
        self.register_buffer(
            "weight", weight.flatten(0, 1).to(conv.weight.dtype).contiguous(), persistent=False
        )
        self.register_buffer("bias", conv.bias, persistent=False)
        self.padding = int(conv.padding[0])
        self.dilation = conv.dilation[0]

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K, H', W'], as the convolution would."""
        n, _, height, width = x.shape
        d, pad = self.dilation, self.padding
        out_height, out_width = height + 2 * (pad - d), width + 2 * (pad - d)
        # Rows and columns of 2x2 output tiles in each of the d*d interleaved grids.
        tile_rows, tile_cols = -(-out_height // (2 * d)), -(-out_width // (2 * d))
        below = (2 * tile_rows + 2) * d - height - pad
        right = (2 * tile_cols + 2) * d - width - pad
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, pad, right, pad, below))
        # [N, d, d, rows, cols, C]: one undilated image per phase of the dilation.
        grids = padded.reshape(n, -1, d, padded.shape[2] // d, d, padded.shape[3]).permute(0, 2, 4, 1, 3, 5)
        block = max(1, _MAX_TILES // (n * d * d * tile_cols))
        parts = [
            self._tiles(grids[:, :, :, 2 * start : 2 * min(start + block, tile_rows) + 2])
            for start in range(0, tile_rows, block)
        ]
        out = torch.cat(parts, dim=3) if len(parts) > 1 else parts[0]
        # [N, d, d, rows, cols, K] -> [N, K, rows * d, cols * d], cut to size.
        out = out.permute(0, 3, 1, 4, 2, 5).flatten(3, 4).flatten(1, 2)
        return out[:, :out_height, :out_width].permute(0, 3, 1, 2)

    def _tiles(self, grids: Tensor) -> Tensor:
        """Convolve un-padded: [N, d, d, 2*r + 2, 2*c + 2, C] -> [N, d, d, 2*r, 2*c, K]."""
        n, d, _, rows, cols, channels = grids.shape
        rows, cols = rows // 2 - 1, cols // 2 - 1
        # Input px (i, j) of every 4x4 tile lies at rows i, i + 2, ... and columns j, j + 2, ...
        strips = [grids[:, :, :, i : i + 2 * rows : 2] for i in range(4)]
        inputs = grids.new_empty(4, 4, n, d, d, rows, cols, channels)
        for i, strip in enumerate(
            (strips[0] - strips[2], strips[1] + strips[2], strips[2] - strips[1], strips[1] - strips[3])
        ):
            t = [strip[:, :, :, :, j : j + 2 * cols : 2] for j in range(4)]
            torch.sub(t[0], t[2], out=inputs[i, 0])
            torch.add(t[1], t[2], out=inputs[i, 1])
            torch.sub(t[2], t[1], out=inputs[i, 2])
            torch.sub(t[1], t[3], out=inputs[i, 3])
        products = torch.bmm(inputs.view(16, -1, channels), self.weight)
        m = products.view(4, 4, n, d, d, rows, cols, -1)
        out = m.new_empty(n, d, d, rows, 2, cols, 2, m.shape[-1])
        for i, part in enumerate((m[0] + m[1] + m[2], m[1] - m[2] - m[3])):
            torch.add(part[0] + part[1], part[2], out=out[:, :, :, :, i, :, 0])
            torch.sub(part[1] - part[2], part[3], out=out[:, :, :, :, i, :, 1])
        if self.bias is not None:
            out += self.bias
        return out.flatten(5, 6).flatten(3, 4)
