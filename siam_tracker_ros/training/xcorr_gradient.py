"""Depthwise correlation with gradients that are correlations too.

The gradient of a grouped convolution by its weights, as torch computes it on a CPU, takes several times the
forward pass when there is one channel a group. Both gradients of a correlation are again depthwise
correlations, which run at the speed of the forward pass: that of the kernel is the search features correlated
with the response's gradient; that of the search features is the response's gradient, padded, correlated with
the turned kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from siam_tracker_ros.models import rpn
from siam_tracker_ros.models.xcorr import xcorr_depthwise


class _DepthwiseXCorr(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, search: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(search, kernel)
        return xcorr_depthwise(search, kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        search, kernel = ctx.saved_tensors
        gradient = gradients[0].to(search.dtype)
        rows, cols = kernel.shape[2] - 1, kernel.shape[3] - 1
        padded = F.pad(gradient, (cols, cols, rows, rows))
        return xcorr_depthwise(padded, kernel.flip(2, 3)), xcorr_depthwise(search, gradient)


def trainable_xcorr_depthwise(search: Tensor, kernel: Tensor) -> Tensor:
    """`models.xcorr.xcorr_depthwise`, its gradients computed by correlation."""
    if search.dtype != kernel.dtype:
        search, kernel = search.float(), kernel.float()
    response: Tensor = _DepthwiseXCorr.apply(search, kernel)  # type: ignore[no-untyped-call]
    return response


@contextmanager
def correlated_gradients() -> Iterator[None]:
    """Within it, the RPN heads correlate by `trainable_xcorr_depthwise`."""
    with patch.object(rpn, "xcorr_depthwise", trainable_xcorr_depthwise):
        yield
