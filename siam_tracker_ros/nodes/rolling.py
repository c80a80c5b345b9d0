"""Rates and percentiles of the last while, for diagnostics."""

from __future__ import annotations

import threading
from collections import deque

_KEPT = 300


class RollingRate:
    """Events per second over the last events. Thread-safe."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def tick(self, now_s: float) -> None:
        """An event at `now_s` of a steady clock."""
        with self._lock:
            self._times.append(now_s)

    def per_second(self, now_s: float) -> float:
        """Events per second; 0 where there were fewer than two lately."""
        with self._lock:
            times = [time for time in self._times if now_s - time <= self._window_s]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0


class RollingTimes:
    """Durations by stage, ms, of the last events. Thread-safe."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def record(self, **stages_ms: float) -> None:
        """One event's duration of each stage named."""
        with self._lock:
            for stage, ms in stages_ms.items():
                self._stages.setdefault(stage, deque(maxlen=_KEPT)).append(ms)

    def percentiles(self, *percents: float) -> dict[str, tuple[float, ...]]:
        """For each stage its percentiles (nearest rank), ms."""
        with self._lock:
            stages = {stage: sorted(times) for stage, times in self._stages.items()}
        return {
            stage: tuple(times[min(round(p / 100 * (len(times) - 1)), len(times) - 1)] for p in percents)
            for stage, times in stages.items()
        }
