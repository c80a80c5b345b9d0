"""What the layouts with one box a line have in common (GOT-10k, LaSOT, TrackingNet)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from siam_tracker_ros.footage.sequence_folder import SequenceFolderError, read_boxes, read_flags
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, BrokenItem, Item, TargetLabel


def boxed_sequence(
    name: str, images: Sequence[Path], boxes_file: Path, absence_files: Sequence[Path] = ()
) -> Iterator[Item]:
    """Frames of one sequence with one target; without a target where a flag file says that it is not seen.

    What is wrong with the sequence is one BrokenItem, and it is left out.
    """
    try:
        boxes = read_boxes(boxes_file)
        absences = [read_flags(path) for path in absence_files if path.is_file()]
    except SequenceFolderError as error:
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
