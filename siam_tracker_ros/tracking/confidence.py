"""How sure the tracker is, and the state that follows from it.

A raw score alone does not tell loss: it stays high on distractors and background. Three terms are combined:
the score, the margin of the response's peak over the best response elsewhere (in the spirit of the
peak-to-sidelobe ratio of Bolme et al., CVPR 2010), and how plausible the step is in size and motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from siam_tracker_ros.models.config import ConfidenceConfig, LossConfig
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.decode import Selection
from siam_tracker_ros.tracking.state import TrackState

_LOGIT_LIMIT = 8.0


@dataclass(frozen=True)
class Evidence:
    """What speaks for a box: logit of its score, margin of the peak, plausibility of the step (both 0..1)."""

    score_logit: float
    margin: float
    plausibility: float


def _logit(probability: float) -> float:
    if not 0.0 < probability < 1.0:
        return _LOGIT_LIMIT if probability >= 1.0 else -_LOGIT_LIMIT
    return max(-_LOGIT_LIMIT, min(_LOGIT_LIMIT, math.log(probability / (1.0 - probability))))


def gather_evidence(selection: Selection, expected: CenterBox, measured: CenterBox) -> Evidence:
    """Evidence for `measured`, the box of this frame before smoothing, where `expected` was predicted.

    Both are in px of the frame. Plausibility falls with the logarithm of the change in width and height,
    and with the distance from the predicted centre in units of the target's size.
    """
    size = math.sqrt(expected.w * expected.h)
    resize = math.hypot(math.log(measured.w / expected.w), math.log(measured.h / expected.h))
    jump = math.hypot(measured.cx - expected.cx, measured.cy - expected.cy) / size
    return Evidence(
        _logit(selection.score), 1.0 - selection.runner_up, math.exp(-0.5 * (resize**2 + jump**2))
    )


def confidence(evidence: Evidence, config: ConfidenceConfig) -> float:
    """Probability, 0..1, that the box is on the target, by the logistic model of `config`."""
    z = (
        config.bias
        + config.score * evidence.score_logit
        + config.margin * evidence.margin
        + config.plausibility * evidence.plausibility
    )
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, z))))


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
