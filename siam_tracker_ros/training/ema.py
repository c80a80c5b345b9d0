"""Exponential moving average of a network's weights: what is validated and shipped."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


class WeightAverage(Generic[N]):
    """Average of a network's parameters over about 1 / (1 - decay) steps; buffers are taken as they are."""

    def __init__(self, network: N, decay: float) -> None:
        """Average that starts at `network` as it is."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards `network`; early on faster, so that the first weights are soon forgotten."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages: list[Tensor] = list(self.network.parameters())
        currents: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, currents, 1 - decay)
        for average, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
