"""What can be evaluated: our own networks, OpenCV's trackers, and results that others have written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from siam_tracker_ros.engines.names import EngineName, Precision
from siam_tracker_ros.evaluation.regions import MaskRegion, Polygon
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.crop import Frame

OPENCV = "opencv:"
_OPENCV_TRACKERS = {
    "csrt": "TrackerCSRT",
    "kcf": "TrackerKCF",
    "mil": "TrackerMIL",
    "nano": "TrackerNano",
}


@dataclass(frozen=True)
class Answer:
    """What a tracker says of one frame; box None where it says that the target is not there.

    `confidence` is NaN where it gives none, `polygon` and `mask` None where it has none.
    """

    box: Box | None
    confidence: float = float("nan")
    polygon: Polygon | None = None
    mask: MaskRegion | None = None


class EvaluatedTracker(Protocol):
    """A tracker of one target at a time; `start` forgets the one before."""

    has_masks: bool

    def start(self, frame: Frame, box: Sequence[float]) -> None:
        """Take the target in a box, x, y, width, height, px."""

    def follow(self, frame: Frame, masks: bool) -> Answer:
        """Find it in the next frame, its mask too if `masks`."""


@dataclass(frozen=True)
class TrackerSpec:
    """A tracker to be, as a process of its own needs to make it.

    `text` is weights by name or path, `opencv:csrt` (or kcf, mil), `opencv:nano=FOLDER` with the folder of
    its two models, or a folder of results. `name` is what it is called in tables and folders.
    """

    text: str
    model: str | None = None
    device: str = "auto"
    long_term: bool | None = None
    engine: EngineName = "auto"
    precision: Precision = "auto"

    @property
    def is_results(self) -> bool:
        """Whether it is a folder in which somebody's results lie."""
        return not self.text.startswith(OPENCV) and Path(self.text).is_dir()

    @property
    def name(self) -> str:
        """Fit for a file name."""
        if self.text.startswith(OPENCV):
            return self.text.partition("=")[0].replace(":", "-")
        stem = Path(self.text).name
        return stem if self.is_results else stem.removesuffix(".safetensors").removesuffix(".pth")


def make_tracker(spec: TrackerSpec) -> EvaluatedTracker:
    """The tracker of a spec that is not a folder of results.

    Raises EvaluationError, and what SiamTracker.from_weights raises.
    """
    if spec.text.startswith(OPENCV):
        return _OpenCvTracker(spec.text.removeprefix(OPENCV))
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker

    return SiamEvaluated(
        SiamTracker.from_weights(
            spec.text, spec.model, spec.device, spec.precision, spec.long_term, spec.engine
        )
    )


class SiamEvaluated:
    """A SiamTracker with one target."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self._target: Any = None
        self.has_masks = bool(tracker.has_masks)

    def start(self, frame: Frame, box: Sequence[float]) -> None:
        self._target = self._tracker.init(frame, box)

    def follow(self, frame: Frame, masks: bool) -> Answer:
        (result,) = self._tracker.track(frame, [self._target], masks=masks and self.has_masks)
        mask, rotated = result.mask, result.rotated_box
        return Answer(
            result.box,
            result.confidence,
            Polygon(rotated.corners()) if rotated is not None else None,
            MaskRegion(mask.crop, mask.x, mask.y) if mask is not None else None,
        )


class _OpenCvTracker:
    has_masks = False

    def __init__(self, text: str) -> None:
        import cv2

        name, _, folder = text.partition("=")
        if name not in _OPENCV_TRACKERS:
            known = ", ".join(OPENCV + one for one in _OPENCV_TRACKERS)
            raise EvaluationError(f"no tracker is called '{OPENCV}{name}'; there are {known}")
        factory: Any = getattr(cv2, _OPENCV_TRACKERS[name], None)
        if factory is None:
            raise EvaluationError(
                f"OpenCV {cv2.__version__} has no {_OPENCV_TRACKERS[name]} here; it comes with the contrib "
                f"modules: pip install opencv-contrib-python=={cv2.__version__} in place of opencv-python"
            )
        self._create: Callable[[], Any] = factory.create
        if name == "nano":
            parameters: Any = cv2.TrackerNano_Params()  # type: ignore[attr-defined]
            parameters.backbone, parameters.neckhead = _nano_models(folder)
            self._create = lambda: factory.create(parameters)
        elif folder:
            raise EvaluationError(f"'{OPENCV}{name}' takes no folder; nano alone has model files")
        self._tracker: Any = None

    def start(self, frame: Frame, box: Sequence[float]) -> None:
        self._tracker = self._create()
        self._tracker.init(frame, [round(float(value)) for value in box])

    def follow(self, frame: Frame, masks: bool) -> Answer:
        found, box = self._tracker.update(frame)
        return Answer(Box(*map(float, box)), 1.0) if found else Answer(None, 0.0)


def _nano_models(folder: str) -> tuple[str, str]:
    """The backbone's and the head's file in a folder of NanoTrack's models."""
    paths = []
    for part in ("backbone", "head"):
        found = sorted(Path(folder).glob(f"*{part}*.onnx")) if folder else []
        if len(found) != 1:
            has = ", ".join(path.name for path in found) or "none"
            raise EvaluationError(
                f"'{OPENCV}nano=FOLDER' needs a folder with NanoTrack's two models, one *backbone*.onnx and "
                f"one *head*.onnx; of the {part} '{folder}' has {has}"
            )
        paths.append(str(found[0]))
    return paths[0], paths[1]


def use_threads(count: int) -> None:
    """Let this process compute with `count` threads, also where OpenCV and PyTorch have begun."""
    import cv2
    import torch

    os.environ["OMP_NUM_THREADS"] = str(count)
    cv2.setNumThreads(count)
    torch.set_num_threads(count)
