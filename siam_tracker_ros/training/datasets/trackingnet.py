"""Reader of TrackingNet: TRAIN_0 to TRAIN_11, each with frames/NAME/0.jpg, 1.jpg ... and anno/NAME.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.footage.image_folder import in_natural_order
from siam_tracker_ros.training.datasets.annotation import DatasetError, Item
from siam_tracker_ros.training.datasets.boxed_sequence import boxed_sequence


def read_trackingnet(folder: Path, split: str = "TRAIN_*") -> Iterator[Item]:
    """Frames of every sequence in the chunks whose name fits the pattern `split`, by chunk and name.

    Raises DatasetError where no chunk is there.
    """
    chunks = in_natural_order(path for path in folder.glob(split) if (path / "anno").is_dir())
    if not chunks:
        raise DatasetError(f"{folder} is not TrackingNet: no {split}/anno in it")
    for chunk in chunks:
        for boxes_file in sorted((chunk / "anno").glob("*.txt")):
            name = boxes_file.stem
            images = in_natural_order((chunk / "frames" / name).glob("*.jpg"))
            yield from boxed_sequence(name, images, boxes_file)
