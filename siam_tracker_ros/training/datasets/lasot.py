"""Reader of LaSOT: CLASS/CLASS-N/img, groundtruth.txt, full_occlusion.txt, out_of_view.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.footage.image_folder import in_natural_order
from siam_tracker_ros.training.datasets.annotation import BrokenItem, DatasetError, Item
from siam_tracker_ros.training.datasets.boxed_sequence import boxed_sequence


def read_lasot(folder: Path, split: str = "training_set") -> Iterator[Item]:
    """Frames of the sequences in `folder`/`split`.txt, in its order; `split` "all" takes every one there is.

    The lists are in LaSOT's evaluation toolkit (sequence_evaluation_config). Sequences lie in folders of
    their class, as LaSOT is packed, or side by side. Frames with the target hidden or out of view have no
    target. Raises DatasetError where the list or every sequence is missing.
    """
    found = {path.parent.name: path.parent for path in sorted(folder.glob("*/*/groundtruth.txt"))}
    found |= {path.parent.name: path.parent for path in sorted(folder.glob("*/groundtruth.txt"))}
    if not found:
        raise DatasetError(f"{folder} is not LaSOT: no CLASS/CLASS-N/groundtruth.txt in it")
    names = sorted(found)
    if split != "all":
        path = folder / f"{split}.txt"
        try:
            names = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"cannot read {path}: {error}; it is in LaSOT's evaluation toolkit, and split: all takes "
                "every sequence of the folder"
            ) from error
    for name in names:
        if name not in found:
            yield BrokenItem(name, f"no sequence of that name in {folder}")
            continue
        sequence = found[name]
        images = in_natural_order((sequence / "img").glob("*.jpg"))
        hidden = [sequence / "full_occlusion.txt", sequence / "out_of_view.txt"]
        yield from boxed_sequence(name, images, sequence / "groundtruth.txt", hidden)
