"""From what is to be measured to a `Run`: one job after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from siam_tracker_ros.benchmark.configuration import OPENCV, Configuration
from siam_tracker_ros.benchmark.contention import cpu_clock
from siam_tracker_ros.benchmark.job import Job, JobResult, carry_out
from siam_tracker_ros.benchmark.machine import this_machine
from siam_tracker_ros.benchmark.measurement import NotMeasured, Run, Settings
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.zoo import ZOO


def distinct_entries() -> list[ZooEntry]:
    """The zoo without the entries that differ from an earlier one in tracking constants only."""
    by_network: dict[object, ZooEntry] = {}
    for entry in ZOO.values():
        by_network.setdefault(entry.model, entry)
    return list(by_network.values())


def make_jobs(configurations: Sequence[Configuration], turns: bool, how: Job) -> list[Job]:
    """A job like `how` for each configuration; with `turns`, for each model, frame and number of targets.

    OpenCV's trackers belong to no model, so that with them all models take turns.
    """
    if not turns:
        return [replace(how, configurations=[each]) for each in configurations]
    with_opencv = any(each.engine == OPENCV for each in configurations)
    together: dict[tuple[str, str, int], list[Configuration]] = {}
    for each in configurations:
        model = "" if with_opencv else each.model
        together.setdefault((model, each.size, each.targets), []).append(each)
    return [replace(how, configurations=group) for group in together.values()]


def carry_out_all(
    jobs: Sequence[Job],
    device: str,
    turns: bool,
    cache: Path | None = None,
    done: Callable[[Job], object] = lambda _: None,
) -> Run:
    """Measure `jobs`; `done` is told of each. Ctrl-C ends it early, with what has been measured so far.

    What engines make of networks is kept in the folder `cache`, else until the end.
    """
    machine, begun = this_machine(), cpu_clock()
    results: list[JobResult] = []
    with tempfile.TemporaryDirectory(prefix="siam_tracker_bench_") as until_the_end:
        cache = cache or Path(until_the_end)
        made: dict[tuple[str, ...], str] = {}
        try:
            for job in jobs:
                results.append(_measured(job, cache, made))
                done(job)
        except KeyboardInterrupt:
            if not results:
                raise
    measurements = tuple(one for result in results for one in result.measurements)
    by_network = {entry.name: entry for entry in ZOO.values()}
    stands_for = {
        name: others
        for name in dict.fromkeys(each.configuration.model for each in measurements)
        if name in by_network and (others := _same_network(by_network[name]))
    }
    told = next((result for result in results if result.threads), JobResult())
    return Run(
        machine=machine,
        settings=Settings(jobs[0].frames, jobs[0].seconds, told.threads, device, turns),
        measurements=measurements,
        not_measured=tuple(one for result in results for one in result.not_measured),
        stands_for=stands_for,
        energy_note=told.energy_note,
        others_share=round(begun.others_share(cpu_clock()), 3),
        unfinished=len(jobs) - len(results),
    )


def _measured(job: Job, cache: Path, made: dict[tuple[str, ...], str]) -> JobResult:
    """The result of a job.

    Before an engine's first alone, it makes of the network what it keeps, in another process, as that would
    count as the memory of tracking. `made` gives why it cannot, "" where it can.
    """
    first, *more = job.configurations
    if more or not first.ours or first.engine == "torch":
        return carry_out(job, cache)
    named = (first.model, first.engine, first.precision)
    if named not in made:
        making = replace(job, configurations=[replace(first, targets=1)], frames=0)
        made[named] = next((one.reason for one in carry_out(making, cache).not_measured), "")
    if made[named]:
        return JobResult(not_measured=(NotMeasured(first, made[named]),))
    return carry_out(job, cache)


def _same_network(entry: ZooEntry) -> tuple[str, ...]:
    return tuple(other.name for other in ZOO.values() if other.model == entry.model and other is not entry)
