"""Reader of GOT-10k: list.txt, and for each sequence its frames, groundtruth.txt and absence.label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.training.datasets.annotation import DatasetError, Item
from siam_tracker_ros.training.datasets.boxed_sequence import boxed_sequence


def read_got10k(folder: Path, split: str = "train") -> Iterator[Item]:
    """Frames of the sequences in `folder`/`split`/list.txt, in its order.

    Frames whose target is absent have no target. Raises DatasetError where the list is missing or empty.
    """
    path = folder / split / "list.txt"
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{folder} is not GOT-10k: cannot read {path}: {error}") from error
    if not names:
        raise DatasetError(f"{folder} is not GOT-10k: nothing in {path}")
    for name in names:
        sequence = folder / split / name
        images = sorted(sequence.glob("*.jpg"))
        yield from boxed_sequence(name, images, sequence / "groundtruth.txt", [sequence / "absence.label"])
