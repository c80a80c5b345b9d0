"""DAVIS 2016 and 2017, semi-supervised: JPEGImages, Annotations, ImageSets. Every object is a sequence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from siam_tracker_ros.evaluation.datasets.label_files import images_in, lines_of
from siam_tracker_ros.evaluation.regions import Region
from siam_tracker_ros.evaluation.sequence import (
    Dataset,
    EvaluationError,
    EvaluationSequence,
    MaskFile,
    make_sequence,
)


def davis(folder: Path, split: str = "") -> Dataset:
    """The objects of a split (2017/val where it is there, or 2016/val), called NAME.1, NAME.2, ...

    The splits of 2016 have one object a sequence, called NAME, whatever the numbers in its masks.
    """
    if not split:
        there = [one for one in ("2017/val", "2016/val") if (folder / "ImageSets" / f"{one}.txt").is_file()]
        if not there:
            raise EvaluationError(f"{folder / 'ImageSets'} has neither 2017/val.txt nor 2016/val.txt")
        split = there[0]
    dataset: dict[str, Callable[[], EvaluationSequence]] = {}
    for line in lines_of(folder / "ImageSets" / f"{split}.txt"):
        name = Path(line.split()[0]).stem if "/" in line else line.strip()
        masks = folder / "Annotations" / "480p" / name
        if split.startswith("2016"):
            dataset[name] = partial(_sequence, folder, name, name, None)
            continue
        for number in _objects(masks):
            key = f"{name}.{number}"
            dataset[key] = partial(_sequence, folder, name, key, number)
    return dataset


def _objects(masks: Path) -> list[int]:
    first = next(iter(images_in(masks)), None)
    if first is None:
        raise EvaluationError(f"no masks in {masks}")
    with Image.open(first) as image:
        return [int(value) for value in np.unique(np.asarray(image)) if value not in (0, 255)]


def _sequence(folder: Path, name: str, key: str, number: int | None) -> EvaluationSequence:
    images = images_in(folder / "JPEGImages" / "480p" / name)
    files = [
        MaskFile(folder / "Annotations" / "480p" / name / f"{image.stem}.png", number) for image in images
    ]
    truth: list[Region | None] = []
    for file in files:
        mask = file.read()
        truth.append(mask if mask.mask.any() else None)
    return make_sequence(key, images, truth, masks=list(files), rate=24.0)
