"""Results as rows: CSV, and JSON lines with the same names."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TextIO

from siam_tracker_ros.footage.whole_file import Unfinished, told_of
from siam_tracker_ros.tracking.result import TrackResult

Row = dict[str, int | float | str | None]

# Frame number from 0, its time in s, target; box (top-left corner and size) and rotated box (centre, size;
# theta in rad, clockwise as seen) in px; velocity of the box centre in px/s; how long tracking this frame,
# all targets together, took, in ms.
COLUMNS = (
    "frame",
    "time",
    "id",
    "x",
    "y",
    "w",
    "h",
    "score",
    "confidence",
    "state",
    "rotated_center_x",
    "rotated_center_y",
    "rotated_w",
    "rotated_h",
    "rotated_theta",
    "velocity_x",
    "velocity_y",
    "track_ms",
)


def result_row(frame: int, time: float, target_id: str, result: TrackResult, track_ms: float) -> Row:
    """One target in one frame, by COLUMNS; a rotated box that there is not is None."""
    rotated = result.rotated_box if result.rotated_box is not None else (None,) * 5
    values = (
        frame,
        round(time, 6),
        target_id,
        *(round(value, 3) for value in result.box),
        round(result.score, 6),
        round(result.confidence, 6),
        result.state.name,
        *(None if value is None else round(value, 4) for value in rotated),
        *(round(value, 3) for value in result.velocity),
        round(track_ms, 3),
    )
    return dict(zip(COLUMNS, values, strict=True))


class TableWriter:
    """Writes rows to `path` as they come: CSV with a header line, or JSON lines. Errors are OutputError."""

    def __init__(self, path: Path, json_lines: bool) -> None:
        self.output = Unfinished(path)
        self._json_lines = json_lines
        self._file: TextIO | None = None

    def write(self, row: Row) -> None:
        """Add a row, with the keys of COLUMNS."""
        with told_of(self.output.path):
            if self._file is None:
                self._file = self.output.begin().open("w", encoding="utf-8", newline="")
                if not self._json_lines:
                    csv.writer(self._file, lineterminator="\n").writerow(COLUMNS)
            if self._json_lines:
                self._file.write(json.dumps(row) + "\n")
            else:
                csv.DictWriter(self._file, COLUMNS, lineterminator="\n").writerow(row)

    def close(self) -> None:
        """Write what is left; `output` is then whole."""
        if self._file is not None:
            with told_of(self.output.path):
                self._file.close()
