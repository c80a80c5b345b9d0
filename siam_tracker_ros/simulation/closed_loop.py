"""The whole servo around a simulated gimbal, in one process and without images: for tuning and for tests.

What the tracker would say is computed from the truth, late and with noise; everything after it is the servo
as it runs on a robot.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from siam_tracker_ros.control.camera_model import CameraModel
from siam_tracker_ros.control.errors import NoBearingError, require_not_negative, require_positive
from siam_tracker_ros.control.frames import AngularRates, PanTilt, attitude_of, from_pan_tilt, to_pan_tilt
from siam_tracker_ros.control.line_of_sight import angle_between, bearing_of, pointing_of
from siam_tracker_ros.control.servo import Servo, ServoCommand, TrackObservation
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.simulation.gimbal import Gimbal, GimbalConfig
from siam_tracker_ros.simulation.loop_record import LoopRecord, LoopSample
from siam_tracker_ros.simulation.target_path import TargetPath, rates_along

_SIZE_PX = (60.0, 60.0)
_CONFIDENT, _UNSEEN = 0.95, 0.1
_SAME_TIME_S = 1e-9


@dataclass(frozen=True)
class LoopConfig:
    """The loop's parts; times s, rates Hz.

    Tracks come `latency_s` after the exposure of their image, with noise of `noise_px` (standard deviation,
    px), and stamped `stamp_error_s` late. From `hidden[0]` to `hidden[1]` the target is not seen. With
    `positions` the gimbal is told positions, not rates.
    """

    servo: ServoConfig = field(default_factory=ServoConfig)
    gimbal: GimbalConfig = field(default_factory=GimbalConfig)
    latency_s: float = 0.08
    noise_px: float = 0.5
    stamp_error_s: float = 0.0
    frame_rate: float = 30.0
    control_rate: float = 50.0
    hidden: tuple[float, float] = (math.inf, math.inf)
    positions: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        require_not_negative(latency_s=self.latency_s, noise_px=self.noise_px)
        require_positive(frame_rate=self.frame_rate, control_rate=self.control_rate)


@dataclass(frozen=True)
class LoopRun:
    """A control period each: what happened, what was commanded, and the joint angles (rad) at its start."""

    record: LoopRecord
    commands: list[ServoCommand]
    joints: list[PanTilt]


def run_closed_loop(
    camera: CameraModel, path: TargetPath, seconds: float, config: LoopConfig | None = None
) -> LoopRun:
    """Follow `path` for `seconds`, from pan and tilt 0, armed from the start."""
    return _Loop(camera, path, config or LoopConfig()).run(seconds)


class _Loop:
    def __init__(self, camera: CameraModel, path: TargetPath, config: LoopConfig) -> None:
        self._camera, self._path, self._config = camera, path, config
        self._gimbal = Gimbal(config.gimbal)
        self._servo = Servo(camera, config.servo)
        self._rng = np.random.default_rng(config.seed)
        self._on_the_way: deque[TrackObservation] = deque()
        self._time = 0.0
        self._exposures = 0
        self._confidence = math.nan

    def run(self, seconds: float) -> LoopRun:
        run = LoopRun(LoopRecord(), [], [])
        self._servo.arm()
        for tick in range(round(seconds * self._config.control_rate)):
            t = tick / self._config.control_rate
            self._advance(t)
            self._servo.observe_joints(t, self._gimbal.encoders)
            self._deliver(t)
            command = self._servo.step(t)
            run.record.samples.append(self._sample(t, command))
            run.commands.append(command)
            run.joints.append(self._gimbal.camera_joints)
            if self._config.positions and command.setpoint is not None:
                self._gimbal.command_positions(to_pan_tilt(command.setpoint))
            else:
                self._gimbal.command_rates(to_pan_tilt(command.rates))
        return run

    def _advance(self, until: float) -> None:
        while (exposure := self._exposures / self._config.frame_rate) <= until + _SAME_TIME_S:
            self._gimbal.step(exposure - self._time)
            self._time = max(self._time, exposure)
            self._exposures += 1
            self._on_the_way.append(self._observation(exposure))
        self._gimbal.step(until - self._time)
        self._time = max(self._time, until)

    def _deliver(self, now: float) -> None:
        late = self._config.latency_s - self._config.stamp_error_s
        while self._on_the_way and self._on_the_way[0].stamp + late <= now + _SAME_TIME_S:
            track = self._on_the_way.popleft()
            self._confidence = track.confidence
            self._servo.observe_track(track)

    def _observation(self, t: float) -> TrackObservation:
        stamp, camera = t + self._config.stamp_error_s, self._camera
        seen = not self._config.hidden[0] <= t < self._config.hidden[1]
        noise = self._rng.normal(0.0, self._config.noise_px, 2)
        try:
            attitude = attitude_of(self._gimbal.camera_joints)
            u, v = camera.pixel(bearing_of(self._path(t), attitude)) + noise
        except NoBearingError:
            seen, u, v = False, camera.cx, camera.cy
        if not seen or not (0 <= u < camera.width and 0 <= v < camera.height):
            return TrackObservation(stamp, 1, TrackState.COASTING, _UNSEEN, (camera.cx, camera.cy), _SIZE_PX)
        return TrackObservation(stamp, 1, TrackState.TRACKING, _CONFIDENT, (u, v), _SIZE_PX)

    def _sample(self, t: float, command: ServoCommand) -> LoopSample:
        pointing = pointing_of(attitude_of(self._gimbal.camera_joints))
        turning = from_pan_tilt(self._gimbal.camera_rates)
        return LoopSample(
            t,
            angle_between(self._path(t), pointing),
            command.rates,
            AngularRates(*turning),
            AngularRates(*rates_along(self._path, t)),
            command.state,
            self._confidence,
        )
