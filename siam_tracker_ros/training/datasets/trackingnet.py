"""Reader of TrackingNet: TRAIN_0 to TRAIN_11, each with frames/NAME/0.jpg, 1.jpg ... and anno/NAME.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.training.datasets.annotation import DatasetError, Item
from siam_tracker_ros.training.datasets.boxed_sequence import boxed_sequence, by_number


def read_trackingnet(folder: Path, split: str = "TRAIN_*") -> Iterator[Item]:
    """Frames of every sequence in the chunks whose name fits the pattern `split`, by chunk and name.

    Raises DatasetError where no chunk is there.
    """
    chunks = sorted((path for path in folder.glob(split) if (path / "anno").is_dir()), key=by_number)
    if not chunks:
        raise DatasetError(f"{folder} is not TrackingNet: no {split}/anno in it")
    for chunk in chunks:
        for boxes_file in sorted((chunk / "anno").glob("*.txt")):
            name = boxes_file.stem
            images = sorted((chunk / "frames" / name).glob("*.jpg"), key=by_number)
            yield from boxed_sequence(name, images, boxes_file)
