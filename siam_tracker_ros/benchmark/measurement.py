"""What was measured, as it is kept in a file, and read from one again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from siam_tracker_ros.benchmark.configuration import Configuration
from siam_tracker_ros.benchmark.machine import Machine
from siam_tracker_ros.errors import SiamTrackerError

FORMAT = 2


class BenchFileError(SiamTrackerError):
    """A file that is no stored run of `bench`."""


@dataclass(frozen=True)
class Memory:
    """Memory of a process of its own, MiB.

    `added` is what tracker and tracking added to the resident memory of a process that had loaded PyTorch and
    OpenCV, `peak` the whole process's highest, `gpu` the most that PyTorch had allocated on the GPU.
    """

    added: float
    peak: float
    gpu: float | None = None


@dataclass(frozen=True)
class Roof:
    """The least time that the device's ceiling leaves the work, ms, its share of the median, the bound."""

    least_ms: float
    share: float
    bound: str


@dataclass(frozen=True)
class Measurement:
    """Times of whole `track()` calls, ms.

    `stages` are medians by stage; `energy` joules a frame by meter; both are empty where nothing tells.
    `memory` is None where several took turns in one process. `engine` and `precision` are those that it
    came to where the configuration left the choice.
    `roof` is None where it was not asked for, or there is none to compare with.
    """

    configuration: Configuration
    frames: int
    median_ms: float
    p99_ms: float
    engine: str
    precision: str
    masks: bool = False
    stages: Mapping[str, float] = field(default_factory=dict)
    memory: Memory | None = None
    energy: Mapping[str, float] = field(default_factory=dict)
    roof: Roof | None = None

    @property
    def fps(self) -> float:
        """Frames a second at the median."""
        return 1000.0 / self.median_ms


@dataclass(frozen=True)
class NotMeasured:
    """A configuration that this machine, or this tracker, cannot do."""

    configuration: Configuration
    reason: str


@dataclass(frozen=True)
class Settings:
    """How it was measured. `turns`: the configurations of a model took turns, frame by frame."""

    frames: int
    seconds: float
    threads: int
    device: str
    turns: bool


@dataclass(frozen=True)
class Run:
    """One call of `bench`.

    `stands_for` gives the zoo entries that have the same network as one measured; `others_share` is the share
    of the processors' time that other processes took meanwhile, `energy_note` what was read, or why nothing.
    `scores` are mean IoU by tracker, where they were given, `unfinished` the jobs that Ctrl-C left undone.
    """

    machine: Machine
    settings: Settings
    measurements: tuple[Measurement, ...]
    not_measured: tuple[NotMeasured, ...] = ()
    stands_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    energy_note: str = ""
    others_share: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    unfinished: int = 0

    def to_json(self) -> str:
        """The run as the text of a file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"


def read_run(path: Path) -> Run:
    """A run that `to_json` wrote. Raises BenchFileError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchFileError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise BenchFileError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BenchFileError(
            f"{path} is no run that `siam-tracker bench --json` of this version stored: it has no "
            f'"format": {FORMAT}'
        )
    try:
        return _run(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BenchFileError(f"{path} is not a whole stored run: {error!r}") from error


def _run(content: dict[str, Any]) -> Run:
    return Run(
        machine=Machine(**content["machine"]),
        settings=Settings(**content["settings"]),
        measurements=tuple(measurement_of(each) for each in content["measurements"]),
        not_measured=tuple(not_measured_of(each) for each in content["not_measured"]),
        stands_for={name: tuple(others) for name, others in content["stands_for"].items()},
        energy_note=content["energy_note"],
        others_share=content["others_share"],
        scores=content["scores"],
        unfinished=content["unfinished"],
    )


def measurement_of(content: Mapping[str, Any]) -> Measurement:
    """A measurement out of plain values."""
    memory, roof = content["memory"], content["roof"]
    plain = {one.name: content[one.name] for one in fields(Measurement)}
    plain["configuration"] = Configuration(**content["configuration"])
    plain["memory"] = Memory(**memory) if memory is not None else None
    plain["roof"] = Roof(**roof) if roof is not None else None
    return Measurement(**plain)


def not_measured_of(content: Mapping[str, Any]) -> NotMeasured:
    """What could not be measured, out of plain values."""
    return NotMeasured(Configuration(**content["configuration"]), content["reason"])
