"""Trackers times sequences: each pair is a job, done once, and kept until it is asked for again.

Jobs run here, in processes of this machine, or on a Ray cluster, through the same function.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation import experiments, vot
from siam_tracker_ros.evaluation.datasets.benchmarks import read_dataset
from siam_tracker_ros.evaluation.results import TrackerRun, find_run, read_run, run_file, write_run
from siam_tracker_ros.evaluation.scores import (
    Evaluation,
    SequenceScore,
    anchored_run,
    long_term_run,
    score_one_pass,
    summarise,
    supervised_run,
)
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence
from siam_tracker_ros.evaluation.trackers import TrackerSpec, make_tracker, use_threads

EXPERIMENTS = ("ope", "realtime", "supervised", "anchored", "longterm")
"""One pass, one pass in real time, restarts (VOT2016 on), anchors (VOT2020 on), one pass with confidences."""


@dataclass(frozen=True)
class Job:
    """One tracker in one sequence; results go below `out`."""

    spec: TrackerSpec
    dataset: Path
    layout: str
    sequence: str
    experiment: str
    out: Path
    rate: float | None = None

    @property
    def folder(self) -> Path:
        """Where the results of this tracker and experiment are."""
        # One pass is the same whatever is measured of it.
        experiment = "ope" if self.experiment == "longterm" else self.experiment
        return self.out / "results" / self.spec.name / experiment


class JobFailedError(EvaluationError):
    """A job that failed, and why."""


def missing(job: Job, sequence: EvaluationSequence) -> list[Path]:
    """Results of the job that are not there yet."""
    return [path for path in _files(job, sequence) if not path.is_file()]


def do(job: Job) -> None:
    """Run a job whose results are not there, and write them. Raises what the tracker and the files raise."""
    sequence = _dataset(job.dataset, job.layout)[job.sequence]()
    files = missing(job, sequence)
    if not files:
        return
    tracker = _tracker(job.spec)
    if job.experiment == "anchored":
        for (_, run), path in zip(
            experiments.from_anchors(tracker, sequence), _files(job, sequence), strict=True
        ):
            write_run(path, run)
    elif job.experiment == "supervised":
        write_run(files[0], experiments.with_restarts(tracker, sequence))
    elif job.experiment == "realtime":
        run, _ = experiments.one_pass_in_real_time(tracker, sequence, job.rate)
        write_run(files[0], run)
    else:
        write_run(files[0], experiments.one_pass(tracker, sequence))


def do_all(jobs: Sequence[Job], workers: int = 1, ray_address: str | None = None) -> Iterator[Job]:
    """Do jobs in `workers` processes, or on the Ray cluster at an address; yields each when it is done.

    A failed job does not stop the others; in the end JobFailedError names all that failed.
    """
    failures: list[str] = []
    for job, error in _on_ray(jobs, ray_address) if ray_address else _here(jobs, workers):
        if error is None:
            yield job
        else:
            failures.append(f"{job.spec.name} in {job.sequence}: {error}")
    if failures:
        raise JobFailedError(f"{len(failures)} of {len(jobs)} failed; {'; '.join(failures[:5])}")


def scores(job: Job) -> SequenceScore:
    """The measures of a one-pass job that is done. Raises EvaluationError where its results are not there."""
    sequence = _dataset(job.dataset, job.layout)[job.sequence]()
    return score_one_pass(sequence, _run(job, sequence))


def evaluation(jobs: Sequence[Job]) -> Evaluation:
    """The one-pass measures of one tracker's jobs."""
    return summarise({job.sequence: scores(job) for job in jobs})


def challenge_scores(jobs: Sequence[Job], lengths: tuple[int, int]) -> dict[str, float]:
    """VOT's measures of one tracker's jobs, all of one experiment: supervised, anchored or longterm.

    `lengths` are those over which the expected average overlap is taken, frames.
    """
    sequences = [_dataset(job.dataset, job.layout)[job.sequence]() for job in jobs]
    experiment = jobs[0].experiment
    if experiment == "longterm":
        long = vot.long_term_scores(
            [long_term_run(s, _run(j, s)) for j, s in zip(jobs, sequences, strict=True)]
        )
        return {"precision": long.precision, "recall": long.recall, "f1": long.f1}
    if experiment == "supervised":
        runs = [supervised_run(s, _run(j, s)) for j, s in zip(jobs, sequences, strict=True)]
        found = vot.supervised_scores(runs)
        curve = vot.supervised_eao_curve(runs)
        return {
            "accuracy": found.accuracy,
            "robustness": found.robustness,
            "reliability": found.reliability,
            "eao": _eao(curve, lengths),
        }
    anchored = [_anchored(j, s) for j, s in zip(jobs, sequences, strict=True)]
    scored = vot.anchored_scores(anchored)
    return {
        "accuracy": scored.accuracy,
        "robustness": scored.robustness,
        "eao": _eao(vot.anchored_eao_curve(anchored, lengths[1] + 1), lengths),
    }


def _eao(curve: Any, lengths: tuple[int, int]) -> float:
    try:
        return vot.eao(curve, *lengths)
    except vot.NoRunsError:
        return float("nan")


def _anchored(job: Job, sequence: EvaluationSequence) -> vot.AnchoredSequence:
    frames = len(sequence.images)
    runs = []
    for anchor, path in zip(experiments.anchors_of(sequence), _files(job, sequence), strict=True):
        seen = experiments.frames_from(anchor, frames)
        runs.append(anchored_run(sequence, _read(job, path, len(seen)), seen))
    return vot.AnchoredSequence(frames, tuple(runs))


def _run(job: Job, sequence: EvaluationSequence) -> TrackerRun:
    frames = len(sequence.images)
    if job.spec.is_results:
        found = find_run(Path(job.spec.text), job.sequence)
        if found is None:
            raise EvaluationError(f"{job.spec.text} has no results for {job.sequence} ({job.sequence}.txt)")
        return read_run(found, frames)
    return _read(job, run_file(job.folder, job.sequence), frames)


def _read(job: Job, path: Path, frames: int) -> TrackerRun:
    if not path.is_file():
        raise EvaluationError(f"{job.spec.name} has not been run in {job.sequence}: no {path}")
    return read_run(path, frames)


def _files(job: Job, sequence: EvaluationSequence) -> list[Path]:
    if job.spec.is_results:
        return []
    if job.experiment != "anchored":
        return [run_file(job.folder, job.sequence)]
    # As the VOT tool kit calls them: after the frame of the anchor.
    return [
        job.folder / job.sequence / f"{job.sequence}_{abs(anchor):08d}.txt"
        for anchor in experiments.anchors_of(sequence)
    ]


# A worker keeps what it has made: networks take seconds to load, and datasets thousands of files to list.
@lru_cache(maxsize=2)
def _dataset(folder: Path, layout: str) -> Any:
    return read_dataset(folder, layout)


@lru_cache(maxsize=1)
def _tracker(spec: TrackerSpec) -> Any:
    return make_tracker(spec)


def _here(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
    if workers <= 1:
        for job in jobs:
            yield job, _tried(lambda job=job: do(job))  # type: ignore[misc]
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=use_threads, initargs=(threads,)) as pool:
        waiting: dict[Future[None], Job] = {pool.submit(do, job): job for job in jobs}
        try:
            for done in as_completed(waiting):
                yield waiting[done], _tried(done.result)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_ray(jobs: Sequence[Job], address: str) -> Iterator[tuple[Job, str | None]]:
    """The same jobs on a cluster whose machines see the dataset and the results under the same paths."""
    try:
        import ray
    except ImportError as error:
        raise EvaluationError(
            "--ray needs Ray on this machine and on the cluster's: pip install ray"
        ) from error
    ray.init(address=address, ignore_reinit_error=True)
    remote = ray.remote(do)
    waiting = {remote.remote(job): job for job in jobs}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        yield waiting.pop(done), _tried(lambda done=done: ray.get(done))  # type: ignore[misc]


def _tried(call: Callable[[], object]) -> str | None:
    """What went wrong, in a line; None if nothing did."""
    try:
        call()
    except SiamTrackerError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
