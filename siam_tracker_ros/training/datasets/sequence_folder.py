"""Reader of labelled sequences in folders, one target each (`footage.sequence_folder`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.footage.sequence_folder import SequenceFolderError, read_sequence, sequence_folders
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, Item, TargetLabel


def read_sequence_folder(folder: Path) -> Iterator[Item]:
    """Frames of every sequence under `folder`, by name; one that is broken is a BrokenItem.

    Raises SequenceFolderError where there is none.
    """
    for path in sequence_folders(folder):
        try:
            sequence = read_sequence(path)
        except SequenceFolderError as error:
            yield BrokenItem(path.name, str(error))
            continue
        for image, box, mask in zip(sequence.images, sequence.boxes, sequence.masks, strict=True):
            label = TargetLabel(sequence.name, box, mask)
            yield AnnotatedFrame(image, sequence.name, is_still=False, targets=(label,))
