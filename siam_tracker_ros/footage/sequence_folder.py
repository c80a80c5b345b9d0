"""Labelled sequences: `NAME/img/000001.jpg ...`, `NAME/groundtruth.txt`, maybe `NAME/mask/000001.png`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box


class SequenceFolderError(SiamTrackerError, ValueError):
    """A folder or a ground-truth file that is not in the layout of labelled sequences."""


@dataclass(frozen=True)
class LabelledSequence:
    """A sequence with one target: for each image a box and, where there is one, the file of its mask.

    Boxes are top-left corner and size, px; NaN or without area where the target is out of view.
    """

    name: str
    images: tuple[Path, ...]
    boxes: tuple[Box, ...]
    masks: tuple[Path | None, ...]


def read_boxes(path: Path) -> list[Box]:
    """Boxes of a ground-truth file: one `x,y,w,h` a line, px, separated by commas, tabs or blanks.

    Raises SequenceFolderError naming the line that is not a box.
    """
    boxes = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            x, y, w, h = (float(value) for value in re.split(r"[,\s]+", line.strip()))
        except ValueError:
            raise SequenceFolderError(f"{path}:{number}: expected x,y,w,h, found '{line.strip()}'") from None
        boxes.append(Box(x, y, w, h))
    return boxes


def read_flags(path: Path) -> list[bool]:
    """0 or 1 for each frame, separated by commas, blanks or lines; none where there is no such file.

    Raises SequenceFolderError for anything else.
    """
    words = re.findall(r"[^,\s]+", _text(path)) if path.is_file() else []
    if not set(words) <= {"0", "1"}:
        raise SequenceFolderError(f"{path}: expected 0 or 1 for each frame")
    return [word == "1" for word in words]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SequenceFolderError(f"cannot read {path}: {error}") from error


def read_sequence(folder: Path) -> LabelledSequence:
    """The sequence in `folder`; no image is opened.

    Raises SequenceFolderError where images and boxes differ in number or there are none.
    """
    images = sorted((folder / "img").glob("*.jpg"))
    boxes = read_boxes(folder / "groundtruth.txt")
    if not images or len(images) != len(boxes):
        raise SequenceFolderError(f"{folder}: {len(images)} images (img/*.jpg), {len(boxes)} boxes")
    masks = [folder / "mask" / f"{image.stem}.png" for image in images]
    return LabelledSequence(
        folder.name, tuple(images), tuple(boxes), tuple(m if m.is_file() else None for m in masks)
    )


def sequence_folders(folder: Path) -> list[Path]:
    """Folders of the sequences under `folder`, by name. Raises SequenceFolderError where there is none."""
    found = sorted(path.parent for path in folder.glob("*/groundtruth.txt"))
    if not found:
        raise SequenceFolderError(f"no sequence (NAME/groundtruth.txt) in {folder}")
    return found
