"""From parameters to a tracker that is ready: weights found, checked and loaded, network warmed up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from siam_tracker_ros.engines.device import resolve_device
from siam_tracker_ros.engines.names import EngineName, Precision
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.weights import find_weights, read_manifest, sha256_of
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

_LONG_TERM = {"auto": None, "on": True, "off": False}


class WeightsHashError(SiamTrackerError, ValueError):
    """A weight file that is not the one it should be."""


@dataclass(frozen=True)
class LoadedTracker:
    """A tracker that is warm, and the SHA-256 of the weights in it."""

    tracker: SiamTracker
    weights_sha256: str


def load_tracker(parameters: TrackerParameters) -> LoadedTracker:
    """Load and warm up what `parameters` name.

    Raises CheckpointError, UnknownModelError, AmbiguousModelError, DeviceUnavailableError,
    EngineUnavailableError or WeightsHashError.
    """
    # First what takes no time to find out.
    resolve_device(parameters.device)
    path = find_weights(parameters.weights)
    digest = checked_digest(path, parameters.weights_sha256)
    tracker = SiamTracker.from_weights(
        path,
        parameters.model or None,
        parameters.device,
        cast(Precision, parameters.precision),
        _LONG_TERM[parameters.long_term],
        cast(EngineName, parameters.engine),
    )
    warm_up(tracker)
    return LoadedTracker(tracker, digest)


def checked_digest(path: Path, expected: str = "") -> str:
    """SHA-256 of a weight file, hex digits.

    It must be `expected`, or, without that, the one listed in the zoo.yaml beside the file, if it is. Raises
    WeightsHashError, or CheckpointError where the zoo.yaml is not one.
    """
    digest = sha256_of(path)
    wanted, by = (expected.strip().lower(), "weights_sha256") if expected else (_listed(path), "zoo.yaml")
    if wanted and wanted != digest:
        raise WeightsHashError(
            f"{path} has the SHA-256 {digest}, but {by} says {wanted}: get the file again, or correct {by}"
        )
    return digest


def _listed(path: Path) -> str:
    released = read_manifest(path.parent).get(path.name)
    return released.sha256 if released is not None else ""


def warm_up(tracker: SiamTracker) -> None:
    """Run everything once, so that the first image does not wait for it.

    On a GPU for several targets at once too: a lost one is looked for in more than one place, and that is no
    time to find out by which algorithm.
    """
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for count in (1,) if tracker.step is None else (1, 2, 4):
        targets = [tracker.init(frame, (140, 100, 40, 40), 0.0) for _ in range(count)]
        for number in range(2):
            tracker.track(frame, targets, tracker.has_masks, (number + 1) / 30)
    if tracker.step is not None:
        # Graphs are made for the size of the camera's frames; what was found out stays.
        tracker.step.release()
