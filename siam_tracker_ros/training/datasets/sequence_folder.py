"""Reader of labelled sequences in folders, one target each (`footage.sequence_folder`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.footage.sequence_folder import read_sequences
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, TargetLabel


def read_sequence_folder(folder: Path) -> Iterator[AnnotatedFrame]:
    """Frames of every sequence under `folder`, by name. Raises as `read_sequences` does."""
    for sequence in read_sequences(folder):
        for image, box, mask in zip(sequence.images, sequence.boxes, sequence.masks, strict=True):
            label = TargetLabel(sequence.name, box, mask)
            yield AnnotatedFrame(image, sequence.name, is_still=False, targets=(label,))
