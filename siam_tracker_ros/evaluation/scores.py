"""What runs are worth: one line a sequence, and the means that papers quote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation import davis, vot
from siam_tracker_ros.evaluation.one_pass_metrics import one_pass_scores
from siam_tracker_ros.evaluation.regions import MaskRegion, region_overlap
from siam_tracker_ros.evaluation.results import FAILED, STARTED, TrackerRun
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence, boxes_of


@dataclass(frozen=True)
class SequenceScore:
    """One pass through one sequence; what each is, `one_pass_metrics.OnePassScores` and `davis` tell.

    `iou` and `success50` leave out the first frame. What is of masks is None without them: J (`mask_iou`) and
    F (`contour`), each with recall and decay, and the mean of the two. `fps` counts the tracking alone.
    """

    iou: float
    success50: float
    mask_iou: float | None
    fps: float
    auc: float
    precision20: float
    norm_precision: float
    norm_precision20: float
    ao: float
    sr50: float
    sr75: float
    mask_recall: float | None
    mask_decay: float | None
    contour: float | None
    contour_recall: float | None
    contour_decay: float | None
    j_and_f: float | None


@dataclass(frozen=True)
class Evaluation:
    """Scores by sequence, and their means over sequences, each counting the same whatever its length."""

    mean_iou: float
    mean_mask_iou: float | None
    means: dict[str, float | None]
    sequences: dict[str, SequenceScore]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, None for what is not a number."""
        content: dict[str, Any] = plain(asdict(self))
        return content


def score_one_pass(sequence: EvaluationSequence, run: TrackerRun) -> SequenceScore:
    """The measures of one pass. Raises EvaluationError where a mask cannot be read."""
    found, truth = boxes_to_compare(sequence, run)
    boxes = one_pass_scores(found, truth, sequence.frame_size)
    similarity, contours = _mask_scores(sequence, run)
    j = davis.statistics(similarity) if similarity else None
    f = davis.statistics(contours) if contours else None
    return SequenceScore(
        iou=boxes.mean_iou,
        success50=boxes.success50,
        mask_iou=j.mean if j else None,
        fps=run.rate,
        auc=boxes.auc,
        precision20=boxes.precision20,
        norm_precision=boxes.norm_precision,
        norm_precision20=boxes.norm_precision20,
        ao=boxes.ao,
        sr50=boxes.sr50,
        sr75=boxes.sr75,
        mask_recall=j.recall if j else None,
        mask_decay=j.decay if j else None,
        contour=f.mean if f else None,
        contour_recall=f.recall if f else None,
        contour_decay=f.decay if f else None,
        j_and_f=(j.mean + f.mean) / 2 if j and f else None,
    )


def boxes_to_compare(
    sequence: EvaluationSequence, run: TrackerRun
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes found and true, both [frames, 4] px: NaN where there is none, the first of both the one given."""
    truth = sequence.truth_boxes
    truth[~np.array(sequence.labelled)] = np.nan
    found = boxes_of(run.boxes_or_none)
    found[0] = truth[0]
    return found, truth


def summarise(scores: Mapping[str, SequenceScore]) -> Evaluation:
    """Means of the sequences' scores. Raises EvaluationError without any."""
    if not scores:
        raise EvaluationError("no sequence was measured")
    rows = [asdict(score) for score in scores.values()]
    means = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    overlap = means["iou"]
    return Evaluation(math.nan if overlap is None else overlap, means["mask_iou"], means, dict(scores))


def table(evaluation: Evaluation) -> str:
    """The scores as text, one line a sequence and one for the means."""
    return _table({name: asdict(score) for name, score in evaluation.sequences.items()}, evaluation.means)


def comparison_table(scores: Mapping[str, SequenceScore]) -> str:
    """Scores of several trackers in the same frames as text, one line each."""
    return _table({name: asdict(score) for name, score in scores.items()})


def _table(
    rows: Mapping[str, Mapping[str, float | None]], means: Mapping[str, float | None] | None = None
) -> str:
    columns = {
        "iou": "iou",
        "succ50": "success50",
        "auc": "auc",
        "prec20": "precision20",
        "nprec": "norm_precision",
        "mask J": "mask_iou",
        "mask F": "contour",
        "fps": "fps",
    }

    def line(name: str, values: Mapping[str, float | None]) -> str:
        cells = [_cell(values[key], 1 if key == "fps" else 3) for key in columns.values()]
        return f"{name:{width}}  {'  '.join(cells)}"

    lines = {**rows, **({"mean": means} if means is not None else {})}
    width = max(len(name) for name in lines)
    head = f"{'':{width}}  {'  '.join(f'{title:>6}' for title in columns)}"
    return "\n".join([head, *(line(name, values) for name, values in lines.items())])


def supervised_run(sequence: EvaluationSequence, run: TrackerRun) -> vot.SupervisedRun:
    """A run with restarts as the VOT measures want it."""
    codes = [region if isinstance(region, int) else None for region in run.regions]
    return vot.SupervisedRun(
        region_overlaps(sequence, run, range(len(sequence.images))),
        tuple(i for i, code in enumerate(codes) if code == STARTED),
        tuple(i for i, code in enumerate(codes) if code == FAILED),
    )


def anchored_run(sequence: EvaluationSequence, run: TrackerRun, frames: Sequence[int]) -> vot.AnchoredRun:
    """A run from an anchor through `frames` as the VOT measures want it; the start itself overlaps wholly."""
    overlaps = region_overlaps(sequence, run, frames)
    overlaps[0] = 1.0
    return vot.AnchoredRun(overlaps, np.array([sequence.truth[frame] is not None for frame in frames]))


def long_term_run(sequence: EvaluationSequence, run: TrackerRun) -> vot.LongTermRun:
    """One pass as the long-term measures want it; the start is given, so that it counts as found."""
    frames = range(len(sequence.images))
    visible = np.array([sequence.truth[frame] is not None for frame in frames])
    overlaps = region_overlaps(sequence, run, frames) * visible
    overlaps[0] = 1.0
    reported = np.array([region is not None for region in run.boxes_or_none])
    reported[0] = True
    return vot.LongTermRun(overlaps, np.where(reported, run.confidences, np.nan), visible)


def region_overlaps(sequence: EvaluationSequence, run: TrackerRun, frames: Sequence[int]) -> Any:
    """Overlap of each region of a run with the truth of its frame, [frames], 0 for codes."""
    return np.array(
        [
            0.0
            if isinstance(region, int)
            else region_overlap(region, sequence.truth[frame], sequence.frame_size)
            for region, frame in zip(run.regions, frames, strict=True)
        ]
    )


def _mask_scores(sequence: EvaluationSequence, run: TrackerRun) -> tuple[list[float], list[float]]:
    """J and F of the frames after the first that have a mask; nothing where the run has none."""
    similarity: list[float] = []
    contours: list[float] = []
    if not any(run.masks):
        return similarity, contours
    for file, found in list(zip(sequence.masks, run.masks, strict=True))[1:]:
        if file is None:
            continue
        truth = file.read().mask
        drawn = _whole(found, truth.shape)
        similarity.append(davis.mask_overlap(drawn, truth))
        contours.append(davis.contour_accuracy(drawn, truth))
    return similarity, contours


def _whole(region: MaskRegion | None, shape: tuple[int, ...]) -> davis.Mask:
    """A mask over the whole frame [height, width], empty if there is none."""
    full = np.zeros(shape[:2], dtype=np.bool_)
    if region is not None:
        height, width = region.mask.shape
        full[region.y : region.y + height, region.x : region.x + width] = region.mask
    return full


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(known)) if known else None


def _cell(value: float | None, digits: int) -> str:
    return f"{'-':>6}" if value is None or math.isnan(value) else f"{value:6.{digits}f}"


def plain(value: Any) -> Any:
    """`value` as JSON can have it: None for what is not a finite number, down through dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
