"""Constant-velocity Kalman filter on the target's line of sight.

State: azimuth, elevation (rad, base frame) and their rates (rad/s), driven by white acceleration
(Bar-Shalom, Li and Kirubarajan 2001, section 6.2.2). Written out here: for four states it is a page of
NumPy, and the libraries for it bring SciPy along and know neither angles that wrap nor stamps out of order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from siam_tracker_ros.control.errors import (
    LimitError,
    NotFiniteError,
    require_not_negative,
    require_positive,
)
from siam_tracker_ros.control.frames import AngularRates, LineOfSight, Vector, wrap_angle
from siam_tracker_ros.control.line_of_sight import direction_of, sight_along, tangents_of

# Azimuth loses its meaning overhead: noise there is stretched by 1 / cos(elevation), at most tenfold.
_MIN_HORIZONTAL = 0.1
# After so long nothing of an estimate is worth keeping, s.
_FORGOTTEN_S = 60.0


@dataclass(frozen=True)
class TargetFilterConfig:
    """How the target moves and how well it is seen.

    `acceleration_density` is the spectral density of the target's angular acceleration, rad^2/s^3: about its
    typical acceleration squared times how long it lasts. `sigma_confident` and `sigma_doubtful` are the
    standard deviations of a measured angle, rad, at confidence 1 and 0, geometrically between them otherwise.
    `initial_rate_sigma`, rad/s, is how fast a new target may move. `gate` is the squared Mahalanobis distance
    beyond which a measurement is refused (13.8: 1 in 1000 of the good ones); after `restart_after_s` without
    an accepted one, s, the filter starts over at the next.
    """

    acceleration_density: float = 0.05
    sigma_confident: float = 0.003
    sigma_doubtful: float = 0.03
    initial_rate_sigma: float = 0.5
    gate: float = 13.8
    restart_after_s: float = 0.3

    def __post_init__(self) -> None:
        require_positive(
            acceleration_density=self.acceleration_density,
            sigma_confident=self.sigma_confident,
            sigma_doubtful=self.sigma_doubtful,
            initial_rate_sigma=self.initial_rate_sigma,
            gate=self.gate,
        )
        require_not_negative(restart_after_s=self.restart_after_s)
        if self.sigma_doubtful < self.sigma_confident:
            raise LimitError(
                f"sigma_doubtful ({self.sigma_doubtful}) must not be below sigma_confident "
                f"({self.sigma_confident})"
            )


@dataclass(frozen=True)
class TargetState:
    """Estimate at `stamp`, s: `mean` [4] azimuth, elevation (rad), their rates (rad/s); `covariance` [4, 4].

    `measured` is the stamp, s, of the last measurement that was accepted.
    """

    stamp: float
    mean: Vector
    covariance: Vector
    measured: float

    @property
    def sight(self) -> LineOfSight:
        """Estimated line of sight, rad, base frame; elevation within a quarter turn."""
        return self.sight_at(self.stamp)

    def sight_at(self, stamp: float) -> LineOfSight:
        """Line of sight, rad, base frame, carried on at the estimated rates to `stamp`, s."""
        azimuth, elevation, azimuth_rate, elevation_rate = self.mean.tolist()
        dt = max(stamp - self.stamp, 0.0)
        elevation = min(max(elevation + dt * elevation_rate, -math.pi / 2), math.pi / 2)
        return LineOfSight(wrap_angle(azimuth + dt * azimuth_rate), elevation)

    @property
    def rates(self) -> AngularRates:
        """Estimated rates, rad/s, base frame."""
        return AngularRates(float(self.mean[2]), float(self.mean[3]))


@dataclass(frozen=True)
class Innovation:
    """What a measurement said against the prediction: `residual` [2] rad, and its squared distance in sigmas.

    With the right noise the `distance` has mean 2. `accepted` is false for what the gate refused and for what
    came too late.
    """

    residual: Vector
    distance: float
    accepted: bool


def measurement_sigma(confidence: float, config: TargetFilterConfig) -> float:
    """Standard deviation of a measured angle, rad, at a confidence 0..1 (values outside are clipped)."""
    share = min(max(confidence, 0.0), 1.0)
    ratio = config.sigma_confident / config.sigma_doubtful
    return config.sigma_doubtful * math.pow(ratio, share)


def started(sight: LineOfSight, stamp: float, confidence: float, config: TargetFilterConfig) -> TargetState:
    """Estimate from a single line of sight (rad, base frame) at `stamp` (s), of unknown rate.

    Raises NotFiniteError if any of it is not finite.
    """
    _require_finite(sight, stamp, confidence)
    noise = np.diag(_measurement_noise(sight.elevation, confidence, config))
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = noise
    stretch = 1.0 / max(math.cos(sight.elevation), _MIN_HORIZONTAL)
    covariance[2, 2] = (config.initial_rate_sigma * stretch) ** 2
    covariance[3, 3] = config.initial_rate_sigma**2
    return TargetState(stamp, np.array([*sight, 0.0, 0.0]), covariance, stamp)


def predicted(state: TargetState, stamp: float, config: TargetFilterConfig) -> TargetState:
    """The estimate carried on to `stamp`, s; as it is for a stamp in its past."""
    dt = stamp - state.stamp
    if not dt > 0:
        return state
    step = np.eye(4)
    step[0, 2] = step[1, 3] = dt
    stretch = 1.0 / max(math.cos(state.sight.elevation), _MIN_HORIZONTAL)
    density = config.acceleration_density * np.array([stretch**2, 1.0])
    noise = np.zeros((4, 4))
    for axis in (0, 1):
        noise[axis, axis] = density[axis] * dt**3 / 3
        noise[axis, axis + 2] = noise[axis + 2, axis] = density[axis] * dt**2 / 2
        noise[axis + 2, axis + 2] = density[axis] * dt
    mean = step @ state.mean
    mean[0] = wrap_angle(float(mean[0]))
    return TargetState(stamp, mean, step @ state.covariance @ step.T + noise, state.measured)


def turned(state: TargetState, rotation: Vector) -> TargetState:
    """The estimate in the coordinates of a base that has turned since.

    `rotation` [3, 3] takes vectors from the base as it was to the base as it is. The covariance is kept: what
    a base turns between two images is small.
    """
    azimuth, elevation, azimuth_rate, elevation_rate = state.mean.tolist()
    before = LineOfSight(azimuth, elevation)
    left, up = tangents_of(before)
    motion = rotation @ (azimuth_rate * math.cos(elevation) * left + elevation_rate * up)
    after = sight_along(rotation @ direction_of(before))
    left, up = tangents_of(after)
    horizontal = max(math.cos(after.elevation), _MIN_HORIZONTAL)
    rates = (float(motion @ left) / horizontal, float(motion @ up))
    return replace(state, mean=np.array([*after, *rates]))


def updated(
    state: TargetState, sight: LineOfSight, stamp: float, confidence: float, config: TargetFilterConfig
) -> tuple[TargetState, Innovation]:
    """The estimate after a line of sight (rad, base frame) measured at `stamp` (s) with a confidence 0..1.

    A measurement not newer than the estimate changes nothing. Raises NotFiniteError if any of it is not
    finite.
    """
    _require_finite(sight, stamp, confidence)
    if stamp <= state.stamp:
        return state, Innovation(np.zeros(2), 0.0, False)
    if stamp - state.stamp > _FORGOTTEN_S:
        return started(sight, stamp, confidence, config), Innovation(np.zeros(2), 0.0, True)
    prior = predicted(state, stamp, config)
    residual = np.array(
        [wrap_angle(sight.azimuth - float(prior.mean[0])), sight.elevation - float(prior.mean[1])]
    )
    noise = np.diag(_measurement_noise(sight.elevation, confidence, config))
    spread = prior.covariance[:2, :2] + noise
    distance = float(residual @ np.linalg.solve(spread, residual))
    if distance > config.gate:
        if stamp - state.measured > config.restart_after_s:
            return started(sight, stamp, confidence, config), Innovation(residual, distance, True)
        return prior, Innovation(residual, distance, False)
    gain = np.linalg.solve(spread, prior.covariance[:2]).T
    mean = prior.mean + gain @ residual
    mean[0] = wrap_angle(float(mean[0]))
    # Joseph's form stays symmetric and positive whatever the rounding.
    keep = np.eye(4)
    keep[:, :2] -= gain
    covariance = keep @ prior.covariance @ keep.T + gain @ noise @ gain.T
    posterior = replace(prior, mean=mean, covariance=covariance, measured=stamp)
    return posterior, Innovation(residual, distance, True)


def _measurement_noise(elevation: float, confidence: float, config: TargetFilterConfig) -> Vector:
    """Variances [2] of measured azimuth and elevation, rad^2."""
    sigma = measurement_sigma(confidence, config)
    return np.array([(sigma / max(math.cos(elevation), _MIN_HORIZONTAL)) ** 2, sigma**2])


def _require_finite(sight: LineOfSight, stamp: float, confidence: float) -> None:
    if not all(map(math.isfinite, (*sight, stamp, confidence))):
        raise NotFiniteError(
            f"a measurement needs finite numbers, not azimuth {sight.azimuth}, elevation {sight.elevation}, "
            f"stamp {stamp}, confidence {confidence}"
        )
