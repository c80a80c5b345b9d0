"""The surroundings as a panorama: drawn here, or the user's own picture.

A panorama is an image [H, W, 3] BGR, equirectangular: its columns are azimuth, all the way round and
increasing to the left with 0 in the middle; its rows are elevation, 90 degrees at the top edge, -90 at the
bottom one.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.simulation.errors import SceneError

Image = NDArray[np.uint8]
_Field = NDArray[np.floating]

PANORAMA_WIDTH = 4096
# A picture at least this wide for its height is taken for a panorama.
_PANORAMA_ASPECT = 1.9
# How often another picture is put side by side to go all the way round; even, so that mirrored ones match.
_REPEATS = 4


def drawn_panorama(seed: int = 0, width: int = PANORAMA_WIDTH) -> Image:
    """A landscape: sky with clouds, two ridges of hills, fields, a town, trees. `width` px, half as high."""
    rng = np.random.default_rng(seed)
    # Nothing of sky and land is as fine as a pixel: they are drawn at half the size.
    picture = _doubled(_land(rng, width // 2))
    _town(picture, rng)
    _trees(picture, rng)
    return np.clip(picture, 0, 255).astype(np.uint8)


def read_panorama(path: Path) -> Image:
    """A picture file as a panorama.

    One about twice as wide as high is taken for equirectangular. Another is repeated all the way round,
    every second time mirrored, its upper and lower border carried on to the poles. Raises SceneError.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise SceneError(f"{path}: not a picture that can be read; the scene is a JPEG or PNG file")
    if picture.shape[1] < _PANORAMA_ASPECT * picture.shape[0]:
        picture = np.hstack([picture, picture[:, ::-1]] * (_REPEATS // 2))
    scale = PANORAMA_WIDTH / picture.shape[1]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rows = min(max(round(picture.shape[0] * scale), 1), PANORAMA_WIDTH // 2)
    picture = cv2.resize(picture, (PANORAMA_WIDTH, rows), interpolation=method)
    above = (PANORAMA_WIDTH // 2 - rows) // 2
    below = PANORAMA_WIDTH // 2 - rows - above
    return np.asarray(cv2.copyMakeBorder(picture, above, below, 0, 0, cv2.BORDER_REPLICATE), np.uint8)


def _land(rng: np.random.Generator, width: int) -> _Field:
    height = width // 2
    elevation = 90 - 180 * (np.arange(height, dtype=np.float32) + 0.5) / height
    picture = _sky(rng, width, height, elevation)
    _hills(picture, rng, elevation, low=4.0, high=11.0, color=(132, 118, 104), contrast=14)
    _hills(picture, rng, elevation, low=1.0, high=5.0, color=(72, 104, 88), contrast=26)
    _ground(picture, rng, elevation)
    return picture


def _doubled(picture: _Field) -> _Field:
    """Twice as wide and high, without a seam where the right border meets the left."""
    height, width = picture.shape[:2]
    around = np.concatenate([picture[:, -1:], picture, picture[:, :1]], axis=1).astype(np.float32)
    wide = cv2.resize(around, (2 * width + 4, 2 * height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(wide[:, 2:-2])


def _noise(rng: np.random.Generator, width: int, height: int, cells: int, octaves: int) -> _Field:
    """Smooth noise [height, width], about -1 to 1, that goes on seamlessly from right to left."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        columns = cells * 2**octave
        rows = max(columns * height // width, 2)
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        grid = np.concatenate([grid[:, -2:], grid, grid[:, :2]], axis=1)
        step = width // columns
        wide = cv2.resize(grid, (width + 4 * step, height), interpolation=cv2.INTER_CUBIC)
        total += wide[:, 2 * step : 2 * step + width] * 0.55**octave
    return total


def _sky(rng: np.random.Generator, width: int, height: int, elevation: _Field) -> _Field:
    up = np.clip(elevation / 90, 0, 1)[:, None, None] ** 0.6
    sky = np.array([226, 208, 190], np.float32) * (1 - up) + np.array([176, 120, 62], np.float32) * up
    picture = np.repeat(sky, width, axis=1)
    clouds = np.clip(_noise(rng, width, height, 16, 6) + 0.1, 0, 0.9)[..., None]
    shade = 228 + 24 * _noise(rng, width, height, 64, 3)[..., None]
    return np.asarray(picture + clouds * (shade - picture))


def _hills(
    picture: _Field,
    rng: np.random.Generator,
    elevation: _Field,
    low: float,
    high: float,
    color: tuple[int, int, int],
    contrast: float,
) -> None:
    """A ridge between two elevations (degrees) and everything below it."""
    height, width = picture.shape[:2]
    ridge = _noise(rng, width, 2, 12, 6)[0]
    ridge = low + (high - low) * (ridge - ridge.min()) / (ridge.max() - ridge.min())
    texture = _noise(rng, width, height, 96, 4)[..., None]
    tone = np.array(color, np.float32) + contrast * texture * np.array([0.7, 1.0, 0.9], np.float32)
    inside = elevation[:, None] < ridge
    picture[inside] = tone[inside]


def _ground(picture: _Field, rng: np.random.Generator, elevation: _Field) -> None:
    """Fields below the horizon, whose pattern grows towards the viewer."""
    height, width = picture.shape[:2]
    first = height // 2
    below = np.radians(np.maximum(-elevation[first:], 0.25))
    distance = np.log(1 / np.tan(np.minimum(below, math.radians(85))))
    depth = width // 8
    pattern = _noise(rng, width, depth, 24, 6)
    rows = np.clip((distance + 2.5) / 8, 0, 1).astype(np.float32) * (depth - 1)
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), rows)
    patches = cv2.remap(pattern, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., None]
    grass = np.array([58, 112, 92], np.float32) + 34 * patches * np.array([0.8, 1.0, 1.3], np.float32)
    picture[first:] = grass + 9 * _noise(rng, width, height - first, 512, 2)[..., None]


def _town(picture: _Field, rng: np.random.Generator) -> None:
    """Houses along the horizon, with windows and roofs."""
    height, width = picture.shape[:2]
    per_degree = width / 360
    for _ in range(110):
        w, h = rng.uniform(1.5, 5) * per_degree, rng.uniform(1.0, 6) * per_degree
        x, foot = rng.uniform(0, width - w), height / 2 + rng.uniform(0.3, 2.5) * per_degree
        wall = tuple(float(v) for v in rng.uniform(70, 200) + rng.uniform(-25, 25, 3))
        left, right, top, bottom = round(x), round(x + w), round(foot - h), round(foot)
        cv2.rectangle(picture, (left, top), (right, bottom), wall, cv2.FILLED)
        roof = tuple(float(v) for v in (rng.uniform(40, 80), rng.uniform(50, 90), rng.uniform(90, 170)))
        cv2.rectangle(picture, (left - 2, top - round(0.3 * per_degree)), (right + 2, top), roof, cv2.FILLED)
        pitch = max(round(0.55 * per_degree), 5)
        for row in range(top + pitch // 2, bottom - pitch, pitch):
            for column in range(left + pitch // 2, right - pitch // 2, pitch):
                pane = (70, 58, 48) if rng.random() < 0.75 else (150, 205, 225)
                cv2.rectangle(
                    picture, (column, row), (column + pitch // 2, row + pitch // 2), pane, cv2.FILLED
                )


def _trees(picture: _Field, rng: np.random.Generator) -> None:
    """Trees, each a heap of leaves, the nearer ones lower in the picture and larger."""
    height, width = picture.shape[:2]
    per_degree = width / 360
    for near in np.sort(rng.uniform(0, 1, 260) ** 2):
        size = (0.5 + 3.0 * near) * per_degree
        x, y = rng.uniform(0, width), height / 2 + (1.0 + 14 * near) * per_degree
        green = np.array([30, 70, 44]) * rng.uniform(0.7, 1.3)
        for _ in range(14):
            at = (round(x + rng.normal(0, 0.4) * size), round(y - size + rng.normal(0, 0.4) * size))
            leaf = tuple(float(v) for v in green * rng.uniform(0.75, 1.35))
            cv2.circle(picture, at, max(round(size * rng.uniform(0.15, 0.35)), 1), leaf, cv2.FILLED)
