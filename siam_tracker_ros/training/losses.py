"""The losses: RPN classification and regression (SiamRPN++), mask (SiamMask), regions (SiamAttn)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from siam_tracker_ros.models.region import BOX_STDS


def split_cls(cls: Tensor) -> Tensor:
    """Classification maps [N, 2K, S, S] -> logits [N, 2, K, S, S], background first."""
    n, channels, height, width = cls.shape
    return cls.reshape(n, 2, channels // 2, height, width)


def split_loc(loc: Tensor) -> Tensor:
    """Regression maps [N, 4K, S, S] -> offsets [N, 4, K, S, S] as dx, dy, dw, dh."""
    n, channels, height, width = loc.shape
    return loc.reshape(n, 4, channels // 4, height, width)


def with_hard_negatives(labels: Tensor, may_be_negative: Tensor, cls: Tensor, count: int) -> Tensor:
    """`labels` [N, K, S, S] with the `count` most target-like possible negatives of each sample added."""
    if count == 0:
        return labels
    logits = split_cls(cls.detach())
    margin = (logits[:, 1] - logits[:, 0]).masked_fill(~may_be_negative, -torch.inf)
    hardest = margin.flatten(1).topk(count, dim=1)
    flat = labels.flatten(1).clone()
    chosen = torch.where(hardest.values > -torch.inf, 0, flat.gather(1, hardest.indices)).to(flat.dtype)
    return flat.scatter(1, hardest.indices, chosen).reshape(labels.shape)


def classification_loss(cls: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, half the mean over positives and half that over negatives.

    `cls` [N, 2K, S, S]; `labels` [N, K, S, S] 1, 0, or -1 for anchors left out. A kind that the batch lacks
    adds nothing.
    """
    log_probability = F.log_softmax(split_cls(cls.float()), dim=1)
    positive, negative = labels == 1, labels == 0
    zero = cls.sum() * 0.0
    loss_positive = -log_probability[:, 1][positive].mean() if positive.any() else zero
    loss_negative = -log_probability[:, 0][negative].mean() if negative.any() else zero
    return 0.5 * loss_positive + 0.5 * loss_negative


def regression_loss(loc: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
    """L1 of the four offsets, summed, averaged over each sample's positives and then over the samples.

    `loc` [N, 4K, S, S]; `wanted` [N, 4, K, S, S]; `labels` [N, K, S, S]. Samples without positives are left
    out.
    """
    positive = (labels == 1).float()
    error = (split_loc(loc.float()) - wanted).abs().sum(dim=1) * positive
    counts = positive.flatten(1).sum(dim=1)
    per_sample = error.flatten(1).sum(dim=1) / counts.clamp(min=1)
    return per_sample.sum() / (counts > 0).sum().clamp(min=1)


def refined_box_loss(deltas: Tensor, wanted: Tensor) -> Tensor:
    """Smooth L1 of the deltas of regions [M, 4] in units of BOX_STDS, summed, averaged over the regions."""
    units = deltas.new_tensor(BOX_STDS)
    return F.smooth_l1_loss(deltas.float() / units, wanted / units, reduction="none").sum(dim=1).mean()


def region_mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of region masks [M, H, W] against 0 and 1, averaged over px."""
    return F.binary_cross_entropy_with_logits(logits.float(), wanted.float())


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Soft-margin loss of mask logits [M, H, W] against masks of 0 and 1, mean over px (equation 3)."""
    return F.soft_margin_loss(logits.float(), wanted.float() * 2 - 1)
