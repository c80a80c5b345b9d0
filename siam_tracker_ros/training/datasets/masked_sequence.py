"""What the layouts with one indexed mask a frame have in common (DAVIS, YouTube-VOS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, Item, TargetLabel

# White means "not judged" beside numbered objects, and is the object itself where there is nothing else.
_WHITE = 255


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Object number of every pixel [H, W] of a PNG with a palette (or grey); 0 is the background.

    OpenCV would give the palette's colours. Raises OSError where the file is no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode in ("P", "L") else image.convert("L"), dtype=np.uint8)
    except (UnidentifiedImageError, SyntaxError) as error:
        raise OSError(f"no readable image: {error}") from error


def mask_box(mask: NDArray[np.bool_]) -> Box:
    """Extent of a mask that is not empty: the smallest box that holds it."""
    return Box(*(float(value) for value in cv2.boundingRect(mask.astype(np.uint8))))


def masked_sequence(name: str, frames: Iterable[tuple[Path, Path]], whole: bool = False) -> Iterator[Item]:
    """Frames of one sequence out of (image, mask) files; every object number is a track.

    With `whole` all that is not background is one target. A mask that cannot be read is a BrokenItem.
    """
    for image, mask_file in frames:
        try:
            indices = read_indices(mask_file)
        except OSError as error:
            yield BrokenItem(f"{name}/{image.stem}", f"mask {mask_file} missing or unreadable: {error}")
            continue
        numbers = [int(n) for n in np.unique(indices) if n]
        if whole and numbers:
            masks = {"target": indices > 0}
        else:
            if numbers != [_WHITE]:
                numbers = [n for n in numbers if n != _WHITE]
            masks = {str(n): indices == n for n in numbers}
        targets = tuple(TargetLabel(track, mask_box(mask), mask=mask) for track, mask in masks.items())
        yield AnnotatedFrame(image, name, is_still=False, targets=targets)
