"""The process that measures one job: `python -m siam_tracker_ros.benchmark.worker JOB RESULT`, JSON files."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from siam_tracker_ros.benchmark.configuration import PYSOT
from siam_tracker_ros.benchmark.contestants import (
    Contestant,
    checkout,
    make_contestant,
    random_network,
)
from siam_tracker_ros.benchmark.energy import find_meters, per_frame
from siam_tracker_ros.benchmark.job import Job, JobResult, job_from_json
from siam_tracker_ros.benchmark.measurement import Measurement, Memory, NotMeasured, Roof
from siam_tracker_ros.benchmark.roofline import Ceiling, measure_ceiling, under_roof, work_of
from siam_tracker_ros.benchmark.timing import time_in_turns, warm_up
from siam_tracker_ros.benchmark.trace import write_trace
from siam_tracker_ros.engines.device import resolve_device
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation.trackers import use_threads
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.process_memory import peak_mib, resident_mib

# What PyTorch multiplies matrices in, to measure the ceiling by.
_FLOATING = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def measure(job: Job) -> JobResult:
    """Measure `job` here and now; what cannot be measured is told of in the result."""
    if job.threads:
        use_threads(job.threads)
    device, note = resolve_device(job.configurations[0].device)
    resident_before = resident_mib()
    contestants, left_out = _ready(job)
    if not job.frames:
        return JobResult(not_measured=tuple(left_out))
    stages: list[list[dict[str, float]]] = [[] for _ in contestants]
    alone = len(job.configurations) == 1
    meters, energy_note = (
        find_meters(str(device)) if alone else ([], "energy is not told where several take turns")
    )
    calls = [contestant.call for contestant in contestants]
    warm_up(calls, job.frames)
    for meter in meters:
        meter.start()
    timings = time_in_turns(
        calls, job.frames, job.seconds, lambda i: stages[i].append(dict(contestants[i].stages()))
    )
    joules = {meter.name: meter.stop() for meter in meters}
    measured = []
    for contestant, timing, told in zip(contestants, timings, stages, strict=True):
        measured.append(
            Measurement(
                contestant.configuration,
                timing.frames,
                timing.median_ms,
                timing.p99_ms,
                contestant.engine,
                contestant.precision,
                contestant.masks,
                _medians(told),
                _memory(resident_before, device) if alone else None,
                per_frame(joules, timing.frames),
            )
        )
    if job.roofline:
        measured = [replace(each, roof=_roof(each, device)) for each in measured]
    if job.trace and contestants:
        write_trace(contestants[0].call, Path(job.trace))
    return JobResult(tuple(measured), tuple(left_out), torch.get_num_threads(), note, energy_note)


def _ready(job: Job) -> tuple[list[Contestant], list[NotMeasured]]:
    """The contestants that have tracked in one frame, and why others have not."""
    networks: dict[str, SiameseNetwork] = {}
    contestants, left_out = [], []
    pysot = checkout(job.pysot) if any(each.engine == PYSOT for each in job.configurations) else None
    for configuration in job.configurations:
        try:
            network = None
            if configuration.engine != "opencv":
                network = networks.get(configuration.model) or random_network(configuration.model)
                networks[configuration.model] = network
            contestant = make_contestant(configuration, network, pysot)
            contestant.call()
        # Whatever stops one of them, the others are measured, and the table says why.
        except Exception as error:
            left_out.append(NotMeasured(configuration, _reason(error)))
        else:
            contestants.append(contestant)
    del networks
    gc.collect()
    return contestants, left_out


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SiamTrackerError):
        return text
    return f"{type(error).__name__}: {text[:200]}"


def _medians(told: Sequence[dict[str, float]]) -> dict[str, float]:
    names = told[0] if told else {}
    return {name: float(np.median([one[name] for one in told])) for name in names}


def _memory(before_mib: float, device: torch.device) -> Memory:
    gpu = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return Memory(resident_mib() - before_mib, peak_mib(), gpu)


@cache
def _ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    return measure_ceiling(device, dtype)


def _roof(measurement: Measurement, device: torch.device) -> Roof | None:
    configuration = measurement.configuration
    dtype = _FLOATING.get(measurement.precision)
    if not configuration.ours or dtype is None:
        return None
    work = work_of(get_entry(configuration.model), dtype, configuration.targets, measurement.masks)
    share = under_roof(work, _ceiling(device, dtype), measurement.median_ms)
    return Roof(share.least_ms, share.share, share.bound)


def main() -> int:
    """Read the job, write its result."""
    asked, answered = map(Path, sys.argv[1:])
    result = measure(job_from_json(asked.read_text(encoding="utf-8")))
    answered.write_text(result.to_json(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
