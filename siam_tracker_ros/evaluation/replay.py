"""Trackers run over the images of a recorded flight, beside what the tracker said live."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from siam_tracker_ros.evaluation.evaluate import Job, do_all_in
from siam_tracker_ros.evaluation.recording import Recording, recorded_run, recorded_truth
from siam_tracker_ros.evaluation.regions import Region
from siam_tracker_ros.evaluation.results import TrackerRun, read_one_pass
from siam_tracker_ros.evaluation.scores import SequenceScore, plain, score_one_pass
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.evaluation.trackers import TrackerSpec
from siam_tracker_ros.footage.bag_images import BagImages
from siam_tracker_ros.footage.frames import OnSkip

LIVE = "live"
"""What the recorded run is called among the trackers."""


@dataclass(frozen=True)
class Comparison:
    """Scores by tracker, the recorded run (LIVE) first, all in the images from `scored_from` on.

    Without a truth they say how far each agrees with the recorded run. `begun_in` is the image that the
    replays began in.
    """

    scores: dict[str, SequenceScore]
    has_truth: bool
    scored_from: int
    begun_in: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "against": "truth" if self.has_truth else LIVE,
            "begun_in_image": self.begun_in,
            "scored_from_image": self.scored_from,
            "trackers": {name: plain(vars(score)) for name, score in self.scores.items()},
        }


@dataclass(frozen=True)
class ReplaySettings:
    """What to run, `ope` or `realtime`, and where results are kept (and not run again).

    `rate` is in images a second, that of the stamps by default.
    """

    specs: Sequence[TrackerSpec]
    experiment: str
    out: Path
    rate: float | None = None


def compare(
    recording: Recording,
    target: str | None,
    truth: Sequence[Region | None] | None,
    settings: ReplaySettings,
    tell: OnSkip,
) -> Comparison:
    """Run trackers over a bag and score them, and the recorded run of `target` (None: there is none).

    Replays begin on the first box of the truth, which is one for each image; without it, on the target's
    first recorded box. `tell` is told of images that do not decode. Raises EvaluationError where there is
    nothing to begin on, or no image to run over.
    """
    live: TrackerRun | None = None
    live_from = 0
    if target is not None:
        live, live_from = recorded_run(recording, target)
    known = truth if truth is not None else _recorded_boxes(recording, target, live, live_from)
    begin = next((number for number, region in enumerate(known) if region is not None), None)
    if begin is None:
        raise EvaluationError(f"the truth has the target in none of the images of {recording.path}")
    start = max(begin, live_from) if live is not None else begin
    runs = _replays(recording, begin, known, settings, tell)
    cut = {name: _from(run, start - begin) for name, run in runs.items()}
    if live is not None and truth is not None:
        cut = {LIVE: _from(live, start - live_from), **cut}
    sequence = recorded_truth(recording, start, known)
    scores = {name: score_one_pass(sequence, run) for name, run in cut.items()}
    return Comparison(scores, truth is not None, start, begin)


def _recorded_boxes(
    recording: Recording, target: str | None, live: TrackerRun | None, live_from: int
) -> list[Region | None]:
    if live is None or target is None:
        raise EvaluationError(
            f"bag {recording.path} has neither truth nor tracks to start on: "
            "give a truth file with a box for each image"
        )
    first = recording.tracks[target][recording.stamps_ns[live_from]].box
    return [*[None] * live_from, first, *live.boxes_or_none[1:]]


def _replays(
    recording: Recording,
    begin: int,
    truth: Sequence[Region | None],
    settings: ReplaySettings,
    tell: OnSkip,
) -> dict[str, TrackerRun]:
    if not settings.specs:
        return {}
    if not recording.has_images:
        raise EvaluationError(f"bag {recording.path} has no images to run trackers over")
    with closing(BagImages(recording.path, recording.images_from, tell)) as images:
        sequence = recorded_truth(recording, begin, truth, images)
        jobs = [
            Job(spec, recording.path, "bag", sequence.name, settings.experiment, settings.out, settings.rate)
            for spec in settings.specs
        ]
        for _ in do_all_in(jobs, sequence):
            pass
        return {job.spec.name: read_one_pass(job.folder, sequence) for job in jobs}


def _from(run: TrackerRun, frame: int) -> TrackerRun:
    """The run from a frame of it on."""
    return replace(
        run,
        regions=run.regions[frame:],
        confidences=run.confidences[frame:],
        seconds=run.seconds[frame:],
        masks=run.masks[frame:],
    )
