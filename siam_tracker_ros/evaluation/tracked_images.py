"""What a tracker published of an image, read from its TrackArray messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from siam_tracker_ros.evaluation.report_data import latency_summary
from siam_tracker_ros.footage.latency import STAGES, stages_ms
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.state import TrackState


@dataclass(frozen=True)
class RecordedTrack:
    """What was said of one target in one image."""

    box: Box
    confidence: float
    state: TrackState


@dataclass(frozen=True)
class TrackedImage:
    """One image that targets were tracked in.

    `stamp_ns` is the image's; `latency_ms` goes from the image's arrival at the tracker to its tracks' going
    out, `age_ms` from its stamp to that, where the clocks are one; `stages_ms` are footage.latency's STAGES.
    `tracks` are by target.
    """

    stamp_ns: int
    latency_ms: float
    age_ms: float
    stages_ms: tuple[float, ...]
    tracks: Mapping[str, RecordedTrack]


def tracks_of(message: Any) -> dict[str, RecordedTrack]:
    """The targets of a TrackArray."""
    return {str(track.id): _track(track) for track in message.tracks}


def _track(track: Any) -> RecordedTrack:
    box = track.bbox
    corner = box.center_x - (box.size_x - 1) / 2, box.center_y - (box.size_y - 1) / 2
    return RecordedTrack(
        Box(*map(float, (*corner, box.size_x, box.size_y))), float(track.confidence), TrackState(track.state)
    )


def tracked_image(message: Any) -> TrackedImage | None:
    """A TrackArray of an image that was tracked in; None for one that only says what became of targets."""
    if not message.tracks or not message.preprocess_ms:
        return None
    stamp, published = stamp_ns(message.header.stamp), stamp_ns(message.published)
    return TrackedImage(
        stamp,
        (published - stamp_ns(message.received)) / 1e6,
        (published - stamp) / 1e6,
        tuple(stages_ms(message).values()),
        tracks_of(message),
    )


def latencies(images: Iterable[TrackedImage]) -> dict[str, float]:
    """Median, 95th and 99th percentile of the latency, ms; NaN of no image."""
    return latency_summary(np.array([image.latency_ms for image in images]))


def stage_times(images: Iterable[TrackedImage]) -> dict[str, dict[str, float]]:
    """The same for each of STAGES."""
    rows = np.array([image.stages_ms for image in images], np.float64).reshape(-1, len(STAGES))
    return {f"{name}_ms": latency_summary(rows[:, column]) for column, name in enumerate(STAGES)}
