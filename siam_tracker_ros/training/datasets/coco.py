"""Reader of COCO instance annotations (boxes, polygon masks); crowds and run-length masks are left out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, DatasetError, TargetLabel


def read_coco(annotations: Path, images: Path) -> Iterator[AnnotatedFrame]:
    """Stills of a COCO instances file whose `file_name`s lie in the folder `images`, by ascending image id.

    Raises DatasetError where the file is not COCO's.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        by_image = defaultdict(list)
        for target in content["annotations"]:
            if target.get("iscrowd"):
                continue
            outline = target.get("segmentation") or ()
            polygons = tuple(tuple(p) for p in outline) if isinstance(outline, list) else ()
            label = TargetLabel(f"{target['id']}", Box(*target["bbox"]), polygons=polygons)
            by_image[target["image_id"]].append(label)
        stills = sorted(content["images"], key=lambda image: image["id"])
        for still in stills:
            path = images / still["file_name"]
            yield AnnotatedFrame(path, path.stem, is_still=True, targets=tuple(by_image[still["id"]]))
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DatasetError(f"{annotations} is not a COCO instances file: {error!r}") from error
