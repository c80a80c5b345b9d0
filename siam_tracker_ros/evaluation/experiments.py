"""How a tracker is run through a sequence: once, in real time, with restarts, or from anchors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from siam_tracker_ros.evaluation.real_time import Schedule, real_time
from siam_tracker_ros.evaluation.regions import MaskRegion, Polygon, Region, region_overlap
from siam_tracker_ros.evaluation.results import FAILED, SKIPPED, STARTED, TrackerRun
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence, ImageSource, read_image
from siam_tracker_ros.evaluation.trackers import Answer, EvaluatedTracker
from siam_tracker_ros.evaluation.vot import RESTART_AFTER
from siam_tracker_ros.tracking.boxes import Box

Clock = Callable[[], float]
ANCHOR_STEP = 50
"""Frames between anchors where the dataset sets none, as in VOT2020."""


@dataclass
class _Record:
    """A run that is being written."""

    regions: list[Region | int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    masks: list[MaskRegion | None] = field(default_factory=list)

    def code(self, code: int) -> None:
        self.regions.append(code)
        self.confidences.append(1.0 if code == STARTED else math.nan)
        self.seconds.append(math.nan)
        self.masks.append(None)

    def answer(self, answer: Answer, region: Region | None, seconds: float) -> None:
        self.regions.append(SKIPPED if region is None else region)
        self.confidences.append(answer.confidence)
        self.seconds.append(seconds)
        self.masks.append(answer.mask)

    def done(self) -> TrackerRun:
        return TrackerRun(
            tuple(self.regions), np.array(self.confidences), np.array(self.seconds), tuple(self.masks)
        )


def one_pass(
    tracker: EvaluatedTracker, sequence: EvaluationSequence, clock: Clock = time.perf_counter
) -> TrackerRun:
    """From the first frame to the last without help; boxes, and masks where the sequence has them.

    Masks are made, and counted in the time, only for sequences that have them. Raises EvaluationError where
    an image cannot be read.
    """
    masks = tracker.has_masks and any(sequence.masks)
    record = _Record()
    tracker.start(read_image(sequence.images[0]), sequence.start_box(0))
    record.code(STARTED)
    for path in sequence.images[1:]:
        answer, seconds = _timed(tracker, path, masks, clock)
        record.answer(answer, answer.box, seconds)
    return record.done()


def one_pass_in_real_time(
    tracker: EvaluatedTracker,
    sequence: EvaluationSequence,
    rate: float | None = None,
    clock: Clock = time.perf_counter,
) -> tuple[TrackerRun, Schedule]:
    """As `one_pass`, but frames that come while the tracker is busy are skipped (see `real_time`).

    `rate` is in frames a second, the sequence's own by default. Each frame has the newest answer of its time.
    """
    masks = tracker.has_masks and any(sequence.masks)
    answers: dict[int, tuple[Answer, float]] = {}

    def process(index: int) -> float:
        if index == 0:
            box = sequence.start_box(0)
            tracker.start(read_image(sequence.images[0]), box)
            answers[0] = Answer(box, 1.0), math.nan
            return 0.0
        answers[index] = _timed(tracker, sequence.images[index], masks, clock)
        return answers[index][1]

    schedule = real_time(len(sequence.images), rate or sequence.rate, process)
    record = _Record()
    record.code(STARTED)
    for source in schedule.answers[1:]:
        answer, seconds = answers[source]
        record.answer(answer, answer.box, seconds)
    return record.done(), schedule


def with_restarts(
    tracker: EvaluatedTracker, sequence: EvaluationSequence, clock: Clock = time.perf_counter
) -> TrackerRun:
    """VOT2016 to VOT2019: at no overlap the run has failed, and starts again five frames on."""
    record = _Record()
    frame = 0
    frames = len(sequence.images)
    while frame < frames:
        if sequence.truth[frame] is None:
            record.code(SKIPPED)
            frame += 1
            continue
        tracker.start(read_image(sequence.images[frame]), sequence.start_box(frame))
        record.code(STARTED)
        frame += 1
        while frame < frames:
            truth = sequence.truth[frame]
            answer, seconds = _timed(tracker, sequence.images[frame], _wants_mask(tracker, truth), clock)
            region = _like(answer, truth)
            if truth is not None and region_overlap(region, truth, sequence.frame_size) <= 0:
                record.code(FAILED)
                for _ in range(min(RESTART_AFTER - 1, frames - frame - 1)):
                    record.code(SKIPPED)
                frame += RESTART_AFTER
                break
            record.answer(answer, region, seconds)
            frame += 1
    return record.done()


def from_anchors(
    tracker: EvaluatedTracker, sequence: EvaluationSequence, clock: Clock = time.perf_counter
) -> Iterator[tuple[int, TrackerRun]]:
    """VOT2020 on: a run from every anchor to the end of the sequence, or to its beginning for those below 0.

    Yields the anchor's frame and the run, in the order it was tracked.
    """
    for anchor in anchors_of(sequence):
        record = _Record()
        for position, index in enumerate(frames_from(anchor, len(sequence.images))):
            if position == 0:
                tracker.start(read_image(sequence.images[index]), sequence.start_box(index))
                record.code(STARTED)
                continue
            truth = sequence.truth[index]
            answer, seconds = _timed(tracker, sequence.images[index], _wants_mask(tracker, truth), clock)
            record.answer(answer, _like(answer, truth), seconds)
        yield abs(anchor), record.done()


def anchors_of(sequence: EvaluationSequence) -> tuple[int, ...]:
    """The dataset's anchors, or one every 50 frames where the target is in view.

    Each is tracked in the direction in which more of the sequence lies. Raises EvaluationError without any.
    """
    if sequence.anchors:
        return sequence.anchors
    frames = len(sequence.images)
    every = [i for i in range(0, frames, ANCHOR_STEP) if sequence.truth[i] is not None]
    if not every:
        raise EvaluationError(f"{sequence.name}: no frame to start on")
    return tuple(i if i <= frames // 2 else -i for i in every)


def frames_from(anchor: int, frames: int) -> range:
    """The frames of a run, in the order in which it sees them."""
    return range(anchor, frames) if anchor >= 0 else range(-anchor, -1, -1)


def _timed(tracker: EvaluatedTracker, image: ImageSource, masks: bool, clock: Clock) -> tuple[Answer, float]:
    frame = read_image(image)
    started = clock()
    answer = tracker.follow(frame, masks)
    return answer, clock() - started


def _wants_mask(tracker: EvaluatedTracker, truth: Region | None) -> bool:
    """Masks are made where the truth is no upright box: a rotated box comes with the mask."""
    return tracker.has_masks and not isinstance(truth, Box)


def _like(answer: Answer, truth: Region | None) -> Region | None:
    """The answer in the kind of region that the truth has, as far as the tracker gives it."""
    if isinstance(truth, MaskRegion) and answer.mask is not None:
        return answer.mask
    if isinstance(truth, Polygon) and answer.polygon is not None:
        return answer.polygon
    return answer.box
