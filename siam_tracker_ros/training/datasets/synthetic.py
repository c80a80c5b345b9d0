"""The synthetic source: sequences of cut-outs that move over a photograph, with exact masks.

Pasting segmented things onto photographs trains detectors (Dwibedi et al., ICCV 2017); here they move. The
camera pans, turns and zooms; things drift, turn, grow and bend in aspect; others of the same kind keep them
company, and some cross in front. Light changes over time, motion smears what is fast, and each thing in view
is a target with the mask and box of what is visible of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.config import SyntheticConfig
from siam_tracker_ros.training.datasets.annotation import (
    AnnotatedFrame,
    BrokenItem,
    DatasetError,
    Item,
    TargetLabel,
)
from siam_tracker_ros.training.datasets.cutouts import (
    Cutout,
    cutouts_of_stills,
    find_cutouts,
    find_photographs,
    premultiplied,
    smooth_path,
)

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# Of a target at least this part has to be visible to be labelled.
_MIN_VISIBLE = 0.35
# Frames of a sequence are named as if they were 1/25 s apart; a shutter is open for part of that.
_SHUTTER = 0.5
# So many unusable cut-outs in a row mean that something is wrong with all of them.
_DRAWS = 50


@dataclass(frozen=True, eq=False)
class _Thing:
    """One cut-out and its course, in px of the world seen by a camera that rests: [F] each."""

    views: Sequence[UInt8]
    x: Float64
    y: Float64
    size: Float64
    aspect: Float64
    angle: Float64
    gain: Float64
    is_target: bool


def _grows(count: int, rng: np.random.Generator) -> Float64:
    return np.exp(smooth_path(count, 2, 0.15, rng))


def _course(
    views: Sequence[UInt8], start: Float64, size: float, frames: int, rng: np.random.Generator
) -> _Thing:
    speed = size * rng.uniform(0.3, 2.5)
    return _Thing(
        views,
        start[0] + smooth_path(frames, 3, speed, rng),
        start[1] + smooth_path(frames, 3, 0.6 * speed, rng),
        size * _grows(frames, rng),
        np.exp(smooth_path(frames, 2, 0.12, rng)),
        smooth_path(frames, 2, 0.2, rng) if rng.random() < 0.6 else np.zeros(frames),
        np.exp(smooth_path(frames, 2, 0.12, rng)),
        True,
    )


def _crossing(views: Sequence[UInt8], target: _Thing, frames: int, rng: np.random.Generator) -> _Thing:
    """Something in front that passes over the target at some time."""
    size = float(target.size.mean() * rng.uniform(0.5, 1.3))
    when = int(rng.integers(frames // 4, max(3 * frames // 4, frames // 4 + 1)))
    direction = rng.uniform(0, 2 * math.pi)
    travel = size * rng.uniform(0.1, 0.5) * (np.arange(frames) - when)
    still = np.ones(frames)
    return _Thing(
        views,
        target.x[when] + travel * math.cos(direction),
        target.y[when] + travel * math.sin(direction),
        size * still,
        still,
        0 * still,
        still,
        False,
    )


def _camera(config: SyntheticConfig, rng: np.random.Generator) -> list[Float64]:
    """For each frame the 2x3 matrix from px of the world to px of the image."""
    frames, strength = config.frames, config.camera_motion
    pan = min(config.width, config.height) * 0.12 * strength
    dx, dy = smooth_path(frames, 3, pan, rng), smooth_path(frames, 3, 0.6 * pan, rng)
    zoom = np.exp(smooth_path(frames, 2, 0.12 * strength, rng))
    roll = smooth_path(frames, 2, 0.05 * strength, rng)
    shake = rng.normal(0, 1.2 * strength, (frames, 2)) * (rng.random() < 0.5)
    matrices = []
    for number in range(frames):
        rotation = cv2.getRotationMatrix2D((0, 0), math.degrees(roll[number]), zoom[number])
        turn = np.asarray(rotation, np.float64)
        centre = np.array([config.width / 2, config.height / 2])
        shift = np.array([dx[number], dy[number]]) + shake[number]
        turn[:, 2] = centre - turn[:, :2] @ (centre + shift)
        matrices.append(turn)
    return matrices


def _sprite(thing: _Thing, number: int, camera: Float64, shape: tuple[int, int]) -> Float32:
    """A thing as it stands in the image of a frame: premultiplied BGRA [H, W, 4]."""
    view = thing.views[number % len(thing.views)]
    height, width = view.shape[:2]
    scale = thing.size[number] / math.sqrt(width * height)
    stretch = math.sqrt(thing.aspect[number])
    cos, sin = math.cos(thing.angle[number]), math.sin(thing.angle[number])
    local = np.array([[cos, -sin], [sin, cos]]) @ np.diag([scale * stretch, scale / stretch])
    linear = camera[:, :2] @ local
    centre = camera[:, :2] @ (thing.x[number], thing.y[number]) + camera[:, 2]
    image = premultiplied(view)
    reduction = math.sqrt(abs(float(np.linalg.det(linear))))
    if reduction < 0.7:
        # A warp reads four neighbours only: shrink by area first.
        size = (max(2, round(width * reduction)), max(2, round(height * reduction)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        linear = linear @ np.diag([width / size[0], height / size[1]])
        width, height = size
    offset = centre - linear @ np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([linear, offset])
    warped = cv2.warpAffine(image, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)
    sprite = np.asarray(warped, np.float32)
    sprite[..., :3] *= thing.gain[number]
    return sprite


def _smeared(image: Float32, motion: Float64) -> Float32:
    """`image` smeared along `motion` px, within the shutter's time."""
    length = round(float(np.hypot(*motion)) * _SHUTTER)
    if length < 2:
        return image
    length = min(length, 31) | 1
    kernel = np.zeros((length, length), np.float32)
    half = length // 2
    way = motion / np.hypot(*motion) * half
    start = (round(half - way[0]), round(half - way[1]))
    end = (round(half + way[0]), round(half + way[1]))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)


def _motion(thing: _Thing, number: int, cameras: Sequence[Float64]) -> Float64:
    """How far a thing moves in the image from the frame before, px."""
    if number == 0:
        return np.zeros(2)
    now, before = (
        cameras[n][:, :2] @ np.array([thing.x[n], thing.y[n]]) + cameras[n][:, 2]
        for n in (number, number - 1)
    )
    return np.asarray(now - before)


def _background(photograph: UInt8, config: SyntheticConfig, camera: Float64) -> Float32:
    """The photograph, mirrored on at its borders, as wide as what the camera may see."""
    scale = 1.3 * max(config.width / photograph.shape[1], config.height / photograph.shape[0])
    to_world = np.array([[scale, 0, 0], [0, scale, 0], [0, 0, 1.0]])
    size = np.array([photograph.shape[1], photograph.shape[0]]) * scale
    to_world[:2, 2] = (np.array([config.width, config.height]) - size) / 2
    matrix = camera @ to_world
    warped = cv2.warpAffine(
        photograph, matrix, (config.width, config.height), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    return np.asarray(warped, np.float32)


def compose(
    photograph: UInt8, things: Sequence[_Thing], config: SyntheticConfig, rng: np.random.Generator, name: str
) -> Iterator[AnnotatedFrame]:
    """Frames of one sequence: `things` from back to front over `photograph`."""
    cameras = _camera(config, rng)
    light = np.exp(smooth_path(config.frames, 3, 0.2 * config.light, rng))
    tint = 1 + rng.normal(0, 0.04 * config.light, 3)
    noise = rng.uniform(0, 5)
    smears = rng.random() < config.blur
    soft = rng.uniform(0.6, 1.5) if rng.random() < config.blur / 2 else 0.0
    shape = (config.height, config.width)
    for number, camera in enumerate(cameras):
        image: Float32 = _background(photograph, config, camera)
        opaque: list[NDArray[np.bool_]] = []
        for thing in things:
            sprite = _sprite(thing, number, camera, shape)
            covered = sprite[..., 3] > 127
            for below in opaque:
                below &= ~covered
            opaque.append(covered.copy())
            if smears:
                sprite = _smeared(sprite, _motion(thing, number, cameras))
            image *= 1 - sprite[..., 3:] / 255
            image += sprite[..., :3]
        if soft:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), soft), np.float32)
        lit: Float64 = image * (light[number] * tint) + rng.normal(0, noise, (*shape, 1))
        pixels = np.clip(np.round(lit), 0, 255).astype(np.uint8)
        targets = []
        for index, (thing, visible) in enumerate(zip(things, opaque, strict=True)):
            whole = thing.size[number] ** 2 * float(np.linalg.det(camera[:, :2]))
            share = float((thing.views[number % len(thing.views)][..., 3] > 127).mean())
            if thing.is_target and np.count_nonzero(visible) >= _MIN_VISIBLE * whole * share:
                box = Box(*(float(v) for v in cv2.boundingRect(visible.astype(np.uint8))))
                targets.append(TargetLabel(str(index), box, mask=visible))
        yield AnnotatedFrame(Path(name) / f"{number:06d}", name, False, tuple(targets), pixels)


def _drawn(
    cutouts: Sequence[Cutout], frames: int, rng: np.random.Generator, broken: dict[str, str]
) -> tuple[Cutout, Sequence[UInt8]]:
    """One of `cutouts` and its views; those that cannot be used are named in `broken`."""
    for _ in range(_DRAWS):
        cutout = cutouts[int(rng.integers(len(cutouts)))]
        try:
            return cutout, cutout.views(frames, rng)
        except ValueError as error:
            broken[cutout.name] = str(error)
    raise DatasetError(
        f"{_DRAWS} cut-outs in a row cannot be used: "
        + "; ".join(f"{name}: {reason}" for name, reason in list(broken.items())[:3])
    )


def _sequence(
    number: int, cutouts: Sequence[Cutout], photographs: Sequence[Path], config: SyntheticConfig
) -> Iterator[Item]:
    rng = np.random.default_rng([config.seed, number])
    name = f"synthetic_{number:06d}"
    path = photographs[int(rng.integers(len(photographs)))]
    decoded = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if decoded is None:
        yield BrokenItem(name, f"photograph {path} missing or unreadable")
        return
    side = min(config.width, config.height)
    size = side * float(np.exp(rng.uniform(*np.log((config.min_size, config.max_size)))))
    room = np.array([config.width, config.height])
    broken: dict[str, str] = {}
    first, views = _drawn(cutouts, config.frames, rng, broken)
    alike = [cutout for cutout in cutouts if cutout.kind == first.kind]
    target = _course(views, room / 2 + rng.uniform(-0.2, 0.2, 2) * room, size, config.frames, rng)
    behind, in_front = [], []
    for _ in range(int(rng.integers(config.distractors + 1))):
        _, views = _drawn(alike if rng.random() < 0.7 else [first], config.frames, rng, broken)
        place = rng.uniform(0.1, 0.9, 2) * room
        behind.append(_course(views, place, size * rng.uniform(0.7, 1.3), config.frames, rng))
    for _ in range(int(rng.integers(config.occluders + 1))):
        _, views = _drawn(cutouts, config.frames, rng, broken)
        in_front.append(_crossing(views, target, config.frames, rng))
    yield from (BrokenItem(cutout, reason) for cutout, reason in broken.items())
    things = [*behind, target, *in_front]
    yield from compose(np.asarray(decoded, np.uint8), things, config, rng, name)


def read_synthetic(
    material: Path, config: SyntheticConfig, stills: tuple[Path, Path] | None = None
) -> Iterator[Item]:
    """`config.sequences` composed sequences; each depends on the seed and its number alone.

    `material` has cutouts/ and models/ (`find_cutouts`) and backgrounds/; with `stills`, a COCO file and its
    images, their masked objects are cut out too and the stills are backgrounds too. What cannot be used is a
    BrokenItem. Raises DatasetError where there is nothing to show or nothing to show it on.
    """
    cutouts, folders = find_cutouts(material), [material / "backgrounds"]
    if stills is not None:
        more, broken = cutouts_of_stills(*stills)
        cutouts += more
        folders.append(stills[1])
        yield from broken
    photographs = find_photographs(folders)
    if not cutouts:
        raise DatasetError(f"{material} has nothing to show: no cutouts/KIND/*.png or models/KIND/*.obj")
    for number in range(config.sequences):
        yield from _sequence(number, cutouts, photographs, config)
