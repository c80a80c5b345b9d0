"""Configurations that are measured together in a process of their own, and that process.

A process of its own makes memory meaningful, and lets the others be measured where one ends the process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from siam_tracker_ros.benchmark.configuration import Configuration
from siam_tracker_ros.benchmark.measurement import (
    Measurement,
    NotMeasured,
    measurement_of,
    not_measured_of,
)

_END_S = 10.0


@dataclass(frozen=True)
class Job:
    """Several configurations take turns, frame by frame; one alone has its memory and energy measured too.

    At most `frames` each, for at most `seconds` in all; without frames they are only made ready. `threads` 0
    leaves them to each library. With `roofline` the device's ceiling is measured after them,
    and the file `trace` gets what PyTorch's profiler sees of one frame of the first.
    """

    configurations: Sequence[Configuration]
    frames: int
    seconds: float
    threads: int = 0
    pysot: str = ""
    roofline: bool = False
    trace: str = ""

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


def job_from_json(text: str) -> Job:
    """What `Job.to_json` gave."""
    content = json.loads(text)
    content["configurations"] = [Configuration(**each) for each in content["configurations"]]
    return Job(**content)


@dataclass(frozen=True)
class JobResult:
    """What came of a job. `threads` are PyTorch's in that process, `device` what was chosen, in words."""

    measurements: tuple[Measurement, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()
    threads: int = 0
    device: str = ""
    energy_note: str = ""

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


def result_from_json(text: str) -> JobResult:
    """What `JobResult.to_json` gave."""
    content = json.loads(text)
    content["measurements"] = tuple(measurement_of(each) for each in content["measurements"])
    content["not_measured"] = tuple(not_measured_of(each) for each in content["not_measured"])
    return JobResult(**content)


def carry_out(job: Job, cache: Path) -> JobResult:
    """Measure a job in a process of its own. One that ends early leaves every configuration not measured.

    What engines make of networks goes to `cache`: it would push that of real weights out of the user's cache.
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    if job.threads:
        # OpenMP reads it once, before anything can be told to it.
        environment["OMP_NUM_THREADS"] = str(job.threads)
    with tempfile.TemporaryDirectory(prefix="siam_tracker_bench_") as folder:
        asked, answered = Path(folder) / "job.json", Path(folder) / "result.json"
        asked.write_text(job.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "siam_tracker_ros.benchmark.worker", str(asked), str(answered)]
        # What libraries print stays out of the table.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            _, said = process.communicate()
        finally:
            _end(process)
        if answered.is_file():
            return result_from_json(answered.read_text(encoding="utf-8"))
    reason = _how_it_ended(process.returncode, said)
    return JobResult(not_measured=tuple(NotMeasured(each, reason) for each in job.configurations))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _how_it_ended(status: int, said: str) -> str:
    if status < 0:
        told = f"its process was ended by {signal.Signals(-status).name}"
        return f"{told} (out of memory?)" if status == -signal.SIGKILL else told
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return f"its process ended with status {status}: {last[0].strip()}"
