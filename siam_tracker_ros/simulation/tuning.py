"""Which gains a gimbal and a camera bear: the closed loop over proportional gain and latency.

A loop counts as stable here when a step of the target, seen without noise, is followed with at most a tenth
of it as overshoot, and the camera turns by less than a degree/s once that is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from siam_tracker_ros.control.camera_model import CameraModel
from siam_tracker_ros.control.errors import require_positive
from siam_tracker_ros.control.frames import LineOfSight
from siam_tracker_ros.simulation.closed_loop import LoopConfig, LoopRun, run_closed_loop
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.target_path import target_path

STEP = LineOfSight(math.radians(15), math.radians(-8))
PATH_EXTENT = math.radians(23)
# A step has settled by then, and is watched for as long again, s.
_STEP_S, _WATCHED_S = 5.0, 2.0
_PURSUIT_S, _PURSUIT_FROM_S = 10.0, 2.0
_OVERSHOOT = 0.1
_RESIDUAL_RATE = math.radians(1.0)
# A gain is recommended only if one this much larger is stable too.
_GAIN_MARGIN = 1.5


@dataclass(frozen=True)
class Trial:
    """One proportional gain (1/s) at one latency (s).

    `overshoot` is the part of the step by which the camera went beyond it; `residual` and
    `residual_rate` are the RMS error (rad) and RMS of the camera's rate (rad/s) long after it. `pursuit` is
    the RMS error (rad) on the figure of eight.
    """

    gain: float
    latency: float
    overshoot: float
    residual: float
    residual_rate: float
    pursuit: float

    @property
    def stable(self) -> bool:
        """Whether the step was followed with hardly an overshoot, and the camera stood still after it."""
        return self.overshoot <= _OVERSHOOT and self.residual_rate <= _RESIDUAL_RATE


@dataclass(frozen=True)
class Tuning:
    """All trials, row by row of `gains`, and what follows from them.

    `largest_stable` has for each latency the largest gain up to which all are stable, None where not even the
    smallest is. `recommended` is the gain that pursues best on average over the latencies, among those that
    are stable at each of them with a margin; None if none is.
    """

    gains: tuple[float, ...]
    latencies: tuple[float, ...]
    trials: tuple[Trial, ...]
    largest_stable: tuple[float | None, ...]
    recommended: float | None

    def trial(self, gain: float, latency: float) -> Trial:
        """The trial of a gain and a latency that were tried."""
        return next(one for one in self.trials if (one.gain, one.latency) == (gain, latency))

    @property
    def unstable(self) -> list[Trial]:
        """The trials that were not stable."""
        return [one for one in self.trials if not one.stable]


def trials(
    camera: CameraModel,
    config: LoopConfig,
    gains: Sequence[float],
    latencies: Sequence[float],
    peak_rate: float = math.radians(20),
) -> Iterator[Trial]:
    """Try every gain (1/s) at every latency (s); the figure of eight is followed at `peak_rate`, rad/s.

    Everything else is as in `config`. Raises LimitError or SimulationError for values that cannot be tried.
    """
    if not gains or not latencies:
        raise SimulationError("there is no gain or no latency to try")
    require_positive(peak_rate=peak_rate)
    path = target_path("figure_of_eight", peak_rate, PATH_EXTENT)
    for gain in gains:
        servo = replace(config.servo, gains=replace(config.servo.gains, proportional=gain))
        for latency in latencies:
            loop = replace(config, servo=servo, latency_s=latency)
            step = run_closed_loop(camera, lambda t: STEP, _STEP_S, replace(loop, noise_px=0.0))
            pursuit = run_closed_loop(camera, path, _PURSUIT_S, loop)
            yield Trial(
                gain,
                latency,
                _overshoot(step),
                step.record.between(_STEP_S - _WATCHED_S).rms(),
                _residual_rate(step),
                pursuit.record.between(_PURSUIT_FROM_S).rms(),
            )


def summarise(found: Sequence[Trial]) -> Tuning:
    """What follows from the trials of every gain at every latency."""
    gains = tuple(sorted({one.gain for one in found}))
    latencies = tuple(sorted({one.latency for one in found}))
    stable = {(one.gain, one.latency): one.stable for one in found}
    largest = tuple(_largest_stable(gains, latency, stable) for latency in latencies)
    bound = min((gain if gain is not None else 0.0 for gain in largest), default=0.0) / _GAIN_MARGIN
    pursuit = {
        gain: float(np.mean([one.pursuit for one in found if one.gain == gain]))
        for gain in gains
        if gain <= bound
    }
    return Tuning(
        gains,
        latencies,
        tuple(found),
        largest,
        min(pursuit, key=lambda gain: pursuit[gain]) if pursuit else None,
    )


def _largest_stable(
    gains: Sequence[float], latency: float, stable: dict[tuple[float, float], bool]
) -> float | None:
    largest = None
    for gain in gains:
        if not stable[gain, latency]:
            break
        largest = gain
    return largest


def _overshoot(step: LoopRun) -> float:
    """By what part of the step the camera went beyond it, on the axis where it is more."""
    joints = np.array(step.joints) * (1, -1)
    beyond = (joints / np.array(STEP)).max(axis=0) - 1
    return max(float(beyond.max()), 0.0)


def _residual_rate(step: LoopRun) -> float:
    rates = [sample.camera_rates for sample in step.record.between(_STEP_S - _WATCHED_S).samples]
    return float(np.sqrt(np.mean(np.sum(np.square(rates), axis=1))))
