"""The text files that lie beside the images of a benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.evaluation.regions import Region, RegionError, is_visible, parse_region
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.footage.image_folder import natural_order
from siam_tracker_ros.tracking.boxes import Box


def images_in(folder: Path) -> list[Path]:
    """JPEG and PNG files of a folder in natural order."""
    paths = [path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    return sorted(paths, key=lambda path: natural_order(path.name))


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
    """0 or 1 for each frame, separated by commas, blanks or lines; 0 for frames beyond the last.

    No file is no flag. Raises EvaluationError for anything else.
    """
    flags = np.zeros(frames, dtype=np.bool_)
    words = re.findall(r"[^,\s]+", "\n".join(lines_of(path))) if path.is_file() else []
    if not set(words) <= {"0", "1"} or len(words) > frames:
        raise EvaluationError(f"{path}: expected 0 or 1 for each of {frames} frames")
    flags[: len(words)] = [word == "1" for word in words]
    return flags
