"""When the servo may move, and how much: the states and what each of them outputs.

| state    | when                                                       | output                        |
|----------|------------------------------------------------------------|-------------------------------|
| DISARMED | until armed                                                | zero                          |
| ARMED    | target seen, track and attitude fresh                      | the law's                     |
| COASTING | the tracker predicts the target                            | the law's, decaying to zero   |
| HOLDING  | no target, LOST, not yet confirmed, stale track or attitude | zero, until all is well again |
| FAULT    | a value not finite, a wrong frame, an exception            | zero, until disarmed          |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from siam_tracker_ros.control.errors import LimitError, require_positive


class TrackState(IntEnum):
    """What the tracker says of the target; the values are those of `siam_tracker_msgs/Track`."""

    ACQUIRING = 0
    TRACKING = 1
    UNCERTAIN = 2
    COASTING = 3
    LOST = 4


class ServoState(IntEnum):
    """What the servo is allowed to do; see the table above."""

    DISARMED = 0
    ARMED = 1
    COASTING = 2
    HOLDING = 3
    FAULT = 4


@dataclass(frozen=True)
class SupervisorConfig:
    """How old things may be, s.

    `track_timeout_s` from the exposure of the image that the newest track came from, so it has to leave room
    for the camera's and the tracker's latency; `attitude_timeout_s` from the attitude's stamp. While coasting
    the output keeps its full size until `coast_full_s` after the last measurement and falls evenly to zero
    until `coast_s`. A stamp more than `max_ahead_s` in the future is not believed.
    """

    track_timeout_s: float = 0.5
    attitude_timeout_s: float = 0.2
    coast_full_s: float = 0.7
    coast_s: float = 2.0
    max_ahead_s: float = 0.05

    def __post_init__(self) -> None:
        require_positive(
            track_timeout_s=self.track_timeout_s,
            attitude_timeout_s=self.attitude_timeout_s,
            coast_full_s=self.coast_full_s,
            coast_s=self.coast_s,
            max_ahead_s=self.max_ahead_s,
        )
        if self.coast_s <= self.coast_full_s:
            raise LimitError(
                f"coast_s ({self.coast_s}) must be above coast_full_s ({self.coast_full_s}): "
                "the output decays between them"
            )


@dataclass(frozen=True)
class Conditions:
    """What the supervisor judges by.

    Ages, s, are from a stamp to now; None if there is none yet. `measured_age` is that of the last bearing
    that the target filter accepted. `fault` says what is wrong, None if nothing is.
    """

    armed: bool
    fault: str | None
    track_state: TrackState | None
    track_age: float | None
    measured_age: float | None
    attitude_age: float | None


class Verdict(NamedTuple):
    """The state, the share 0..1 of the law's output that goes out, and why, in words for people."""

    state: ServoState
    authority: float
    reason: str


def supervise(conditions: Conditions, config: SupervisorConfig) -> Verdict:
    """What the servo may do under these conditions; an age that is not finite is a fault."""
    ages = (conditions.track_age, conditions.measured_age, conditions.attitude_age)
    if conditions.fault is not None:
        return Verdict(ServoState.FAULT, 0.0, conditions.fault)
    if any(age is not None and not math.isfinite(age) for age in ages):
        return Verdict(ServoState.FAULT, 0.0, "a stamp is not a finite number")
    if not conditions.armed:
        return Verdict(ServoState.DISARMED, 0.0, "not armed")
    late = _late("attitude", conditions.attitude_age, config.attitude_timeout_s, config)
    late = late or _late("track", conditions.track_age, config.track_timeout_s, config)
    if late is not None:
        return _hold(late)
    if conditions.track_state is None or conditions.measured_age is None:
        return _hold("no target seen yet")
    if conditions.track_state in (TrackState.LOST, TrackState.ACQUIRING):
        return _hold(f"the target is {conditions.track_state.name}")
    if conditions.track_state == TrackState.COASTING:
        left = (config.coast_s - conditions.measured_age) / (config.coast_s - config.coast_full_s)
        if left <= 0:
            return _hold(f"not seen for {conditions.measured_age:.1f} s")
        return Verdict(ServoState.COASTING, min(left, 1.0), "the target is predicted, not seen")
    if conditions.measured_age > config.track_timeout_s:
        return _hold(f"no bearing for {conditions.measured_age:.2f} s")
    return Verdict(ServoState.ARMED, 1.0, f"the target is {conditions.track_state.name}")


def _hold(reason: str) -> Verdict:
    return Verdict(ServoState.HOLDING, 0.0, reason)


def _late(name: str, age: float | None, timeout: float, config: SupervisorConfig) -> str | None:
    """What is wrong with an age, s, in words; None if nothing is."""
    if age is None:
        return f"no {name} yet"
    if age > timeout:
        return f"the {name} is {age:.2f} s old, more than {timeout:g} s"
    if age < -config.max_ahead_s:
        return f"the {name} is stamped {-age:.2f} s in the future"
    return None
