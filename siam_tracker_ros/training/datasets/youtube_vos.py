"""Reader of YouTube-VOS: meta.json, JPEGImages and Annotations of a split; every fifth frame is annotated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.training.datasets.annotation import BrokenItem, DatasetError, Item
from siam_tracker_ros.training.datasets.masked_sequence import masked_sequence


def read_youtube_vos(folder: Path, split: str = "train") -> Iterator[Item]:
    """Annotated frames of the videos in `folder`/`split`/meta.json, by the videos' names.

    Raises DatasetError where that file is not YouTube-VOS's.
    """
    path = folder / split / "meta.json"
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
        names = sorted(videos.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{folder} is not YouTube-VOS: {path}: {error!r}") from error
    for name, video in names:
        try:
            stems = sorted({frame for target in video["objects"].values() for frame in target["frames"]})
        except (KeyError, TypeError, AttributeError) as error:
            yield BrokenItem(name, f"{path} does not say its objects' frames: {error!r}")
            continue
        images, masks = (folder / split / kind / name for kind in ("JPEGImages", "Annotations"))
        yield from masked_sequence(name, ((images / f"{s}.jpg", masks / f"{s}.png") for s in stems))
