"""Reader of DAVIS (2016 and 2017, semi-supervised): JPEGImages, Annotations and ImageSets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.training.datasets.annotation import BrokenItem, DatasetError, Item
from siam_tracker_ros.training.datasets.masked_sequence import masked_sequence


def read_davis(folder: Path, split: str = "2017/train", resolution: str = "480p") -> Iterator[Item]:
    """Frames of the sequences in `folder`/ImageSets/`split`.txt, in its order.

    A split of 2016 has one target a sequence, whatever the numbers in its masks. Raises DatasetError where
    the list or every sequence is missing.
    """
    path = folder / "ImageSets" / f"{split}.txt"
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{folder} is not DAVIS: cannot read {path}: {error}") from error
    if not names or not (folder / "JPEGImages" / resolution).is_dir():
        raise DatasetError(f"{folder} is not DAVIS: no JPEGImages/{resolution}, or nothing in {path}")
    for name in names:
        images = sorted((folder / "JPEGImages" / resolution / name).glob("*.jpg"))
        if not images:
            yield BrokenItem(name, f"no images in {folder / 'JPEGImages' / resolution / name}")
        masks = folder / "Annotations" / resolution / name
        frames = ((image, masks / f"{image.stem}.png") for image in images)
        yield from masked_sequence(name, frames, whole=split.startswith("2016"))
