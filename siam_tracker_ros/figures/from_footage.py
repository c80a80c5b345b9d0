"""Search regions of footage, seen by a network: a target is followed, and looked at every so often."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from siam_tracker_ros.figures.responses import Seen, crop_around, look, network_input
from siam_tracker_ros.footage.frames import FrameRange, SourceError
from siam_tracker_ros.footage.source import open_source
from siam_tracker_ros.models.checkpoint import load_state, read_checkpoint
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.weights import find_weights
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

# Frames of each video that are shown, and how far apart they lie.
_SHOWN = 4
_APART = 15


def seen_in(
    entry: ZooEntry, weights: str | Path, videos: Sequence[str], boxes: Sequence[Sequence[float]]
) -> list[Seen]:
    """Some search regions of every video, whose target is in `boxes` in its first frame.

    Raises CheckpointError for the weights, SourceError for the footage, InvalidBoxError for a box.
    """
    path = find_weights(weights)
    network = SiameseNetwork(entry.model).eval()
    load_state(network, read_checkpoint(path).state, str(path))
    tracker = SiamTracker(entry, network, device="cpu")
    seen: list[Seen] = []
    for video, box in zip(videos, boxes, strict=True):
        seen += _of_video(entry, network, tracker, video, Box(*box))
    return seen


def _of_video(
    entry: ZooEntry, network: SiameseNetwork, tracker: SiamTracker, video: str, box: Box
) -> list[Seen]:
    footage = open_source(video, FrameRange(0, None, 1), lambda _: None)
    seen: list[Seen] = []
    with closing(footage.frames):
        frames = islice(footage.frames, (_SHOWN - 1) * _APART + 2)
        first = next(frames, None)
        if first is None:
            raise SourceError(f"{video} gave no frame")
        target = tracker.init(first.image, box, first.time)
        exemplar = crop_around(first.image, box, entry, entry.tracking.exemplar_size)
        template = network.template(network_input(exemplar))
        for frame in frames:
            if frame.number % _APART == 1:
                image = crop_around(frame.image, box, entry, entry.tracking.instance_size)
                seen.append(look(network, template, image, Path(video).stem, frame.number))
            (result,) = tracker.track(frame.image, [target], stamp=frame.time)
            box = result.box
    if not seen:
        raise SourceError(f"{video} has one frame; what channels respond to needs at least two")
    return seen
