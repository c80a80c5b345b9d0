"""What the layouts with one box a line have in common (GOT-10k, LaSOT, TrackingNet)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from siam_tracker_ros.footage.sequence_folder import SequenceFolderError, read_boxes
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, Item, TargetLabel


def read_flags(path: Path) -> list[bool]:
    """0 or 1 for each frame, separated by commas, blanks or lines; none where there is no such file.

    Raises SequenceFolderError for anything else.
    """
    if not path.is_file():
        return []
    words = re.split(r"[,\s]+", path.read_text(encoding="utf-8").strip())
    if not set(words) <= {"0", "1"}:
        raise SequenceFolderError(f"{path}: expected 0 or 1 for each frame")
    return [word == "1" for word in words]


def by_number(path: Path) -> tuple[int, str]:
    """Key that puts frames in the order of the number in their name, with or without leading zeros."""
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else -1, path.name)


def boxed_sequence(
    name: str, images: Sequence[Path], boxes_file: Path, absence_files: Sequence[Path] = ()
) -> Iterator[Item]:
    """Frames of one sequence with one target; without a target where a flag file says that it is not seen.

    What is wrong with the sequence is one BrokenItem, and it is left out.
    """
    try:
        boxes = read_boxes(boxes_file)
        absences = [flags for path in absence_files if (flags := read_flags(path))]
    except (OSError, UnicodeDecodeError, SequenceFolderError) as error:
        yield BrokenItem(name, str(error))
        return
    counts = [len(boxes), *map(len, absences)]
    if not images or set(counts) != {len(images)}:
        labels = ", ".join(map(str, counts))
        yield BrokenItem(name, f"{len(images)} images, but {labels} labels ({boxes_file})")
        return
    for number, (image, box) in enumerate(zip(images, boxes, strict=True)):
        absent = any(flags[number] for flags in absences)
        targets = () if absent else (TargetLabel("target", box),)
        yield AnnotatedFrame(image, name, is_still=False, targets=targets)
