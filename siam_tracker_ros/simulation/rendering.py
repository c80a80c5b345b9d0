"""What a camera on a gimbal sees: the panorama, and sprites in front of it, through its lens.

The panorama is looked up on a coarse grid of pixels and between them by interpolation, which is what makes a
frame cheap. Sprites stand square to the line of sight to their centre, their sides level and upright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.control.camera_model import CameraModel
from siam_tracker_ros.control.errors import NoBearingError
from siam_tracker_ros.control.frames import (
    LineOfSight,
    PanTilt,
    Vector,
    attitude_of,
    body_from_optical,
    rotation_matrix,
)
from siam_tracker_ros.control.line_of_sight import bearing_of, direction_of
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.scene import Image
from siam_tracker_ros.simulation.sprite import Sprite, outline

_Field = NDArray[np.float32]

# Spacing of the grid, px; between its points the panorama is looked up to about 0.05 px.
_GRID_PX = 8
# Nearer to a pole of the panorama than this, in rad, every pixel is looked up by itself.
_NEAR_POLE = math.radians(25)
# Motion during the exposure below this many px leaves no trace.
_SHARP_PX = 0.75


@dataclass(frozen=True)
class Billboard:
    """A sprite at `sight` (rad, base frame) that spans `width` x `height` (rad)."""

    sprite: Sprite
    sight: LineOfSight
    width: float
    height: float
    contour: NDArray[np.float64]


def billboard(sprite: Sprite, sight: LineOfSight, width: float, height: float) -> Billboard:
    """A sprite at `sight` that spans `width` x `height`, all rad."""
    return Billboard(sprite, sight, width, height, outline(sprite))


@dataclass(frozen=True)
class Layer:
    """A sprite as the camera sees it: pixels [h, w, 4] as a sprite's, the first at (x, y) of the image."""

    pixels: NDArray[np.uint8]
    x: int
    y: int


class Renderer:
    """Draws for one camera. Raises SimulationError where its lens model does not cover its image."""

    def __init__(self, camera: CameraModel, panorama: Image) -> None:
        self.camera = camera
        self._panorama = panorama
        self._grid = _ray_grid(camera)
        rays = _interpolated(self._grid, camera.width, camera.height)
        self._rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        off_axis = np.arccos(np.clip(self._rays[..., 2], -1, 1))
        self._half_view = float(off_axis.max())

    def background(self, joints: PanTilt) -> Image:
        """The panorama [H, W, 3] as seen at these joint angles, rad."""
        near_pole = math.pi / 2 - abs(joints.tilt) - self._half_view < _NEAR_POLE
        rays = self._rays if near_pole else self._grid
        # Azimuth is counted from the pan angle, so that it does not jump within the image.
        in_base = rays @ _base_from_optical(PanTilt(0.0, joints.tilt)).astype(np.float32).T
        x, y, z = in_base[..., 0], in_base[..., 1], in_base[..., 2]
        height, width = self._panorama.shape[:2]
        pan = math.remainder(joints.pan, math.tau)
        columns = (0.5 - (np.arctan2(y, x) + pan) / math.tau) * width - 0.5
        rows = (0.5 - np.arctan2(z, np.hypot(x, y)) / math.pi) * height - 0.5
        if not near_pole:
            columns = _interpolated(columns, self.camera.width, self.camera.height)
            rows = _interpolated(rows, self.camera.width, self.camera.height)
        seen = cv2.remap(self._panorama, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(seen, np.uint8)

    def contour(self, board: Billboard, joints: PanTilt) -> NDArray[np.float64] | None:
        """The outline [n, 2] of a sprite, px, also where it leaves the image; None where the lens ends."""
        center, right, down = _board_axes(board, joints)
        points = center + board.contour[:, :1] * right + board.contour[:, 1:] * down
        try:
            return np.array([self.camera.pixel(point) for point in points])
        except NoBearingError:
            return None

    def layer(self, board: Billboard, joints: PanTilt) -> Layer | None:
        """A sprite as seen at these joint angles, rad; None where it is out of the image."""
        center, right, down = _board_axes(board, joints)
        off_axis = math.acos(min(max(float(center[2]), -1.0), 1.0))
        if off_axis > self._half_view + math.hypot(board.width, board.height) / 2:
            return None
        first, last = np.zeros(2, int), np.array([self.camera.width, self.camera.height])
        contour = self.contour(board, joints)
        if contour is not None:
            first = np.maximum(np.floor(contour.min(axis=0)).astype(int) - 1, first)
            last = np.minimum(np.ceil(contour.max(axis=0)).astype(int) + 2, last)
        if (last <= first).any():
            return None
        rays = self._rays[first[1] : last[1], first[0] : last[0]]
        depth = np.maximum(rays @ center.astype(np.float32), 1e-3)
        height, width = board.sprite.shape[:2]
        columns = (rays @ (right / (right @ right)).astype(np.float32) / depth + 1) * (width / 2) - 0.5
        rows = (rays @ (down / (down @ down)).astype(np.float32) / depth + 1) * (height / 2) - 0.5
        pixels = cv2.remap(
            board.sprite, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
        )
        return Layer(np.asarray(pixels, np.uint8), int(first[0]), int(first[1]))


def motion_px(camera: CameraModel, rate: tuple[float, float], exposure: float) -> tuple[float, float]:
    """Path (right, down) in px that something in the middle of the image takes during the exposure (s).

    `rate` (rad/s) is by how much faster than the camera it turns: azimuth to the left, elevation up.
    """
    return -rate[0] * exposure * camera.fx, -rate[1] * exposure * camera.fy


def blurred(pixels: NDArray[np.uint8], motion: tuple[float, float]) -> NDArray[np.uint8]:
    """An image [h, w, n] smeared evenly along `motion` (right, down), px, to both sides of where it is."""
    length = math.hypot(*motion)
    if length < _SHARP_PX:
        return pixels
    reach = math.ceil(length / 2)
    fine = 8
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in (np.arange(fine * reach) + 0.5) / (fine * reach) - 0.5:
        u, v = reach + share * motion[0], reach + share * motion[1]
        left, top = min(int(u), 2 * reach - 1), min(int(v), 2 * reach - 1)
        kernel[top : top + 2, left : left + 2] += np.outer(
            [top + 1 - v, v - top], [left + 1 - u, u - left]
        ).astype(np.float32)
    kernel /= kernel.sum()
    return np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def smeared(layer: Layer, motion: tuple[float, float], width: int, height: int) -> Layer:
    """A layer blurred along `motion`, px, with room made for what spreads beyond it, within the image."""
    if math.hypot(*motion) < _SHARP_PX:
        return layer
    room = math.ceil(math.hypot(*motion) / 2)
    h, w = layer.pixels.shape[:2]
    # At the image's border the sprite goes on outside; elsewhere nothing is beside it.
    above, below = min(room, layer.y), min(room, height - layer.y - h)
    left, right = min(room, layer.x), min(room, width - layer.x - w)
    wide = cv2.copyMakeBorder(
        layer.pixels, above, below, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
    )
    return Layer(blurred(np.asarray(wide, np.uint8), motion), layer.x - left, layer.y - above)


def paint(image: Image, layer: Layer) -> None:
    """Put a layer in front of an image, in place."""
    h, w = layer.pixels.shape[:2]
    region = image[layer.y : layer.y + h, layer.x : layer.x + w]
    through = cv2.cvtColor(255 - layer.pixels[..., 3], cv2.COLOR_GRAY2BGR)
    cv2.add(cv2.multiply(region, through, scale=1 / 255), layer.pixels[..., :3], dst=region)


def _base_from_optical(joints: PanTilt) -> NDArray[np.float64]:
    """Rotation [3, 3] that takes a vector of the optical frame to the base frame."""
    body = np.column_stack([body_from_optical(axis) for axis in np.eye(3)])
    return np.asarray(rotation_matrix(attitude_of(joints)) @ body)


def _board_axes(board: Billboard, joints: PanTilt) -> tuple[Vector, Vector, Vector]:
    """Centre, right half and lower half of a sprite in the optical frame, at distance 1."""
    attitude = attitude_of(joints)
    to_optical = _base_from_optical(joints).T
    azimuth = board.sight.azimuth
    right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
    down = np.cross(direction_of(board.sight), right)
    return (
        bearing_of(board.sight, attitude),
        to_optical @ right * math.tan(board.width / 2),
        to_optical @ down * math.tan(board.height / 2),
    )


def _ray_grid(camera: CameraModel) -> _Field:
    """Rays [rows, columns, 3], z 1, at pixels 8 apart, one of them beyond each border of the image."""
    if camera.width % _GRID_PX or camera.height % _GRID_PX:
        raise SimulationError(
            f"the image is a multiple of {_GRID_PX} px wide and high, not {camera.width} x {camera.height}"
        )
    first = (_GRID_PX - 1) / 2 - _GRID_PX
    columns = first + _GRID_PX * np.arange(camera.width // _GRID_PX + 2)
    rows = first + _GRID_PX * np.arange(camera.height // _GRID_PX + 2)
    try:
        rays = np.array([[camera.bearing(u, v) for u in columns] for v in rows])
    except NoBearingError as error:
        raise SimulationError(f"the lens model does not cover the image: {error}") from error
    if not (rays[..., 2] > 0.05).all():
        raise SimulationError("the image sees more than 87 degrees off axis; take a longer focal length")
    return np.asarray(rays / rays[..., 2:], np.float32)


def _interpolated(grid: _Field, width: int, height: int) -> _Field:
    """Values at every pixel of the image from those on the grid of `_ray_grid`."""
    rows, columns = grid.shape[:2]
    wide = cv2.resize(grid, (columns * _GRID_PX, rows * _GRID_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide[_GRID_PX : _GRID_PX + height, _GRID_PX : _GRID_PX + width], np.float32)
