"""How sure the tracker is, and the state that follows from it.

A raw score alone does not tell loss: it stays high on distractors and background. Three terms are combined:
the score, the margin of the response's peak over the best response elsewhere (in the spirit of the
peak-to-sidelobe ratio of Bolme et al., CVPR 2010), and how plausible the step is in size and motion.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from siam_tracker_ros.models.config import ConfidenceConfig, LossConfig
from siam_tracker_ros.tracking.state import TrackState

_LOGIT_LIMIT = 8.0


@dataclass(frozen=True)
class Evidence:
    """What speaks for a box: logit of its score, margin of the peak, plausibility of the step (both 0..1)."""

    score_logit: float
    margin: float
    plausibility: float


def gather_evidence(selected: Tensor, expected: Tensor, measured: Tensor) -> Tensor:
    """Evidence for `measured`, the boxes of this frame before smoothing: [N, 3], the fields of Evidence.

    `selected` [N, 9] are the fields of Selection; `expected`, what was predicted, and `measured` are [N, 4]
    as cx, cy, w, h, px of the frame. Plausibility falls with the logarithm of the change in width and height,
    and with the distance from the predicted centre in units of the target's size.
    """
    logit = torch.logit(selected[:, 1]).clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
    resize = torch.log(measured[:, 2:] / expected[:, 2:]).square().sum(dim=1)
    jump = (measured[:, :2] - expected[:, :2]).square().sum(dim=1) / (expected[:, 2] * expected[:, 3])
    return torch.stack((logit, 1.0 - selected[:, 4], torch.exp(-0.5 * (resize + jump))), dim=1)


def confidences(evidence: Tensor, config: ConfidenceConfig) -> Tensor:
    """Probability, 0..1, that each box is on the target, by the logistic model of `config`: [N, 3] -> [N]."""
    logit, margin, plausibility = evidence.unbind(1)
    z = config.score * logit + config.margin * margin + config.plausibility * plausibility
    return torch.sigmoid(z + config.bias)


def confidence(evidence: Evidence, config: ConfidenceConfig) -> float:
    """The same of one target's evidence on the host."""
    return float(confidences(torch.tensor([astuple(evidence)], dtype=torch.float64), config))


@dataclass(frozen=True)
class Condition:
    """What is remembered of a target's condition between frames; times in seconds."""

    state: TrackState = TrackState.ACQUIRING
    age_s: float = 0.0
    low_s: float = 0.0
    lost: bool = False
    lost_s: float = 0.0


def next_condition(
    before: Condition,
    confidence: float,
    signal: float,
    dt: float,
    thresholds: ConfidenceConfig,
    loss: LossConfig,
) -> Condition:
    """Condition after a frame, `dt` seconds on, whose loss signal (score or confidence) was `signal`.

    Hysteresis twice: between TRACKING and UNCERTAIN by confidence, and between lost and found by the signal.
    """
    age_s = before.age_s + dt
    low_s = before.low_s + dt if signal < loss.low else 0.0
    lost = low_s > loss.after_s or (before.lost and signal <= loss.high)
    lost_s = before.lost_s + dt if lost and before.lost else 0.0
    if lost:
        state = TrackState.COASTING if lost_s <= loss.coast_s else TrackState.LOST
    elif confidence >= thresholds.tracking_above:
        acquired = before.state != TrackState.ACQUIRING or age_s >= thresholds.acquire_s
        state = TrackState.TRACKING if acquired else TrackState.ACQUIRING
    elif confidence < thresholds.uncertain_below or before.state in (
        TrackState.COASTING,
        TrackState.LOST,
    ):
        state = TrackState.UNCERTAIN
    else:
        state = before.state
    return Condition(state, age_s, low_s, lost, lost_s)
