"""What a closed loop did over time, and how well: in one process and on the graph by the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.frames import AngularRates
from siam_tracker_ros.control.supervisor import ServoState

Series = NDArray[np.float64]

SETTLED_RAD = math.radians(1.0)
"""A loop has settled once the error stays below this."""


@dataclass(frozen=True)
class LoopSample:
    """One moment: time s, angles rad, rates rad/s of azimuth to the left and elevation up.

    `error` is the true angle between the optical axis and the target, `target_rates` how fast the target
    really turns, `confidence` the newest track's (nan before any).
    """

    t: float
    error: float
    commanded: AngularRates
    camera_rates: AngularRates
    target_rates: AngularRates
    state: ServoState
    confidence: float


@dataclass
class LoopRecord:
    """Samples in order of their time."""

    samples: list[LoopSample] = field(default_factory=list)

    @property
    def t(self) -> Series:
        """Times [n], s."""
        return np.array([sample.t for sample in self.samples], np.float64)

    @property
    def error(self) -> Series:
        """True bearing errors [n], rad."""
        return np.array([sample.error for sample in self.samples], np.float64)

    def between(self, start: float, end: float = math.inf) -> LoopRecord:
        """Those from `start` up to, not including, `end`, s."""
        return LoopRecord([sample for sample in self.samples if start <= sample.t < end])

    def without(self, start: float, end: float) -> LoopRecord:
        """Those before `start` and from `end` on, s."""
        return LoopRecord([sample for sample in self.samples if not start <= sample.t < end])

    def rms(self) -> float:
        """Root of the mean squared bearing error, rad; nan of nothing."""
        return float(np.sqrt(np.mean(self.error**2))) if self.samples else math.nan

    def percentile(self, percent: float) -> float:
        """Percentile of the bearing error, rad; nan of nothing."""
        return float(np.percentile(self.error, percent)) if self.samples else math.nan

    def settle_time(self, start: float, end: float = math.inf, band: float = SETTLED_RAD) -> float | None:
        """How long after `start` (s) the error came below `band` (rad) to stay there until `end` (s).

        None if it is not below it at the end.
        """
        part = self.between(start, end)
        outside = np.flatnonzero(part.error >= band)
        if not part.samples or (len(outside) and outside[-1] == len(part.samples) - 1):
            return None
        settled = part.samples[outside[-1] + 1] if len(outside) else part.samples[0]
        return settled.t - start
