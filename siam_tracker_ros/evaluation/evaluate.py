"""Trackers times sequences: each pair is a job, done once, and kept until it is asked for again.

Jobs run here, in processes of this machine, or on a Ray cluster, through the same function.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation import experiments
from siam_tracker_ros.evaluation.challenges import kept_runs
from siam_tracker_ros.evaluation.datasets.benchmarks import read_dataset
from siam_tracker_ros.evaluation.results import write_run
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence
from siam_tracker_ros.evaluation.trackers import TrackerSpec, make_tracker, use_threads


@dataclass(frozen=True)
class Job:
    """One tracker in one sequence; results go below `out`.

    `experiment` is ope (one pass), realtime (one pass in real time), supervised (restarts, VOT2016 on),
    anchored (VOT2020 on) or longterm (one pass with confidences).
    """

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
        if self.spec.is_results:
            return Path(self.spec.text)
        # One pass is the same whatever is measured of it.
        experiment = "ope" if self.experiment == "longterm" else self.experiment
        return self.out / "results" / self.spec.name / experiment


class JobFailedError(EvaluationError):
    """A job that failed, and why."""


def do(job: Job) -> None:
    """Run a job whose results are not there, and write them. Raises what the tracker and the files raise."""
    do_in(job, _dataset(job.dataset, job.layout)[job.sequence]())


def do_in(job: Job, sequence: EvaluationSequence) -> None:
    """As `do`, with the sequence at hand."""
    files = kept_runs(job.experiment, job.folder, sequence)
    if all(file.is_file() for file in files):
        return
    tracker = _tracker(job.spec)
    if job.experiment == "anchored":
        for (_, run), path in zip(experiments.from_anchors(tracker, sequence), files, strict=True):
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
    yield from _told(_on_ray(jobs, ray_address) if ray_address else _here(jobs, workers), len(jobs))


def do_all_in(jobs: Sequence[Job], sequence: EvaluationSequence) -> Iterator[Job]:
    """As `do_all`, in this process, with the sequence of all of them at hand."""
    tried = ((job, _tried(partial(do_in, job, sequence))) for job in jobs if not job.spec.is_results)
    yield from _told(tried, len(jobs))


def _told(done: Iterable[tuple[Job, str | None]], count: int) -> Iterator[Job]:
    failures: list[str] = []
    for job, error in done:
        if error is None:
            yield job
        else:
            failures.append(f"{job.spec.name} in {job.sequence}: {error}")
    if failures:
        raise JobFailedError(f"{len(failures)} of {count} failed; {'; '.join(failures[:5])}")


def sequences_of(jobs: Sequence[Job]) -> dict[str, EvaluationSequence]:
    """The sequences of some jobs, read."""
    return {job.sequence: _dataset(job.dataset, job.layout)[job.sequence]() for job in jobs}


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
    try:
        ray.init(address=address, ignore_reinit_error=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EvaluationError(
            f"no Ray cluster at {address} (HOST:PORT, auto for the one of this machine, local for one of "
            f"this run alone): {error}"
        ) from error
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
