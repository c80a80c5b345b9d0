"""Everything that a run writes, published together once it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from siam_tracker_ros.footage.frames import Frame, Image
from siam_tracker_ros.footage.mask_folder import MaskFolder
from siam_tracker_ros.footage.tables import TableWriter, result_row
from siam_tracker_ros.footage.video_writer import VideoWriter, check_video_name
from siam_tracker_ros.footage.whole_file import OutputError, check_output_file, check_output_folder
from siam_tracker_ros.tracking.result import TrackResult


@dataclass(frozen=True)
class OutputPaths:
    """Where annotated video, CSV, JSON lines and the folder of masks go; None for what is not wanted."""

    video: Path | None = None
    csv: Path | None = None
    jsonl: Path | None = None
    masks: Path | None = None

    def all(self) -> list[Path]:
        return [path for path in (self.video, self.csv, self.jsonl, self.masks) if path is not None]


def check_outputs(paths: OutputPaths, source: str) -> None:
    """Raise OutputError for what can be known to fail before the run: names, folders, permissions."""
    if paths.video is not None:
        check_video_name(paths.video)
    for path in paths.all():
        if path == paths.masks:
            check_output_folder(path)
        else:
            check_output_file(path)
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise OutputError(f"{path} is the source itself: give another name")
    resolved = [path.resolve() for path in paths.all()]
    if len(set(resolved)) < len(resolved):
        raise OutputError("two outputs have the same name: " + ", ".join(map(str, paths.all())))


class Outputs:
    """Context of a run's writers: left without an error, all files get their names; else none is left behind.

    Nothing is made before the first frame is written. Errors are OutputError.
    """

    def __init__(self, paths: OutputPaths, rate: float, several_targets: bool) -> None:
        self._video = VideoWriter(paths.video, rate) if paths.video is not None else None
        self._tables = [
            TableWriter(path, json_lines)
            for path, json_lines in ((paths.csv, False), (paths.jsonl, True))
            if path is not None
        ]
        self._masks = MaskFolder(paths.masks, several_targets) if paths.masks is not None else None
        self._writers = [w for w in (self._video, *self._tables, self._masks) if w is not None]
        self._started_at: float | None = None
        self.published: list[Path] = []

    def write(
        self, frame: Frame, results: Mapping[str, TrackResult], annotated: Image, track_ms: float
    ) -> None:
        """Add one frame: its results by target id, and the image with them drawn in."""
        if self._started_at is None:
            self._started_at = frame.time
        if self._video is not None:
            self._video.write(annotated, frame.time - self._started_at)
        for target_id, result in results.items():
            for table in self._tables:
                table.write(result_row(frame.number, frame.time, target_id, result, track_ms))
            if self._masks is not None and result.mask is not None:
                self._masks.write(frame.number, target_id, result.mask)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for writer in self._writers:
                    writer.close()
                self.published = [w.output.path for w in self._writers if w.output.publish()]
            else:
                self._abandon()
        finally:
            # What was published is out of its reach.
            for writer in self._writers:
                writer.output.discard()

    def _abandon(self) -> None:
        for writer in self._writers:
            try:
                writer.close()
            except OutputError:
                # Why the run failed is being told already.
                continue
