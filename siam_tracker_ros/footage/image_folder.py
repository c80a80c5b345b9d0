"""A folder of images as footage."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange, Image, OnSkip, SourceError

_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"}
)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key that takes runs of digits as numbers: img2 before img10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Paths by their names, runs of digits taken as numbers."""
    return sorted(paths, key=lambda path: natural_order(path.name))


def open_image_folder(folder: Path, rate: float, wanted: FrameRange, on_skip: OnSkip) -> Footage:
    """The images directly in `folder`, in natural order, taken at `rate` frames/s.

    An image that cannot be read keeps its number, is reported to `on_skip` and left out. Raises SourceError
    where there is no image, none in the `wanted` range, or the folder may not be read.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    if not entries:
        raise SourceError(f"{folder} is empty: give a folder of images or a video file")
    paths = in_natural_order(
        path for path in entries if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise SourceError(
            f"{folder} holds no image ({', '.join(sorted(s[1:] for s in _SUFFIXES))}), "
            f"but {len(entries)} other {'entry' if len(entries) == 1 else 'entries'}"
        )
    return open_images(folder.resolve().name, paths, rate, wanted, on_skip)


def open_images(
    name: str, paths: Sequence[Path], rate: float, wanted: FrameRange, on_skip: OnSkip
) -> Footage:
    """These image files, in this order, taken at `rate` frames/s; as `open_image_folder` does."""
    count = wanted.count(len(paths))
    if not count:
        raise SourceError(f"no frame from {wanted.start} on: {name} has {len(paths)} images, numbered from 0")
    return Footage(name or "images", _read(paths, rate, wanted, on_skip), rate, count)


def _read(
    paths: Sequence[Path], rate: float, wanted: FrameRange, on_skip: OnSkip
) -> Generator[Frame, None, None]:
    for number in range(len(paths))[wanted.start : wanted.stop : wanted.stride]:
        image = _read_image(paths[number])
        if image is None:
            on_skip(f"frame {number}: cannot read image {paths[number]}, left out")
            continue
        yield Frame(number, image, number / rate)


def _read_image(path: Path) -> Image | None:
    """The image in colour, 8 bit, upright (EXIF), whatever the file holds; None where it cannot be read."""
    try:
        decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if decoded is None else np.asarray(decoded, dtype=np.uint8)
