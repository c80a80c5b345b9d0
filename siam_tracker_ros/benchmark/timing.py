"""Timing of calls that take turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_FEWEST_ROUNDS = 5
_WARM_UP_ROUNDS, _WARM_UP_S = 3, 0.3


@dataclass(frozen=True)
class Timing:
    """Wall-clock time of one call over several, ms."""

    frames: int
    median_ms: float
    p99_ms: float


def warm_up(calls: Sequence[Callable[[], object]], rounds: int) -> None:
    """Let each of `calls` run three times, and all for 0.3 s at least, but never more than `rounds` times."""
    begun = time.perf_counter()
    warm = 0
    while warm < min(_WARM_UP_ROUNDS, rounds) or (warm < rounds and time.perf_counter() < begun + _WARM_UP_S):
        for call in calls:
            call()
        warm += 1


def time_in_turns(
    calls: Sequence[Callable[[], object]],
    rounds: int,
    limit_s: float = math.inf,
    after: Callable[[int], object] = lambda _: None,
) -> list[Timing]:
    """Time each of `calls` once a round.

    Once `limit_s` has passed, no round begins beyond the fifth. `after` is told the number of the call that
    has just ended, outside of what is timed.
    """
    elapsed: list[list[float]] = []
    begun = time.perf_counter()
    while (
        calls
        and len(elapsed) < rounds
        and (len(elapsed) < _FEWEST_ROUNDS or time.perf_counter() < begun + limit_s)
    ):
        turn = []
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            turn.append(1000.0 * (time.perf_counter() - start))
            after(index)
        elapsed.append(turn)
    return [
        Timing(len(elapsed), float(np.median(ms)), float(np.percentile(ms, 99))) for ms in np.array(elapsed).T
    ]
