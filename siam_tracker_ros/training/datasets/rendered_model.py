"""Views of a 3-D model as it turns, with alpha (optional: needs trimesh, pyrender and OSMesa or EGL)."""

from __future__ import annotations

import importlib
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError

_SIDE = 256


class RenderingError(SiamTrackerError, RuntimeError):
    """3-D models cannot be rendered here: the libraries are missing."""


def render_turn(path: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """`count` BGRA views [256, 256, 4] of an OBJ file, turned by up to 60 degrees in all.

    Raises RenderingError where pyrender and trimesh are not installed, ValueError where the file is no model.
    """
    os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")
    try:
        pyrender, trimesh = (importlib.import_module(name) for name in ("pyrender", "trimesh"))
    except ImportError as error:
        raise RenderingError(
            f"rendering {path} needs trimesh and pyrender (pip install trimesh pyrender scipy) and OSMesa "
            f"(libosmesa6), or PYOPENGL_PLATFORM=egl: {error}"
        ) from error
    try:
        scene = trimesh.load(path, force="scene")
        size = float(scene.scale)
        if not scene.geometry or not np.isfinite(size) or size <= 0:
            raise ValueError("it has no surface")
        scene.apply_transform(trimesh.transformations.translation_matrix(-scene.centroid))
    except Exception as error:
        # trimesh raises whatever its parsers stumble on.
        raise ValueError(f"it is no readable model: {error}") from error
    shown = pyrender.Scene.from_trimesh_scene(scene, ambient_light=[0.35] * 3)
    view = math.radians(40)
    camera = shown.add(pyrender.PerspectiveCamera(yfov=view))
    light = shown.add(pyrender.DirectionalLight(intensity=float(rng.uniform(2.5, 5.0))))
    start, turn = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(-60, 60))
    height = math.radians(rng.uniform(0, 40))
    away = 0.62 * size / math.tan(view / 2)
    renderer = pyrender.OffscreenRenderer(_SIDE, _SIDE)
    views = []
    try:
        for number in range(count):
            angle = start + turn * number / max(count - 1, 1)
            pose = trimesh.transformations.euler_matrix(0, angle, 0) @ trimesh.transformations.euler_matrix(
                -height, 0, 0
            )
            pose[:3, 3] = pose[:3, :3] @ (0, 0, away)
            shown.set_pose(camera, pose)
            shown.set_pose(light, pose)
            # Alpha by depth: not every platform gives pyrender a buffer with alpha.
            colour, depth = renderer.render(shown)
            alpha = np.where(np.asarray(depth) > 0, 255, 0).astype(np.uint8)
            views.append(np.dstack([np.asarray(colour, np.uint8)[..., 2::-1], alpha]))
    finally:
        renderer.delete()
    return views
