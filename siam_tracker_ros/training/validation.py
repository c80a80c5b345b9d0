"""Held-out pairs: how well the best-scored box and its mask fit, without window, penalty or smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.training.anchor_targets import anchor_iou
from siam_tracker_ros.training.losses import split_cls, split_loc
from siam_tracker_ros.training.step import Backbone, Batch, run_network

# A box is at most this many times e as large as its anchor: early in training any number may come out.
_LARGEST_LOG = 10.0


@dataclass(frozen=True)
class Validation:
    """Means over held-out pairs: IoU of the top box, part of them above 0.5, IoU of the mask at its cell.

    A network that gives response maps is taken to know the size. The last is NaN where no pair has a mask.
    """

    top1_iou: float
    success50: float
    mask_iou: float
    pairs: int


def decode_best(cls: Tensor, loc: Tensor, anchors: NDArray[np.float32]) -> tuple[NDArray[np.float32], Tensor]:
    """Best box of each sample, [N, 4] as cx, cy, w, h from the search region's centre; its cell [N, 2]."""
    logits = split_cls(cls.float())
    score = logits[:, 1] - logits[:, 0]
    best = score.flatten(1).argmax(dim=1)
    side = score.shape[-1]
    offsets = split_loc(loc.float()).flatten(2)
    picked = offsets.gather(2, best[:, None, None].expand(-1, 4, 1))[..., 0].cpu().numpy()
    anchor = anchors[best.cpu().numpy()]
    boxes = np.concatenate(
        [
            anchor[:, :2] + picked[:, :2] * anchor[:, 2:],
            anchor[:, 2:] * np.exp(np.minimum(picked[:, 2:], _LARGEST_LOG)),
        ],
        axis=1,
    )
    cell = best % (side * side)
    return boxes, torch.stack([cell // side, cell % side], dim=1)


def _mask_window(mask: Tensor, from_cell: Tensor, to_cell: Tensor, stride: int) -> Tensor:
    """Truth known under the window of one cell, as far as it lies under that of another cell."""
    shift = ((to_cell - from_cell) * stride).tolist()
    moved = torch.zeros_like(mask)
    size = mask.shape[-1]
    dy, dx = shift
    if abs(dy) >= size or abs(dx) >= size:
        return moved
    source = mask[max(dy, 0) : size + min(dy, 0), max(dx, 0) : size + min(dx, 0)]
    moved[max(-dy, 0) : size + min(-dy, 0), max(-dx, 0) : size + min(-dx, 0)] = source
    return moved


@torch.no_grad()
def validate(
    network: SiameseNetwork,
    backbone: Backbone,
    batches: list[Batch],
    anchors: NDArray[np.float32],
    stride: int,
    mask_threshold: float,
) -> Validation:
    """Score a network in eval mode on batches of positive pairs."""
    ious: list[float] = []
    mask_ious: list[float] = []
    for batch in batches:
        outputs = run_network(network, backbone, batch)
        boxes, cells = decode_best(outputs.cls, outputs.loc, anchors)
        truth = batch["box"].cpu().numpy()
        if network.config.head in ("correlation", "similarity"):
            # A response map tells the place alone.
            boxes[:, 2:] = truth[:, 2:]
        batch_ious = [float(anchor_iou(b[None], t)[0]) for b, t in zip(boxes, truth, strict=True)]
        ious += batch_ious
        has_mask = batch["mask_cell"][:, 0].cpu() >= 0
        on_target = torch.tensor([iou > 0.3 for iou in batch_ious])
        mask_ious += [0.0] * int((has_mask & ~on_target).sum())
        index = torch.nonzero(has_mask & on_target).flatten()
        if network.config.mask is None or not len(index):
            continue
        logits = outputs.masks(network, index, cells[index])
        for n, logit in zip(index.tolist(), logits, strict=True):
            wanted = _mask_window(batch["mask"][n], batch["mask_cell"][n], cells[n], stride) > 0
            found = torch.sigmoid(logit.float()) > mask_threshold
            union = (found | wanted).sum().item()
            mask_ious.append((found & wanted).sum().item() / union if union else 1.0)
    return Validation(
        float(np.mean(ious)),
        float(np.mean(np.array(ious) > 0.5)),
        float(np.mean(mask_ious)) if mask_ious else float("nan"),
        len(ious),
    )
