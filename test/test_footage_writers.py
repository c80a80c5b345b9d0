"""Files that are written: what players make of them, and that there is never half of one."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from siam_tracker_ros.footage.frames import Frame
from siam_tracker_ros.footage.outputs import OutputPaths, Outputs
from siam_tracker_ros.footage.tables import COLUMNS, TableWriter, result_row
from siam_tracker_ros.footage.video_writer import VideoWriter
from siam_tracker_ros.footage.whole_file import OutputError
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import TargetMask, TrackResult, TrackState


def image(width: int = 64, height: int = 48, colour: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def written(path: Path, images: list[np.ndarray], times: list[float], rate: float = 25.0) -> Path:
    writer = VideoWriter(path, rate)
    for picture, time in zip(images, times, strict=True):
        writer.write(picture, time)
    writer.close()
    assert writer.output.publish()
    return path


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (2, 2), (33, 32)])
def test_odd_sizes_gain_a_line(tmp_path, size):
    width, height = size
    frames = decoded(written(tmp_path / "v.mp4", [image(width, height)] * 2, [0.0, 0.04]))
    assert {(f.width, f.height) for f in frames} == {(width + width % 2, height + height % 2)}


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 120)])
def test_colours_come_back(tmp_path, colour):
    """Which they do only if the file says by which standard it holds them."""
    frame = decoded(written(tmp_path / "v.mp4", [image(colour=colour)], [0.0]))[0]
    assert np.abs(frame.to_ndarray(format="bgr24").astype(int) - colour).max() <= 6
    assert frame.colorspace == 1  # BT.709


@pytest.mark.parametrize("rate", [24.0, 25.0, 30000 / 1001, 30.0, 59.94, 12.5])
def test_common_rates_are_kept(tmp_path, rate):
    times = [index / rate for index in range(24)]
    path = written(tmp_path / "v.mp4", [image()] * 24, times, rate)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(rate, rel=1e-3)
        assert float(stream.duration * stream.time_base) == pytest.approx(24 / rate, rel=1e-3)


def test_frames_are_shown_at_their_own_times(tmp_path):
    """A camera whose frames come unevenly plays as it was; times that stand still are told apart."""
    frames = decoded(written(tmp_path / "v.mp4", [image()] * 5, [0.0, 0.1, 0.5, 0.5, 0.6]))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.5, 0.5, 0.6], abs=1e-3)


def test_colon_in_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(decoded(written(Path("take:1.mp4"), [image()] * 2, [0.0, 0.04]).absolute())) == 2


def test_playback_can_start_before_the_file_is_whole(tmp_path):
    data = written(tmp_path / "v.mp4", [image()] * 3, [0.0, 0.04, 0.08]).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_frame_of_another_size_is_refused(tmp_path):
    writer = VideoWriter(tmp_path / "v.mp4", 25.0)
    writer.write(image(), 0.0)
    with pytest.raises(OutputError, match=r"64x48.*32x48"):
        writer.write(image(32), 0.04)


def test_row_has_every_column_in_its_unit():
    result = TrackResult(Box(1.5, 2.5, 3.0, 4.0), 0.75, 0.5, TrackState.COASTING, (7.0, -8.0))
    row = result_row(12, 0.4, "3", result, 20.25)
    assert tuple(row) == COLUMNS
    assert (row["frame"], row["time"], row["id"]) == (12, 0.4, "3")
    assert [row[name] for name in "xywh"] == [1.5, 2.5, 3.0, 4.0]
    assert (row["score"], row["confidence"], row["state"]) == (0.75, 0.5, "COASTING")
    assert (row["velocity_x"], row["velocity_y"], row["track_ms"]) == (7.0, -8.0, 20.25)
    assert row["rotated_theta"] is None


def outputs(folder: Path) -> Outputs:
    paths = OutputPaths(folder / "v.mp4", folder / "t.csv", folder / "t.jsonl", folder / "m")
    return Outputs(paths, 25.0, several_targets=False)


def write_frame(files: Outputs, number: int) -> None:
    mask = TargetMask(3, 4, np.ones((5, 6), dtype=bool), 64, 48)
    result = TrackResult(Box(3, 4, 6, 5), 0.9, 0.9, TrackState.TRACKING, (0.0, 0.0), mask)
    files.write(Frame(number, image(), number / 25), {"1": result}, image(), 5.0)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_has_its_name_until_all_is_whole(tmp_path):
    with outputs(tmp_path / "new" / "out") as files:
        assert names_in(tmp_path) == []
        write_frame(files, 0)
        assert all(name.startswith(".") for name in names_in(tmp_path / "new" / "out"))
    assert names_in(tmp_path / "new" / "out") == ["m", "t.csv", "t.jsonl", "v.mp4"]
    assert [path.name for path in files.published] == ["v.mp4", "t.csv", "t.jsonl", "m"]


def fail_after_a_frame(folder: Path) -> None:
    with outputs(folder) as files:
        write_frame(files, 0)
        raise RuntimeError("out of memory")


def test_failed_run_keeps_the_files_of_the_one_before(tmp_path):
    (tmp_path / "t.csv").write_text("of an earlier run")
    with pytest.raises(RuntimeError, match="out of memory"):
        fail_after_a_frame(tmp_path)
    assert names_in(tmp_path) == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "of an earlier run"


def test_run_without_a_frame_writes_nothing(tmp_path):
    with outputs(tmp_path / "out") as files:
        pass
    assert files.published == []
    assert names_in(tmp_path) == []


def test_table_on_a_full_disk_names_the_file():
    writer = TableWriter(Path("/dev/full"), json_lines=False)
    writer.output.part = Path("/dev/full")
    writer.write(result_row(0, 0.0, "1", TrackResult(Box(0, 0, 1, 1), 1, 1, TrackState.LOST, (0, 0)), 0.0))
    with pytest.raises(OutputError, match="/dev/full: No space left"):
        writer.close()
