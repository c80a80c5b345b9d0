"""From a configuration's datasets to its frame store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siam_tracker_ros.training.config import DataConfig, DataSource
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame
from siam_tracker_ros.training.datasets.coco import read_coco
from siam_tracker_ros.training.datasets.sequence_folder import read_sequence_folder
from siam_tracker_ros.training.frame_store import StoreSummary, build_frame_store


def read_source(source: DataSource) -> Iterator[AnnotatedFrame]:
    """Frames of one dataset, by the reader its layout names."""
    if source.layout == "coco":
        return read_coco(Path(source.path), Path(source.images))
    return read_sequence_folder(Path(source.path))


def prepare_store(config: DataConfig) -> StoreSummary:
    """Decode every source of `config` into its store. Raises as the readers and `build_frame_store` do."""
    frames = (frame for source in config.sources for frame in read_source(source))
    return build_frame_store(frames, Path(config.store), config.max_side, config.min_target_side)
