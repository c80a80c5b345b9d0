"""One-pass evaluation: the tracker starts from the first box and is never set right (OTB's OPE)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation.metrics import box_overlaps, mask_overlap, mean, success_rate
from siam_tracker_ros.footage.sequence_folder import LabelledSequence
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.crop import Frame
from siam_tracker_ros.tracking.siam_tracker import SiamTracker


class EvaluationError(SiamTrackerError, ValueError):
    """Footage that cannot be measured on: an image or mask that cannot be read."""


@dataclass(frozen=True)
class SequenceScore:
    """Means over a sequence's frames after the first.

    IoU, part of it above 0.5, J of the masks (None without masks), frames a second of `SiamTracker.track`
    alone.
    """

    iou: float
    success50: float
    mask_iou: float | None
    fps: float


@dataclass(frozen=True)
class Evaluation:
    """Scores by sequence, and their means over sequences, each counting the same whatever its length."""

    mean_iou: float
    mean_mask_iou: float | None
    sequences: dict[str, SequenceScore]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def _read(path: Path, flags: int) -> Frame:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise EvaluationError(f"cannot read image {path}")
    return np.asarray(image, dtype=np.uint8)


def evaluate_sequence(tracker: SiamTracker, sequence: LabelledSequence) -> SequenceScore:
    """Track through `sequence` from its first box.

    Masks are made, and counted in the speed, only where the sequence has masks and the tracker can make them.

    Raises EvaluationError where an image cannot be read.
    """
    with_masks = tracker.has_masks and any(sequence.masks)
    target = tracker.init(_read(sequence.images[0], cv2.IMREAD_COLOR), sequence.boxes[0])
    found: list[Box] = []
    mask_overlaps: list[float] = []
    seconds = 0.0
    for image, mask in zip(sequence.images[1:], sequence.masks[1:], strict=True):
        frame = _read(image, cv2.IMREAD_COLOR)
        started = time.perf_counter()
        (result,) = tracker.track(frame, [target], masks=with_masks)
        seconds += time.perf_counter() - started
        found.append(result.box)
        if mask is not None and result.mask is not None:
            truth = _read(mask, cv2.IMREAD_GRAYSCALE) > 127
            mask_overlaps.append(mask_overlap(result.mask.to_frame(), truth))
    overlaps = box_overlaps(found, sequence.boxes[1:])
    return SequenceScore(
        iou=float(np.mean(overlaps)) if overlaps else float("nan"),
        success50=success_rate(overlaps),
        mask_iou=mean(mask_overlaps),
        fps=len(found) / seconds if seconds else float("nan"),
    )


def summarise(scores: dict[str, SequenceScore]) -> Evaluation:
    """Means of the sequences' scores. Raises EvaluationError without any."""
    if not scores:
        raise EvaluationError("no sequence was measured")
    overlap = mean([score.iou for score in scores.values()])
    assert overlap is not None
    return Evaluation(overlap, mean([s.mask_iou for s in scores.values() if s.mask_iou is not None]), scores)


def table(evaluation: Evaluation) -> str:
    """The scores as text, one line a sequence and one for the means."""

    def number(value: float | None) -> str:
        return "     -" if value is None else f"{value:6.3f}"

    width = max(len(name) for name in [*evaluation.sequences, "mean"])
    lines: Sequence[str] = [
        f"{'':{width}}     iou  succ50    mask    fps",
        *(
            f"{name:{width}}  {number(s.iou)}  {number(s.success50)}  {number(s.mask_iou)}  {s.fps:5.1f}"
            for name, s in evaluation.sequences.items()
        ),
        f"{'mean':{width}}  {number(evaluation.mean_iou)}          {number(evaluation.mean_mask_iou)}",
    ]
    return "\n".join(lines)
