"""Reader of COCO instance annotations (boxes, polygon masks); crowds and run-length masks are left out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import (
    AnnotatedFrame,
    BrokenItem,
    DatasetError,
    Item,
    TargetLabel,
)


def _label(target: dict[str, Any]) -> TargetLabel:
    outline = target.get("segmentation") or ()
    polygons = tuple(tuple(map(float, p)) for p in outline) if isinstance(outline, list) else ()
    x, y, w, h = map(float, target["bbox"])
    return TargetLabel(f"{target['id']}", Box(x, y, w, h), polygons=polygons)


def read_coco(annotations: Path, images: Path) -> Iterator[Item]:
    """Stills of a COCO instances file whose `file_name`s lie in the folder `images`, by ascending image id.

    An annotation that is broken is a BrokenItem. Raises DatasetError where the file is not COCO's.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        stills = sorted(content["images"], key=lambda image: image["id"])
        names = [(still["id"], images / still["file_name"]) for still in stills]
        targets = list(content["annotations"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{annotations} is not a COCO instances file: {error!r}") from error
    by_image = defaultdict(list)
    for number, target in enumerate(targets):
        try:
            if not target.get("iscrowd"):
                by_image[target["image_id"]].append(_label(target))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            yield BrokenItem(f"{annotations.name} annotation {number}", f"not COCO's: {error!r}")
    for still, path in names:
        yield AnnotatedFrame(path, path.stem, is_still=True, targets=tuple(by_image[still]))
