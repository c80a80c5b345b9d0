"""The VOT challenges' layouts, 2013 to 2022: list.txt and one folder a sequence."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from siam_tracker_ros.evaluation.datasets.label_files import images_in, lines_of, read_flags, read_regions
from siam_tracker_ros.evaluation.sequence import Dataset, EvaluationError, EvaluationSequence, make_sequence


def vot(folder: Path) -> Dataset:
    """The sequences of a challenge, or of a workspace that has them; NAME.ID if a sequence has several."""
    folder = folder if (folder / "list.txt").is_file() else folder / "sequences"
    dataset = {}
    for name in (line.strip() for line in lines_of(folder / "list.txt")):
        several = sorted((folder / name).glob("groundtruth_*.txt"))
        for path in several or [folder / name / "groundtruth.txt"]:
            own = path.stem.removeprefix("groundtruth").strip("_")
            key = f"{name}.{own}" if own else name
            dataset[key] = partial(_sequence, key, path)
    return dataset


def _sequence(name: str, labels: Path) -> EvaluationSequence:
    folder = labels.parent
    properties = {}
    if (folder / "sequence").is_file():
        pairs = (line.partition("=") for line in lines_of(folder / "sequence"))
        properties = {key.strip(): value.strip() for key, _, value in pairs}
    color = properties.get("channels.color", "color/" if (folder / "color").is_dir() else "")
    # The property is a pattern of file names (color/%08d.jpg), or the folder itself.
    within = Path(color).parent if Path(color).suffix else Path(color)
    images = images_in(folder / within)
    truth = read_regions(labels)
    tags = {
        path.stem: read_flags(path, len(images))
        for path in sorted([*folder.glob("*.tag"), *folder.glob("*.label")])
    }
    try:
        rate = float(properties.get("fps") or 30)
        anchors = _anchors(folder / "anchor.value")
    except ValueError as error:
        raise EvaluationError(f"{folder}: {error}") from None
    return make_sequence(
        name,
        images,
        truth,
        attributes=frozenset(tag for tag, flags in tags.items() if np.any(flags)),
        frame_attributes=tags,
        anchors=anchors,
        rate=rate,
    )


def _anchors(path: Path) -> tuple[int, ...]:
    """Frames with a value above 0 start forward, those with one below backward."""
    if not path.is_file():
        return ()
    values = [float(line) for line in lines_of(path)]
    return tuple(i if value > 0 else -i for i, value in enumerate(values) if value != 0)
