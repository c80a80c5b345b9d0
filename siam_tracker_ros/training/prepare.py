"""From a configuration's datasets to the store that training reads."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from siam_tracker_ros.training.config import DataConfig, DataSource
from siam_tracker_ros.training.crop_store import CropStore, build_crop_store
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, DatasetError, Item
from siam_tracker_ros.training.datasets.coco import read_coco
from siam_tracker_ros.training.datasets.davis import read_davis
from siam_tracker_ros.training.datasets.got10k import read_got10k
from siam_tracker_ros.training.datasets.imagenet import read_imagenet
from siam_tracker_ros.training.datasets.lasot import read_lasot
from siam_tracker_ros.training.datasets.sequence_folder import read_sequence_folder
from siam_tracker_ros.training.datasets.synthetic import read_synthetic
from siam_tracker_ros.training.datasets.trackingnet import read_trackingnet
from siam_tracker_ros.training.datasets.youtube_vos import read_youtube_vos
from siam_tracker_ros.training.frame_store import FrameStore, build_frame_store
from siam_tracker_ros.training.target_store import StoreError, StoreSummary

_WITH_SPLIT = {
    "davis": read_davis,
    "got10k": read_got10k,
    "imagenet_det": partial(read_imagenet, task="DET"),
    "imagenet_vid": partial(read_imagenet, task="VID"),
    "lasot": read_lasot,
    "trackingnet": read_trackingnet,
    "youtube_vos": read_youtube_vos,
}


def _items(source: DataSource) -> Iterator[Item]:
    folder = Path(source.path)
    if source.layout in _WITH_SPLIT:
        split = {} if source.split is None else {"split": source.split}
        return _WITH_SPLIT[source.layout](folder, **split)  # type: ignore[operator, no-any-return]
    if source.split is not None:
        raise DatasetError(f"{folder}: the layout {source.layout} has no splits, but split is {source.split}")
    if source.layout == "synthetic":
        of = source.synthetic.stills
        stills = None if of is None else (Path(of), Path(source.images))
        return read_synthetic(folder, source.synthetic, stills)
    if source.layout == "coco":
        return read_coco(folder, Path(source.images))
    return read_sequence_folder(folder)


def read_source(source: DataSource) -> Iterator[Item]:
    """Frames of one dataset, by the reader its layout names, every `source.every`-th of each sequence."""
    group, number = "", count()
    for item in _items(source):
        if isinstance(item, AnnotatedFrame) and not item.is_still:
            if item.group != group:
                group, number = item.group, count()
            if next(number) % source.every:
                continue
        yield item


def read_sources(sources: tuple[DataSource, ...]) -> Iterator[Item]:
    """Frames of all datasets; a group whose name an earlier dataset has already is given its layout's too."""
    owners: dict[str, int] = {}
    for index, source in enumerate(sources):
        for item in read_source(source):
            if isinstance(item, AnnotatedFrame) and owners.setdefault(item.group, index) != index:
                item = dataclasses.replace(item, group=f"{item.group} ({source.layout} {index})")
            yield item


def fingerprint(config: DataConfig) -> str:
    """A hash that tells whether a store was made from these sources in this way."""
    made_of = dataclasses.asdict(config)
    for name in ("store", "held_out_sequences", "held_out_stills", "threads"):
        del made_of[name]
    if config.format == "crops":
        del made_of["max_side"]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def has_store(config: DataConfig) -> bool:
    """Whether a finished store of this format is there, made from whatever."""
    try:
        _open(config)
    except StoreError:
        return False
    return True


def _open(config: DataConfig) -> FrameStore | CropStore:
    folder = Path(config.store)
    return CropStore(folder) if config.format == "crops" else FrameStore(folder)


def open_store(config: DataConfig) -> FrameStore | CropStore:
    """The store of `config`. Raises StoreError where it is missing, incomplete, or made otherwise."""
    store = _open(config)
    if store.fingerprint != fingerprint(config):
        raise StoreError(
            f"{config.store} was made from other data settings ({store.fingerprint}, these are "
            f"{fingerprint(config)}): prepare it anew, or give another folder as data.store"
        )
    return store


def prepare_store(config: DataConfig, remake: bool = False) -> StoreSummary:
    """Decode every source of `config` into its store; a crop store goes on where it was interrupted.

    A finished crop store of the same settings is left as it is, or made anew with `remake`. Raises as the
    readers do for a dataset that is not there, and StoreError where nothing could be stored.
    """
    items, folder = read_sources(config.sources), Path(config.store)
    made_of = fingerprint(config)
    if config.format == "crops":
        return build_crop_store(
            items, folder, config.min_target_side, made_of, threads=config.threads, remake=remake
        )
    return build_frame_store(
        items, folder, config.max_side, config.min_target_side, made_of, threads=config.threads
    )
