"""Trackers made ready to be timed: each a call that tracks its targets in one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from siam_tracker_ros.benchmark.configuration import OPENCV, PYSOT, Configuration
from siam_tracker_ros.benchmark.scene import scene, target_boxes
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation.trackers import TrackerSpec, make_tracker
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.int8_calibration import Calibration
from siam_tracker_ros.models.quantisation import SearchInputs, calibrate
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

if TYPE_CHECKING:
    from siam_tracker_ros.benchmark.pysot import PysotBaseline

# A camera hands out a few buffers in turn; the same one each time would always be in the caches.
_BUFFERS = 4


class CannotMeasureError(SiamTrackerError):
    """A configuration that its tracker cannot do."""


@dataclass(frozen=True)
class Contestant:
    """`call` tracks in the next frame; `stages` then tells how long each stage of it took, ms.

    `engine` and `precision` are those that it came to.
    """

    configuration: Configuration
    engine: str
    precision: str
    masks: bool
    call: Callable[[], object]
    stages: Callable[[], Mapping[str, float]] = field(default=dict)


def make_contestant(
    configuration: Configuration, network: SiameseNetwork | None, pysot: PysotBaseline | None
) -> Contestant:
    """The tracker of a configuration, its targets started.

    `network` is the zoo entry's, unless OpenCV runs it; `pysot` the checkout, where that is asked for. Raises
    what the tracker's making raises.
    """
    if configuration.engine == OPENCV:
        return _opencv(configuration)
    assert network is not None
    if configuration.engine == PYSOT:
        assert pysot is not None
        return _pysot(configuration, network, pysot)
    return _ours(configuration, network)


def random_network(model: str) -> SiameseNetwork:
    """The network of a zoo entry, with random weights, the same each time: speed does not depend on them."""
    torch.manual_seed(0)
    return SiameseNetwork(get_entry(model).model).eval()


def _frames(configuration: Configuration) -> Callable[[], np.ndarray]:
    frame = scene(configuration.width, configuration.height)
    buffers = cycle([frame.copy() for _ in range(_BUFFERS)])
    return lambda: next(buffers)


def _ours(configuration: Configuration, network: SiameseNetwork) -> Contestant:
    entry = get_entry(configuration.model)
    if configuration.precision == "int8" and network.calibration is None:
        network.calibration = _calibrated_on_scene(entry, network)
    tracker = SiamTracker(
        entry,
        network,
        configuration.device,
        configuration.precision,  # type: ignore[arg-type]
        configuration.engine,  # type: ignore[arg-type]
    )
    frames = _frames(configuration)
    boxes = target_boxes(configuration.width, configuration.height, configuration.targets)
    targets = [tracker.init(frames(), box) for box in boxes]
    masks = tracker.has_masks

    def track() -> object:
        # Random weights would let the boxes drift, and with them the sizes of the crops.
        return tracker.track(frames(), [replace(target) for target in targets], masks=masks)

    return Contestant(
        configuration,
        tracker.engine.name,
        tracker.engine.precision,
        masks,
        track,
        lambda: tracker.stages.milliseconds._asdict(),
    )


@torch.no_grad()
def _calibrated_on_scene(entry: ZooEntry, network: SiameseNetwork) -> Calibration:
    """Ranges for int8 that random weights give on the scene: good for nothing but its speed."""
    frame = scene(640, 480)

    def resized(side: int) -> torch.Tensor:
        image = torch.from_numpy(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA))
        return image.permute(2, 0, 1)[None].float()

    template = network.template(resized(entry.tracking.exemplar_size))
    return calibrate(network, [SearchInputs(resized(entry.tracking.instance_size), template.rpn)], "")


def _pysot(configuration: Configuration, network: SiameseNetwork, pysot: PysotBaseline) -> Contestant:
    if configuration.targets > 1:
        raise CannotMeasureError("PySOT tracks one target")
    if not pysot.has(configuration.model):
        raise CannotMeasureError("PySOT has no experiment of that name")
    frames = _frames(configuration)
    (box,) = target_boxes(configuration.width, configuration.height, 1)
    tracker = pysot.tracker(configuration.model, network, configuration.device)
    tracker.init(frames(), list(box))
    centre, size = np.array(tracker.center_pos), np.array(tracker.size)

    def track() -> object:
        tracker.center_pos, tracker.size = centre.copy(), size.copy()
        tracker.longterm_state = False
        return tracker.track(frames())

    return Contestant(configuration, PYSOT, "fp32", get_entry(configuration.model).model.has_mask, track)


def _opencv(configuration: Configuration) -> Contestant:
    if configuration.targets > 1:
        raise CannotMeasureError("OpenCV's trackers track one target")
    if configuration.device != "cpu":
        raise CannotMeasureError("OpenCV's trackers run on the CPU here")
    tracker = make_tracker(TrackerSpec(configuration.model))
    frames = _frames(configuration)
    (box,) = target_boxes(configuration.width, configuration.height, 1)
    tracker.start(frames(), box)
    # Where its model files lie makes it no other tracker.
    named = replace(configuration, model=configuration.model.partition("=")[0])
    return Contestant(named, OPENCV, "fp32", False, lambda: tracker.follow(frames(), masks=False))


def checkout(folder: str) -> PysotBaseline:
    """PySOT's trackers out of a folder. Raises PysotUnavailableError."""
    from siam_tracker_ros.benchmark.pysot import PysotBaseline

    return PysotBaseline(Path(folder))
