"""Timing of calls that take turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Wall-clock time of one call over several, ms."""

    median_ms: float
    p99_ms: float

    @property
    def fps(self) -> float:
        """Calls a second at the median."""
        return 1000.0 / self.median_ms


def time_in_turns(calls: Sequence[Callable[[], None]], rounds: int, warm_up: int) -> list[Timing]:
    """Time each of `calls` once per round, after `warm_up` rounds that do not count."""
    elapsed = np.empty((rounds, len(calls)))
    for turn in range(-warm_up, rounds):
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if turn >= 0:
                elapsed[turn, index] = 1000.0 * (time.perf_counter() - start)
    return [Timing(float(np.median(ms)), float(np.percentile(ms, 99))) for ms in elapsed.T]
