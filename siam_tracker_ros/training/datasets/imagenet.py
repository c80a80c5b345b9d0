"""Readers of ImageNet VID and DET (ILSVRC 2015): an XML file under Annotations for each JPEG under Data."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import (
    AnnotatedFrame,
    BrokenItem,
    DatasetError,
    Item,
    TargetLabel,
)


def _corner(box: ET.Element, name: str) -> float:
    text = box.findtext(name)
    if text is None:
        raise ValueError(f"a box without {name}")
    return float(text)


def _label(target: ET.Element, number: int) -> TargetLabel:
    box = target.find("bndbox")
    if box is None:
        raise ValueError("an object without bndbox")
    x0, y0, x1, y1 = (_corner(box, name) for name in ("xmin", "ymin", "xmax", "ymax"))
    return TargetLabel(target.findtext("trackid") or str(number), Box(x0, y0, x1 - x0, y1 - y0))


def _targets(path: Path) -> tuple[TargetLabel, ...]:
    objects = ET.parse(path).getroot().findall("object")
    return tuple(_label(target, number) for number, target in enumerate(objects))


def read_imagenet(folder: Path, task: Literal["VID", "DET"], split: str = "train") -> Iterator[Item]:
    """Frames of `task` in an ILSVRC folder, by name: videos by `trackid` (VID), or stills (DET).

    An XML file that is broken is a BrokenItem. Raises DatasetError where no annotation is there.
    """
    root = folder / "Annotations" / task / split
    some = False
    # One folder at a time: the lists of the whole set would take minutes before the first frame.
    for place in sorted({root, *(path for path in root.rglob("*") if path.is_dir())}):
        for path in sorted(place.glob("*.xml")):
            some = True
            within = path.relative_to(root)
            try:
                targets = _targets(path)
            except (OSError, ET.ParseError, ValueError) as error:
                yield BrokenItem(str(within), f"{path}: {error}")
                continue
            image = (folder / "Data" / task / split / within).with_suffix(".JPEG")
            group = place.name if task == "VID" else path.stem
            yield AnnotatedFrame(image, group, is_still=task == "DET", targets=targets)
    if not some:
        raise DatasetError(f"{folder} is not ILSVRC with {task}: no XML files in {root}")
