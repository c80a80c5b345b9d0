"""Gimbal, camera, scene and target in one simulated time.

The camera exposes at even times; an image carries the time of the middle of its exposure and arrives a
latency later. Everything random is drawn from one seed, so that a run is the same every time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.camera_model import CameraModel
from siam_tracker_ros.control.errors import require_not_negative, require_positive
from siam_tracker_ros.control.frames import LineOfSight, PanTilt, attitude_of
from siam_tracker_ros.control.line_of_sight import bearing_of
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.gimbal import Gimbal, GimbalConfig
from siam_tracker_ros.simulation.rendering import (
    Billboard,
    Layer,
    Renderer,
    billboard,
    blurred,
    motion_px,
    paint,
    smeared,
)
from siam_tracker_ros.simulation.scene import Image
from siam_tracker_ros.simulation.sprite import Sprite, airship, hoarding
from siam_tracker_ros.simulation.target_path import TargetPath, eased, rates_along

# How fast what hides the target goes past it, rad/s, and how much higher than the target it is.
_PASSING_RATE = math.radians(15)
_OCCLUDER_HEIGHTS = 1.8
_OUT_OF_SIGHT = math.radians(60)
_LONGEST_OCCLUSION_S = 5.0
# Sprites are drawn this much finer than they appear.
_SPRITE_DETAIL = 1.5
_NOISE_MARGIN_PX = 64
_ZERO = PanTilt(0.0, 0.0)


@dataclass(frozen=True)
class Occlusion:
    """The target is wholly hidden for `duration` s from `start` s on, counted from the start of its path."""

    start: float
    duration: float

    def __post_init__(self) -> None:
        require_not_negative(start=self.start)
        require_positive(duration=self.duration)
        if self.duration > _LONGEST_OCCLUSION_S:
            raise SimulationError(
                f"an occlusion lasts at most {_LONGEST_OCCLUSION_S:g} s, not {self.duration:g}"
            )


@dataclass(frozen=True)
class SimulatorConfig:
    """Everything but the camera, the scene and the path; times s, angles rad.

    `latency_s` passes from the middle of an exposure to the arrival of its image, give or take `jitter_s`,
    evenly distributed. `noise` is the standard deviation of a pixel's value of 0 to 255. The target spans
    `target_width` x `target_height`. A rate command holds for `command_timeout_s`. The path is taken up over
    `ramp_s`. A truth is COASTING while less than `visible_share` of the target is in sight, and LOST after
    `lost_after_s` of that.
    """

    gimbal: GimbalConfig = field(default_factory=GimbalConfig)
    frame_rate: float = 30.0
    latency_s: float = 0.08
    jitter_s: float = 0.0
    exposure_s: float = 0.008
    noise: float = 2.0
    target_width: float = math.radians(9)
    target_height: float = math.radians(5)
    occlusions: tuple[Occlusion, ...] = ()
    command_timeout_s: float = 0.5
    ramp_s: float = 1.0
    visible_share: float = 0.3
    lost_after_s: float = 3.0
    start_joints: PanTilt = _ZERO
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(
            frame_rate=self.frame_rate,
            target_width=self.target_width,
            target_height=self.target_height,
            command_timeout_s=self.command_timeout_s,
            ramp_s=self.ramp_s,
            lost_after_s=self.lost_after_s,
        )
        require_not_negative(
            latency_s=self.latency_s,
            jitter_s=self.jitter_s,
            exposure_s=self.exposure_s,
            noise=self.noise,
            visible_share=self.visible_share,
        )
        if self.jitter_s > self.latency_s:
            raise SimulationError(
                f"jitter_s ({self.jitter_s:g}) must not be above latency_s ({self.latency_s:g}): "
                "no image arrives before it is exposed"
            )
        if max(self.target_width, self.target_height) > math.radians(60):
            raise SimulationError("the target spans at most 60 degrees")


@dataclass(frozen=True)
class Truth:
    """What really was at `stamp`, s.

    `joints` (rad) are the camera's, behind the backlash; `sight` (rad, base frame) is the line of sight to
    the target's centre and `bearing` [3] (unit vector, optical frame) the direction it is seen in. `box` is
    (left, top, right, bottom), px, of the whole target as if nothing hid it, the centre of the first pixel
    being (0, 0), also outside of the image; None beyond the lens. `mask` [h, w] are its visible pixels, from
    pixel `corner` (x, y) on, None if none is; `visible` is the share 0..1 of it that they are.
    """

    stamp: float
    joints: PanTilt
    sight: LineOfSight
    bearing: NDArray[np.float64]
    box: tuple[float, float, float, float] | None
    mask: NDArray[np.bool_] | None
    corner: tuple[int, int]
    visible: float
    state: TrackState

    @property
    def error(self) -> float:
        """Angle between the optical axis and the target's centre, rad."""
        return math.atan2(math.hypot(self.bearing[0], self.bearing[1]), float(self.bearing[2]))


@dataclass(frozen=True)
class Frame:
    """An image [H, W, 3] BGR that arrives at `arrival` (s), None where it was not drawn, and its truth."""

    arrival: float
    image: Image | None
    truth: Truth


class Simulator:
    """Starts at time 0 with the gimbal at rest, and the target still until `start_path`."""

    def __init__(
        self, camera: CameraModel, panorama: Image, path: TargetPath, config: SimulatorConfig | None = None
    ) -> None:
        self.camera = camera
        self.config = config or SimulatorConfig()
        self.gimbal = Gimbal(self.config.gimbal, self.config.start_joints)
        self.time = 0.0
        self._renderer = Renderer(camera, panorama)
        self._path = path
        self._started: float | None = None
        self._rng = np.random.default_rng(self.config.seed)
        width, height = self.config.target_width, self.config.target_height
        self._target = self._sprite(airship, width, height)
        self._occluders = [
            self._sprite(hoarding, width + _PASSING_RATE * one.duration, height * _OCCLUDER_HEIGHTS)
            for one in self.config.occlusions
        ]
        self._noise = self._noise_tile()
        self._exposures = 0
        self._on_the_way: deque[Frame] = deque()
        self._rates_until = -math.inf
        self._hidden_since: float | None = None

    def start_path(self) -> None:
        """Let the target set out now, from the beginning of its path."""
        self._started = self.time

    def command_rates(self, rates: PanTilt) -> None:
        """Turn the joints at these rates, rad/s, from now on, for as long as a command holds."""
        self.gimbal.command_rates(rates)
        self._rates_until = self.time + self.config.command_timeout_s

    def command_positions(self, joints: PanTilt) -> None:
        """Turn the joints to these angles, rad; they hold until the next command."""
        self.gimbal.command_positions(joints)
        self._rates_until = math.inf

    def sight_at(self, t: float) -> LineOfSight:
        """Line of sight (rad, base frame) to the target at time `t`, s."""
        start = math.inf if self._started is None else self._started
        return eased(self._path, start, self.config.ramp_s)(t)

    def advance(self, until: float, draw: bool = True) -> list[Frame]:
        """Let time pass to `until`, s; the frames that arrive by then. `draw`: with their images."""
        while (exposure := self._exposure_time(self._exposures)) <= until:
            self._move(exposure)
            self._exposures += 1
            self._on_the_way.append(self._expose(draw))
        self._move(until)
        arrived = []
        while self._on_the_way and self._on_the_way[0].arrival <= until:
            arrived.append(self._on_the_way.popleft())
        return arrived

    def truth(self) -> Truth:
        """What is true now."""
        return self._truth(self._layers())

    def _move(self, until: float) -> None:
        if self.time < self._rates_until < until:
            self._step(self._rates_until)
        if self._rates_until <= self.time and math.isfinite(self._rates_until):
            self.gimbal.command_rates(_ZERO)
        self._step(until)

    def _step(self, until: float) -> None:
        self.gimbal.step(until - self.time)
        self.time = max(self.time, until)

    def _exposure_time(self, number: int) -> float:
        return number / self.config.frame_rate

    def _expose(self, draw: bool) -> Frame:
        layers = self._layers()
        truth = self._truth(layers)
        image = self._draw(layers) if draw else None
        late = self.config.latency_s + self._rng.uniform(-1.0, 1.0) * self.config.jitter_s
        before = self._on_the_way[-1].arrival if self._on_the_way else 0.0
        return Frame(max(self.time + late, before), image, truth)

    def _layers(self) -> tuple[Layer | None, Layer | None]:
        """The target, and what hides it, as they are seen now."""
        joints = self.gimbal.camera_joints
        occluder = self._occluder_now()
        return (
            self._renderer.layer(self._target_now(), joints),
            None if occluder is None else self._renderer.layer(occluder, joints),
        )

    def _target_now(self) -> Billboard:
        return replace(self._target, sight=self.sight_at(self.time))

    def _occluder_now(self) -> Billboard | None:
        """What passes in front of the target, while it is anywhere near it.

        It goes along with the target but for a steady rate, so that it hides it for exactly as long as it is
        wider than the target.
        """
        if self._started is None:
            return None
        for occlusion, board in zip(self.config.occlusions, self._occluders, strict=True):
            middle = self._started + occlusion.start + occlusion.duration / 2
            offset = _PASSING_RATE * (self.time - middle)
            if abs(offset) < _OUT_OF_SIGHT + board.width / 2:
                sight = self.sight_at(self.time)
                return replace(board, sight=LineOfSight(sight.azimuth + offset, sight.elevation))
        return None

    def _draw(self, layers: tuple[Layer | None, Layer | None]) -> Image:
        camera, exposure = self.camera, self.config.exposure_s
        turning = self.gimbal.camera_rates
        azimuth_rate, elevation_rate = rates_along(self.sight_at, self.time)
        image = blurred(
            self._renderer.background(self.gimbal.camera_joints),
            motion_px(camera, (-turning.pan, turning.tilt), exposure),
        )
        relative = (azimuth_rate - turning.pan, elevation_rate + turning.tilt)
        passing = (relative[0] + _PASSING_RATE, relative[1])
        for layer, rate in zip(layers, (relative, passing), strict=True):
            if layer is not None:
                paint(image, smeared(layer, motion_px(camera, rate, exposure), camera.width, camera.height))
        if self._noise is not None:
            left, top = self._rng.integers(0, _NOISE_MARGIN_PX, 2)
            tile = self._noise[top : top + camera.height, left : left + camera.width]
            image = np.asarray(cv2.add(image, tile, dtype=cv2.CV_8U), np.uint8)
        return image

    def _truth(self, layers: tuple[Layer | None, Layer | None]) -> Truth:
        joints, sight = self.gimbal.camera_joints, self.sight_at(self.time)
        contour = self._renderer.contour(self._target_now(), joints)
        mask, corner, visible, box = None, (0, 0), 0.0, None
        if contour is not None:
            (left, top), (right, bottom) = contour.min(axis=0).tolist(), contour.max(axis=0).tolist()
            box = (left, top, right, bottom)
            seen = _visible_pixels(*layers)
            if seen is not None:
                mask, corner = seen
                whole = cv2.contourArea(contour.astype(np.float32))
                visible = min(float(mask.sum()) / max(whole, 1.0), 1.0)
        return Truth(
            self.time,
            joints,
            sight,
            bearing_of(sight, attitude_of(joints)),
            box,
            mask,
            corner,
            visible,
            self._state(visible),
        )

    def _state(self, visible: float) -> TrackState:
        if visible > 0 and visible >= self.config.visible_share:
            self._hidden_since = None
            return TrackState.TRACKING
        if self._hidden_since is None:
            self._hidden_since = self.time
        lost = self.time - self._hidden_since >= self.config.lost_after_s
        return TrackState.LOST if lost else TrackState.COASTING

    def _sprite(self, draw: Callable[[int, int], Sprite], width: float, height: float) -> Billboard:
        """A board of this size, rad, its sprite as fine as the camera sees it."""
        fine = _SPRITE_DETAIL * self.camera.fx
        size = max(round(width * fine), 16), max(round(height * fine), 16)
        return billboard(draw(*size), LineOfSight(0.0, 0.0), width, height)

    def _noise_tile(self) -> NDArray[np.int16] | None:
        """Noise larger than an image: every frame takes a part of it, as drawing it anew takes long."""
        if self.config.noise == 0:
            return None
        shape = (self.camera.height + _NOISE_MARGIN_PX, self.camera.width + _NOISE_MARGIN_PX, 3)
        return np.rint(self._rng.normal(0.0, self.config.noise, shape)).astype(np.int16)


def _visible_pixels(
    target: Layer | None, occluder: Layer | None
) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """The target's pixels [h, w] that nothing hides, and the pixel (x, y) of the first; None if none is."""
    if target is None:
        return None
    seen = target.pixels[..., 3] > 127
    if occluder is not None:
        h, w = seen.shape
        top, left = max(target.y, occluder.y), max(target.x, occluder.x)
        bottom = min(target.y + h, occluder.y + occluder.pixels.shape[0])
        right = min(target.x + w, occluder.x + occluder.pixels.shape[1])
        if bottom > top and right > left:
            hidden = occluder.pixels[
                top - occluder.y : bottom - occluder.y, left - occluder.x : right - occluder.x
            ]
            seen[top - target.y : bottom - target.y, left - target.x : right - target.x] &= (
                hidden[..., 3] <= 127
            )
    return (seen, (target.x, target.y)) if seen.any() else None
