"""What a tracker found in a sequence, and the text files in which such results are kept.

Our own are a folder for each tracker and experiment, in the form of the GOT-10k and VOT tool kits:
NAME/NAME_001.txt with one region a line, NAME_time.txt with seconds, NAME_confidence.value with confidences.
Those of other trackers are also found as NAME.txt (OTB, LaSOT, UAV123 and most papers' results).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation.datasets.label_files import lines_of
from siam_tracker_ros.evaluation.regions import MaskRegion, Region, RegionError, format_region, parse_region
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence
from siam_tracker_ros.footage.whole_file import write_whole

STARTED, FAILED, SKIPPED = 1, 2, 0
"""Codes of the VOT tool kit that stand in place of a region."""
_TIMES, _CONFIDENCES, _MASKS = "_time.txt", "_confidence.value", "_mask.txt"


@dataclass(frozen=True, eq=False)
class TrackerRun:
    """One run: for each frame a region, or one of the codes STARTED, FAILED, SKIPPED.

    `confidences` and `seconds` [frames] are NaN where they are not known, `masks` [frames] None.
    """

    regions: tuple[Region | int, ...]
    confidences: NDArray[np.float64]
    seconds: NDArray[np.float64]
    masks: tuple[MaskRegion | None, ...]

    @property
    def boxes_or_none(self) -> list[Region | None]:
        """The regions, None in place of codes."""
        return [None if isinstance(region, int) else region for region in self.regions]

    @property
    def rate(self) -> float:
        """Frames a second of the frames that were timed, the starts left out; NaN without any."""
        timed = [
            s for region, s in zip(self.regions, self.seconds, strict=True) if region != STARTED and s > 0
        ]
        return len(timed) / float(np.sum(timed)) if timed else float("nan")


def run_file(folder: Path, name: str, number: int = 1) -> Path:
    """Where a run of ours is kept, below the folder of its tracker and experiment."""
    return folder / name / f"{name}_{number:03d}.txt"


def write_run(path: Path, run: TrackerRun) -> None:
    """Write a run's files, the one that says that it is there last. Raises OutputError."""
    texts = {
        _beside(path, _TIMES): _column(run.seconds),
        _beside(path, _CONFIDENCES): _column(run.confidences),
        **({_beside(path, _MASKS): _lines(run.masks)} if any(run.masks) else {}),
        path: _lines(run.regions),
    }
    for file, text in texts.items():
        write_whole(file, text)


def read_run(path: Path, frames: int) -> TrackerRun:
    """A run of `frames` frames from its file, with times and confidences where they lie beside it.

    A lone number is a code; boxes are x, y, width, height. Raises EvaluationError where it is not such a file
    or has another number of lines.
    """
    regions: list[Region | int] = []
    for number, line in enumerate(lines_of(path), start=1):
        try:
            region = parse_region(line)
            code = int(float(line)) if region is None and _is_code(line) else SKIPPED
        except (RegionError, ValueError) as error:
            raise EvaluationError(f"{path}:{number}: {error}") from None
        regions.append(code if region is None else region)
    if len(regions) != frames:
        raise EvaluationError(f"{path}: results for {len(regions)} frames, of a sequence of {frames}")
    return TrackerRun(
        tuple(regions),
        _read_column(_beside(path, _CONFIDENCES), frames),
        _read_column(_beside(path, _TIMES), frames),
        _read_masks(_beside(path, _MASKS), frames),
    )


def find_run(folder: Path, name: str) -> Path | None:
    """The file of a sequence's results in a tracker's folder, ours or another's; None if there is none."""
    candidates = (
        run_file(folder, name),
        folder / f"{name}.txt",
        folder / name / f"{name}.txt",
        folder / "baseline" / name / f"{name}_001.txt",
        folder / "longterm" / name / f"{name}_001.txt",
    )
    return next((path for path in candidates if path.is_file()), None)


def read_one_pass(folder: Path, sequence: EvaluationSequence) -> TrackerRun:
    """A sequence's run in a tracker's folder. Raises EvaluationError where it is not there."""
    found = find_run(folder, sequence.name)
    if found is None:
        raise EvaluationError(f"{folder} has no results for {sequence.name} ({sequence.name}.txt)")
    return read_run(found, len(sequence.images))


def _is_code(line: str) -> bool:
    return line.strip().removesuffix(".0000").isdigit()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.stem}{ending}")


def _lines(regions: Sequence[Region | int | None]) -> str:
    return "".join(f"{one if isinstance(one, int) else format_region(one)}\n" for one in regions)


def _read_masks(path: Path, frames: int) -> tuple[MaskRegion | None, ...]:
    if not path.is_file():
        return (None,) * frames
    masks = [parse_region(line) for line in lines_of(path)]
    if len(masks) != frames or any(not isinstance(one, MaskRegion | None) for one in masks):
        raise EvaluationError(f"{path}: expected a mask for each of {frames} frames")
    return tuple(one if isinstance(one, MaskRegion) else None for one in masks)


def _column(values: Sequence[float] | NDArray[np.float64]) -> str:
    return "".join("nan\n" if np.isnan(value) else f"{value:.6f}\n" for value in values)


def _read_column(path: Path, frames: int) -> NDArray[np.float64]:
    """A number a line, NaN for what is missing; GOT-10k's times come a line, or a row of several runs."""
    values = np.full(frames, np.nan)
    if not path.is_file():
        # The tool kits name times and confidences after the sequence, without the number of the run.
        path = path.with_name(path.name.replace("_001_", "_"))
    if not path.is_file():
        return values
    for index, line in enumerate(lines_of(path)[:frames]):
        try:
            values[index] = float(line.split(",")[0])
        except ValueError:
            raise EvaluationError(f"{path}:{index + 1}: expected a number, found '{line}'") from None
    return values
