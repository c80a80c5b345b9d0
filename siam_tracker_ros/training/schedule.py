"""The learning rate over a run: linear warm-up, then decay."""

from __future__ import annotations

import math

from siam_tracker_ros.training.config import OptimiserConfig


def learning_rate(config: OptimiserConfig, step: int, progress: float) -> float:
    """Rate at `step`, where `progress` is the part of the run that lies behind, 0..1."""
    warm_up = min(1.0, (step + 1) / max(config.warm_up_steps, 1))
    progress = min(max(progress, 0.0), 1.0)
    if config.decay == "log":
        decayed = config.rate * math.exp(progress * math.log(config.final_rate / config.rate))
    else:
        left = (1 + math.cos(math.pi * progress)) / 2
        decayed = config.final_rate + (config.rate - config.final_rate) * left
    return warm_up * decayed
