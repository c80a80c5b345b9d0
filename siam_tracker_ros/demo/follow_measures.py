"""How well a target was followed, measured from the messages in the bag of a run on the simulated gimbal."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.frames import AngularRates, wrap_angle
from siam_tracker_ros.control.line_of_sight import sight_along
from siam_tracker_ros.control.supervisor import ServoState, TrackState
from siam_tracker_ros.footage.bag import BagError, open_bag
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.simulation.loop_record import LoopRecord, LoopSample

# A target that turns faster than this has set out, rad/s.
_MOVING = 1e-4
# How long after an occlusion the error still counts as its consequence, s.
_RECOVERY_S = 2.0


@dataclass(frozen=True)
class Occlusion:
    """From `start` to `end`, s, the target was out of sight or nearly so; wholly for `hidden_s` of it."""

    start: float
    end: float
    hidden_s: float


@dataclass(frozen=True)
class FollowMeasures:
    """A run: its record, in s from the first message on, and when what happened.

    `armed` and `set_out` (s) are when the servo was armed and the target began to move; `ended`, when the
    servo was disarmed or the recording ends. `tracked` says whether a tracker's tracks were followed, or the
    truth.
    """

    record: LoopRecord
    armed: float
    set_out: float
    ended: float
    occlusions: tuple[Occlusion, ...]
    tracked: bool
    track_states: dict[str, int]
    images: int

    @property
    def pursuit(self) -> LoopRecord:
        """From when the target set out to the end, occlusions included."""
        return self.record.between(self.set_out, self.ended)

    @property
    def pursuit_in_sight(self) -> LoopRecord:
        """The same without the occlusions and the two seconds after each."""
        record = self.pursuit
        for one in self.occlusions:
            record = record.without(one.start, one.end + _RECOVERY_S)
        return record

    @property
    def settle_s(self) -> float | None:
        """From arming to an error that stays below a degree while the target stands; None if it does not."""
        return self.record.settle_time(self.armed, self.set_out)

    def as_json(self) -> dict[str, Any]:
        """The numbers, angles in degrees; errors while the target is in sight, unless they say otherwise."""
        pursuit, in_sight = self.pursuit, self.pursuit_in_sight
        states = Counter(sample.state.name for sample in pursuit.samples)
        return {
            "rms_error_deg": _degrees(in_sight.rms()),
            "p95_error_deg": _degrees(in_sight.percentile(95)),
            "max_error_deg": _degrees(in_sight.percentile(100)),
            "settle_s": _rounded(self.settle_s),
            "rms_error_with_occlusions_deg": _degrees(pursuit.rms()),
            "p95_error_with_occlusions_deg": _degrees(pursuit.percentile(95)),
            "followed_s": _rounded(self.ended - self.set_out),
            "peak_target_rate_deg_s": _degrees(
                max((math.hypot(*sample.target_rates) for sample in pursuit.samples), default=math.nan)
            ),
            "bearings": "tracker" if self.tracked else "true",
            "occlusions": [self._occlusion_json(one) for one in self.occlusions],
            "servo_states": {
                name: round(count / max(len(pursuit.samples), 1), 4) for name, count in states.most_common()
            },
            "track_states": self.track_states,
            "images": self.images,
        }

    def _occlusion_json(self, one: Occlusion) -> dict[str, Any]:
        during = self.record.between(one.start, one.end)
        after = self.record.between(one.end, one.end + _RECOVERY_S)
        states = {sample.state for sample in during.samples}
        return {
            "start_s": _rounded(one.start - self.set_out),
            "duration_s": _rounded(one.end - one.start),
            "wholly_hidden_s": _rounded(one.hidden_s),
            "max_error_deg": _degrees(during.percentile(100)),
            "max_error_after_deg": _degrees(after.percentile(100)),
            "coasted": ServoState.COASTING in states,
            "followed_again_s": _rounded(self._followed_again(one)),
        }

    def _followed_again(self, one: Occlusion) -> float | None:
        """How long after an occlusion the servo was armed and seeing again, s; None if never."""
        after = self.record.between(one.end, self.ended).samples
        return next((sample.t - one.end for sample in after if sample.state == ServoState.ARMED), None)


def measure_follow(bag: Path) -> FollowMeasures:
    """Read the bag of a run. Raises BagError where it cannot be read or lacks what is needed."""
    series = _read(bag)
    for topic in ("truth/bearing", "truth/direction", "servo_state", "joint_states", "truth/tracks"):
        if len(series.get(topic, _EMPTY)) < 2:
            raise BagError(f"bag {bag} has no messages of {topic}: was it recorded on the simulated gimbal?")
    began = series["truth/bearing"][0, 0]
    for rows in series.values():
        rows[:, 0] -= began
    record = _record(series)
    states = series["servo_state"]
    active = states[states[:, 1] != ServoState.DISARMED]
    if not len(active):
        raise BagError(f"bag {bag}: the servo was never armed")
    armed = float(active[0, 0])
    later = [sample for sample in record.samples if sample.t >= armed]
    set_out = next(
        (one.t for one in later if math.hypot(*one.target_rates) > _MOVING), later[-1].t if later else armed
    )
    tracks = series.get("tracks", _EMPTY)
    tracked = len(tracks) > 0
    followed = tracks if tracked else series["truth/tracks"]
    counted = Counter(TrackState(int(row[1])).name for row in followed if row[0] >= set_out)
    return FollowMeasures(
        record,
        armed,
        set_out,
        float(active[-1, 0]),
        _occlusions(series["truth/tracks"]),
        tracked,
        dict(counted.most_common()),
        len(series["truth/tracks"]),
    )


# What a simulation publishes whatever else it does.
_ALWAYS = "truth/bearing"
_EMPTY: NDArray[np.float64] = np.zeros((0, 4))


def _read(path: Path) -> dict[str, NDArray[np.float64]]:
    """Per topic rows of time (s) and values, in order of time."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    with open_bag(path) as bag:
        simulated = bag.topics_called(_ALWAYS)
        namespace = simulated[0].removesuffix(_ALWAYS) if simulated else "/"
        wanted = [topic for topic in bag.types if topic.removeprefix(namespace) in _VALUES]
        for one in bag.messages(wanted):
            topic = one.topic.removeprefix(namespace)
            values = _VALUES[topic](one.message)
            if values is not None:
                rows.setdefault(topic, []).append((stamp_ns(one.message.header.stamp) * 1e-9, *values))
    return {topic: np.array(sorted(found), np.float64) for topic, found in rows.items()}


def _bearing(message: Any) -> tuple[float, ...]:
    v = message.vector
    return (math.atan2(math.hypot(v.x, v.y), v.z),)


def _direction(message: Any) -> tuple[float, ...]:
    v = message.vector
    return tuple(sight_along(np.array([v.x, v.y, v.z])))


def _servo(message: Any) -> tuple[float, ...]:
    return (float(message.state), message.azimuth_rate, message.elevation_rate)


def _joints(message: Any) -> tuple[float, ...]:
    return tuple(float(rate) for rate in message.velocity)


def _track(message: Any) -> tuple[float, ...] | None:
    """State, confidence and raw score of the first target; None of no target."""
    if not message.tracks:
        return None
    track = message.tracks[0]
    return (float(track.state), float(track.confidence), float(track.raw_score))


_VALUES = {
    "truth/bearing": _bearing,
    "truth/direction": _direction,
    "servo_state": _servo,
    "joint_states": _joints,
    "tracks": _track,
    "truth/tracks": _track,
}


def _record(series: dict[str, NDArray[np.float64]]) -> LoopRecord:
    """A sample for each true bearing, with what was newest of the rest then."""
    bearings = series["truth/bearing"]
    times = bearings[:, 0]
    joints, servo = _newest(series["joint_states"], times), _newest(series["servo_state"], times)
    tracks = series.get("tracks", _EMPTY)
    confidence = _newest(tracks if len(tracks) else series["truth/tracks"], times)[:, 2]
    rates = _target_rates(series["truth/direction"], times)
    return LoopRecord(
        [
            LoopSample(
                float(t),
                float(bearings[row, 1]),
                AngularRates(float(servo[row, 2]), float(servo[row, 3])),
                AngularRates(float(joints[row, 1]), -float(joints[row, 2])),
                AngularRates(float(rates[row, 0]), float(rates[row, 1])),
                ServoState(int(servo[row, 1])) if servo[row, 0] <= t else ServoState.DISARMED,
                float(confidence[row]),
            )
            for row, t in enumerate(times)
        ]
    )


def _newest(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each time the newest row until then; the first before any."""
    return np.asarray(rows[np.maximum(np.searchsorted(rows[:, 0], times, side="right") - 1, 0)])


def _target_rates(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates [n, 2] of the target's azimuth and elevation, rad/s, at each time."""
    steps = np.diff(rows, axis=0)
    turns = np.array([[wrap_angle(a), e] for _, a, e in steps])
    rates = turns / np.maximum(steps[:, :1], 1e-6)
    return np.asarray(rates[np.clip(np.searchsorted(rows[:, 0], times, side="right") - 2, 0, len(rates) - 1)])


def _occlusions(truth: NDArray[np.float64]) -> tuple[Occlusion, ...]:
    """When the truth was not seen, from the first such image to the first that was seen again."""
    found: list[Occlusion] = []
    start: float | None = None
    for row in truth:
        hidden = int(row[1]) != TrackState.TRACKING
        if hidden and start is None:
            start = float(row[0])
        elif start is not None and (not hidden or row is truth[-1]):
            end = float(row[0])
            found.append(Occlusion(start, end, _hidden_s(truth, start, end)))
            start = None
    return tuple(found)


def _hidden_s(truth: NDArray[np.float64], start: float, end: float) -> float:
    """How long nothing of the target was visible, which is what the raw score of a truth tells."""
    part = truth[(truth[:, 0] >= start) & (truth[:, 0] <= end)]
    steps = np.diff(part[:, 0])
    return float(steps[part[:-1, 3] == 0].sum())


def _degrees(angle: float) -> float | None:
    return _rounded(math.degrees(angle))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
