"""What the RPN is asked for at each anchor (SiamRPN, Li et al., CVPR 2018, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class AnchorSampling:
    """Which anchors count: IoU above `positive_iou` or below `negative_iou`, and at most how many of each.

    On a negative pair, `negatives_of_negative_pair` anchors are drawn from the cells within
    `negative_pair_radius` of the target's: the places where a tracker would be tempted. A network that gives
    response maps has no anchors: its cells within `response_radius` px of the target's centre are positive.
    """

    positive_iou: float = 0.6
    negative_iou: float = 0.3
    positives: int = 16
    total: int = 64
    negatives_of_negative_pair: int = 16
    negative_pair_radius: int = 3
    response_radius: float = 16.0


@dataclass(frozen=True)
class AnchorTargets:
    """Per anchor: `labels` and `may_be_negative` [K, S, S], `loc` [4, K, S, S].

    Labels are 1 positive, 0 negative, -1 not asked; `may_be_negative` tells which could have been drawn as
    negatives; `loc` is dx, dy, dw, dh of the target against every anchor.
    """

    labels: NDArray[np.int8]
    may_be_negative: NDArray[np.bool_]
    loc: Float32


def anchor_iou(anchors: Float32, box: Float32) -> Float32:
    """IoU of anchors [N, 4] with one box [4], both cx, cy, w, h -> [N]."""
    low = np.maximum(anchors[:, :2] - anchors[:, 2:] / 2, box[:2] - box[2:] / 2)
    high = np.minimum(anchors[:, :2] + anchors[:, 2:] / 2, box[:2] + box[2:] / 2)
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(anchors[:, 2:], axis=1) + np.prod(box[2:]) - shared
    iou: Float32 = (shared / union).astype(np.float32)
    return iou


def encode_box(anchors: Float32, box: Float32) -> Float32:
    """Offsets of `box` [4] against anchors [N, 4], cx, cy, w, h -> [N, 4] as dx, dy, dw, dh."""
    centre = (box[:2] - anchors[:, :2]) / anchors[:, 2:]
    size = np.log(box[2:] / anchors[:, 2:])
    return np.concatenate([centre, size], axis=1).astype(np.float32)


def _drawn(candidates: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if len(candidates) <= count:
        return candidates
    drawn: NDArray[np.int64] = rng.choice(candidates, count, replace=False)
    return drawn


def anchor_targets(
    anchors: Float32,
    score_size: int,
    box: Float32,
    is_negative_pair: bool,
    sampling: AnchorSampling,
    stride: int,
    rng: np.random.Generator,
) -> AnchorTargets:
    """Targets of one search region of `score_size` S cells a side.

    `anchors` [K * S * S, 4] as `tracking.anchors.anchor_grid` gives them and `box` [4] are cx, cy, w, h in px
    from the search region's centre. On a negative pair `box` is that of the object which is not the target.
    """
    shape = (-1, score_size, score_size)
    labels = np.full(len(anchors), -1, dtype=np.int8)
    loc = encode_box(anchors, box).T.reshape(4, *np.reshape(labels, shape).shape)
    if is_negative_pair:
        reach = (sampling.negative_pair_radius + 0.5) * stride
        near = (np.abs(anchors[:, :2] - box[:2]) <= reach).all(axis=1)
        labels[_drawn(np.flatnonzero(near), sampling.negatives_of_negative_pair, rng)] = 0
        return AnchorTargets(labels.reshape(shape), np.zeros_like(labels, dtype=bool).reshape(shape), loc)
    iou = anchor_iou(anchors, box)
    negative = iou < sampling.negative_iou
    positives = _drawn(np.flatnonzero(iou > sampling.positive_iou), sampling.positives, rng)
    negatives = _drawn(np.flatnonzero(negative), sampling.total - sampling.positives, rng)
    labels[positives] = 1
    labels[negatives] = 0
    return AnchorTargets(labels.reshape(shape), negative.reshape(shape), loc)
