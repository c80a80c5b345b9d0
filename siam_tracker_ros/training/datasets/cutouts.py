"""Cut-outs for the synthetic source: pictures with alpha, masked objects of stills, 3-D models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, DatasetError, Item
from siam_tracker_ros.training.datasets.coco import read_coco
from siam_tracker_ros.training.datasets.rendered_model import render_turn

UInt8 = NDArray[np.uint8]

PICTURES = (".png", ".webp")
# Smaller ones, or those that fill their picture, would not show a thing with an outline.
_MIN_SIDE = 24
_MIN_ALPHA_SHARE, _MAX_ALPHA_SHARE = 0.05, 0.97
# Longer sides are never shown so large.
_MAX_SIDE = 400


@dataclass(frozen=True)
class Cutout:
    """Something to show: `views(count, rng)` are BGRA pictures of it, alpha 0..255, as it turns.

    Cut-outs of one `kind` can stand in for each other as distractors. A flat picture has one view.
    """

    name: str
    kind: str
    views: Callable[[int, np.random.Generator], Sequence[UInt8]]


def _trimmed(bgra: UInt8, max_share: float = _MAX_ALPHA_SHARE) -> UInt8:
    """`bgra` cut to what is opaque and brought to at most `_MAX_SIDE` px. Raises ValueError if unusable."""
    if bgra.ndim != 3 or bgra.shape[2] != 4:
        raise ValueError("it has no alpha channel")
    x, y, w, h = cv2.boundingRect((bgra[..., 3] > 127).astype(np.uint8))
    if min(w, h) < _MIN_SIDE:
        raise ValueError(f"what is opaque in it is {w} x {h} px")
    cut = bgra[y : y + h, x : x + w]
    share = float((cut[..., 3] > 127).mean())
    if not _MIN_ALPHA_SHARE < share <= max_share:
        raise ValueError(f"{share:.0%} of it is opaque: it has no outline")
    scale = min(1.0, _MAX_SIDE / max(w, h))
    if scale < 1.0:
        size = (max(1, round(w * scale)), max(1, round(h * scale)))
        # Colours under a transparent edge would bleed into it.
        cut = _from_premultiplied(cv2.resize(premultiplied(cut), size, interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(cut)


def premultiplied(bgra: UInt8) -> NDArray[np.float32]:
    """BGRA as float32, 0..255, colours multiplied by alpha (0..1): what may be scaled, warped and blurred."""
    image = bgra.astype(np.float32)
    image[..., :3] *= image[..., 3:] / 255
    return image


def _from_premultiplied(image: object) -> UInt8:
    bgra = np.array(image, dtype=np.float32)
    bgra[..., :3] *= 255 / np.maximum(bgra[..., 3:], 1)
    return np.clip(np.round(bgra), 0, 255).astype(np.uint8)


def _picture(path: Path, _count: int, _rng: np.random.Generator) -> Sequence[UInt8]:
    decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("it is no readable picture")
    return [_trimmed(np.asarray(decoded, np.uint8))]


def _model(path: Path, count: int, rng: np.random.Generator) -> Sequence[UInt8]:
    return [_trimmed(view, 1.0) for view in render_turn(path, count, rng)]


def _of_still(frame: AnnotatedFrame, number: int, _count: int, _rng: np.random.Generator) -> Sequence[UInt8]:
    decoded = cv2.imread(str(frame.image), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("image missing or unreadable")
    image = np.asarray(decoded, np.uint8)
    alpha = np.zeros(image.shape[:2], np.uint8)
    outlines = [np.round(np.reshape(p, (-1, 2))).astype(np.int32) for p in frame.targets[number].polygons]
    cv2.fillPoly(alpha, outlines, 255)
    return [_trimmed(np.dstack([image, alpha]))]


def find_cutouts(material: Path) -> list[Cutout]:
    """Cut-outs under `material`: cutouts/KIND/**.png or .webp, and models/KIND/**.obj; none is opened.

    What lies directly in cutouts/ or models/ is of a kind named so.
    """
    found = []
    for folder, suffixes, load in (("cutouts", PICTURES, _picture), ("models", (".obj",), _model)):
        root = material / folder
        for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes):
            place = path.parent.relative_to(root)
            found.append(Cutout(str(path), str(Path(folder) / place), partial(load, path)))
    return found


def cutouts_of_stills(annotations: Path, images: Path) -> tuple[list[Cutout], list[Item]]:
    """A cut-out for each polygon mask of a COCO file that is large enough, and what of the file is broken.

    They are of one kind, as the file does not name what they are.
    """
    found: list[Cutout] = []
    broken: list[Item] = []
    for item in read_coco(annotations, images):
        if isinstance(item, BrokenItem):
            broken.append(item)
            continue
        for number, target in enumerate(item.targets):
            if min(target.box.w, target.box.h) < _MIN_SIDE or not target.polygons:
                continue
            if all(len(p) >= 6 and len(p) % 2 == 0 for p in target.polygons):
                name = f"{item.image}#{target.track}"
                found.append(Cutout(name, str(annotations), partial(_of_still, item, number)))
    return found, broken


def find_photographs(folders: Sequence[Path]) -> list[Path]:
    """JPEG, PNG and WebP files under `folders`. Raises DatasetError where there is none."""
    found = sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in (".jpg", ".jpeg", *PICTURES)
    )
    if not found:
        raise DatasetError(f"no photographs for backgrounds in {' or '.join(map(str, folders))}")
    return found


def smooth_path(count: int, knots: int, spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random course of one value: `count` values around 0, from `knots` normal ones of `spread`."""
    at = np.linspace(0, knots - 1, count)
    values = rng.normal(0, spread, knots + 1)
    # A cosine between knots: no corners, no overshoot.
    low = np.floor(at).astype(int)
    mix = (1 - np.cos((at - low) * math.pi)) / 2
    course: NDArray[np.float64] = values[low] * (1 - mix) + values[low + 1] * mix
    return course
