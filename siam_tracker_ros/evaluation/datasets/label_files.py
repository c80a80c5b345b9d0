"""The text files that lie beside the images of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation.regions import Region, RegionError, is_visible, parse_region
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.footage import sequence_folder
from siam_tracker_ros.footage.image_folder import in_natural_order
from siam_tracker_ros.footage.sequence_folder import SequenceFolderError
from siam_tracker_ros.tracking.boxes import Box


def images_in(folder: Path) -> list[Path]:
    """JPEG and PNG files of a folder in natural order."""
    return in_natural_order(
        path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )


def lines_of(path: Path) -> list[str]:
    """Lines of a text file that are not blank. Raises EvaluationError."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}") from error


def read_regions(path: Path) -> list[Region | None]:
    """One region a line, boxes without area as None. Raises EvaluationError naming the line."""
    regions: list[Region | None] = []
    for number, line in enumerate(lines_of(path), start=1):
        try:
            region = parse_region(line)
        except RegionError as error:
            raise EvaluationError(f"{path}:{number}: {error}") from None
        regions.append(None if isinstance(region, Box) and not is_visible(region) else region)
    return regions


def read_flags(path: Path, frames: int) -> NDArray[np.bool_]:
    """As `footage.sequence_folder` reads them, 0 for frames beyond the last. Raises EvaluationError."""
    try:
        given = sequence_folder.read_flags(path)
    except SequenceFolderError as error:
        raise EvaluationError(str(error)) from error
    if len(given) > frames:
        raise EvaluationError(f"{path}: {len(given)} flags for {frames} frames")
    flags = np.zeros(frames, dtype=np.bool_)
    flags[: len(given)] = given
    return flags
