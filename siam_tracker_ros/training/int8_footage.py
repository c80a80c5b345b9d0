"""What int8 is calibrated on: search regions that the tracker itself cuts out of labelled footage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from siam_tracker_ros.engines.engine import Response
from siam_tracker_ros.engines.torch_engine import TorchEngine
from siam_tracker_ros.footage.sequence_folder import LabelledSequence
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.int8_calibration import Calibration
from siam_tracker_ros.models.quantisation import SearchInputs, calibrate
from siam_tracker_ros.models.siamese import SiameseNetwork, Template
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

_STARTS = 2
_LENGTH = 24
_EVERY = 8
MOST_REGIONS = 64
"""Search regions that are kept of all that were seen: they go through the network as one batch."""


class _Recorder(TorchEngine):
    """PyTorch as the engine, which remembers what it compared, of search regions of one size."""

    def __init__(self, network: SiameseNetwork, size: int) -> None:
        super().__init__(network, torch.device("cpu"), torch.float32)
        self.size = size
        self.last: SearchInputs | None = None

    def search(self, template: Template, crops: Tensor) -> Response:
        """See `Engine`."""
        self.last = None
        if crops.shape[-1] == self.size:
            kernels = tuple(each[:1].float().clone() for each in template.rpn)
            self.last = SearchInputs(crops[:1].float().clone(), kernels)
        return super().search(template, crops)


def calibrate_on_footage(
    entry: ZooEntry,
    network: SiameseNetwork,
    weights_sha256: str,
    sequences: Sequence[LabelledSequence],
    progress: Callable[[], object] = lambda: None,
) -> Calibration:
    """Track each of `sequences` from two of its boxes and calibrate `network` on what was searched.

    `progress` is called for each sequence. Images that cannot be read end a run. Raises QuantisationError
    where nothing could be tracked, or the network cannot be rounded.
    """
    tracker = SiamTracker(entry, network, "cpu", "fp32", engine="torch")
    recorder = _Recorder(network, entry.tracking.instance_size)
    tracker.engine = recorder
    seen: list[SearchInputs] = []
    for sequence in sequences:
        labelled = [n for n, box in enumerate(sequence.boxes) if np.isfinite(box).all() and min(box[2:]) > 1]
        for first in dict.fromkeys(labelled[len(labelled) * part // _STARTS] for part in range(_STARTS)):
            seen += _followed(tracker, recorder, sequence, first)
        progress()
    kept = np.linspace(0, len(seen) - 1, min(len(seen), MOST_REGIONS)).round().astype(int)
    return calibrate(network, [seen[index] for index in kept], weights_sha256)


def _followed(
    tracker: SiamTracker, recorder: _Recorder, sequence: LabelledSequence, first: int
) -> list[SearchInputs]:
    frame = _image(sequence.images[first])
    if frame is None:
        return []
    target = tracker.init(frame, sequence.boxes[first])
    found = []
    for number, path in enumerate(sequence.images[first + 1 : first + 1 + _LENGTH]):
        frame = _image(path)
        if frame is None:
            break
        tracker.track(frame, [target])
        if number % _EVERY == 0 and recorder.last is not None:
            found.append(recorder.last)
    return found


def _image(path: Path) -> np.ndarray | None:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)
