"""What follows from key frames: lines between them, what is hidden, what a tracker filled in, undo, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from siam_tracker_ros.annotation.kept import key_frame_file, load, save
from siam_tracker_ros.annotation.key_frames import AnnotationError, History, KeyFrames, Origin
from siam_tracker_ros.annotation.timeline import COLOURS, HEIGHT, draw_timeline, frame_at
from siam_tracker_ros.footage.sequence_folder import read_boxes
from siam_tracker_ros.tracking.boxes import Box

START, END = Box(10, 20, 30, 40), Box(50, 0, 10, 80)


def moved(x: float) -> Box:
    return Box(x, 0.0, 10.0, 10.0)


def test_between_two_key_frames_the_box_moves_on_a_line() -> None:
    keys = KeyFrames(12).with_key(8, END).with_key(4, START)
    assert keys.box(4) == START
    assert keys.box(5) == Box(20, 15, 25, 50)
    assert keys.box(6) == Box(30, 10, 20, 60)
    assert keys.origins()[3:10] == [
        Origin.UNLABELLED,
        Origin.KEY,
        *[Origin.INTERPOLATED] * 3,
        Origin.KEY,
        Origin.UNLABELLED,
    ]
    assert [box is None for box in keys.boxes()] == [True] * 4 + [False] * 5 + [True] * 3
    # One more bends the line there and leaves the rest.
    keys = keys.with_key(6, START)
    assert keys.box(5) == START
    assert keys.box(7) == Box(30, 10, 20, 60)
    assert keys.without_key(6).box(6) == Box(30, 10, 20, 60)


def test_a_hidden_stretch_lasts_to_the_next_key_frame() -> None:
    keys = KeyFrames(10).with_key(0, START).with_key(3, None).with_key(7, END)
    # Until it goes out of view the target stands where it was seen last.
    assert keys.boxes()[:3] == [START] * 3
    assert keys.boxes()[3:7] == [None] * 4
    assert keys.origins()[3:7] == [Origin.HIDDEN] * 4
    assert keys.box(7) == END
    assert keys.without_key(7).boxes()[3:] == [None] * 7


def test_what_a_tracker_found_ends_on_the_next_key_frame() -> None:
    run = [moved(x) for x in (1, 4, 9, 16)]
    keys = KeyFrames(10).with_key(2, moved(0)).with_run(2, run)
    assert [keys.box(frame) for frame in range(2, 7)] == [moved(0), *run]
    assert keys.origins()[3:8] == [Origin.TRACKED] * 4 + [Origin.UNLABELLED]
    # It was 8 px off in the end: a quarter of that with each frame.
    keys = keys.with_key(6, moved(24))
    assert [keys.box(frame) for frame in range(3, 7)] == [moved(x) for x in (3, 8, 15, 24)]
    # Where the tracker gave up, a line goes on.
    keys = keys.without_key(6).with_key(8, moved(26))
    assert [keys.box(frame) for frame in range(3, 9)] == [*run, moved(21), moved(26)]
    assert keys.origins()[6:8] == [Origin.TRACKED, Origin.INTERPOLATED]


def test_a_key_frame_replaces_what_a_tracker_found_from_there_on() -> None:
    keys = KeyFrames(10).with_key(0, moved(0)).with_run(0, [moved(x) for x in range(1, 9)])
    keys = keys.with_key(4, moved(8))
    assert [keys.box(frame) for frame in range(5)] == [moved(x) for x in (0, 2, 4, 6, 8)]
    assert keys.boxes()[5:] == [None] * 5
    hidden = keys.with_key(2, None)
    assert hidden.boxes()[1:5] == [moved(1), None, None, moved(8)]
    # Drawn anew, the frame that the tracker started from starts nothing.
    assert keys.with_key(0, moved(4)).box(2) == moved(6)
    assert keys.without_key(0).box(2) is None
    # A run ends at the key frame after it.
    again = keys.with_run(0, [moved(x) for x in range(20, 29)])
    assert len(again.runs[0]) == 4


def test_undo_goes_back_change_by_change() -> None:
    empty = KeyFrames(5)
    first, second = empty.with_key(1, START), empty.with_key(1, START).with_key(3, END)
    history = History(empty)
    assert not history.undo()
    assert history.change(first)
    assert not history.change(first)
    assert history.change(second)
    assert history.undo()
    assert history.now == first
    assert history.redo()
    assert history.now == second
    assert not history.redo()
    assert history.undo()
    assert history.undo()
    assert history.now == empty
    assert history.change(first.with_key(2, None))
    assert not history.redo()


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    truth = tmp_path / "new" / "groundtruth.txt"
    keys = KeyFrames(9).with_key(1, START).with_run(1, [START, END]).with_key(5, END).with_key(7, None)
    save(truth, keys)
    assert load(truth, 9) == keys
    read = np.array(read_boxes(truth))
    assert len(read) == 9
    assert np.isnan(read[[0, 7, 8]]).all()
    assert read[1:7].tolist() == [list(keys.box(frame) or ()) for frame in range(1, 7)]
    assert sorted(path.name for path in truth.parent.iterdir()) == [
        "groundtruth.keyframes.json",
        "groundtruth.txt",
    ]


def test_what_would_be_lost_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    assert load(truth, 4) == KeyFrames(4)
    truth.write_text("1,2,3,4\n")
    with pytest.raises(AnnotationError, match="not drawn here"):
        load(truth, 4)
    save(truth, KeyFrames(5).with_key(4, START))
    with pytest.raises(AnnotationError, match="of footage with 5 frames, and this has 4"):
        load(truth, 4)
    for text in ("", "[]", "{}", '{"frames": 4, "tracked": {}, "key_frames": {"1": [1, 2]}}'):
        key_frame_file(truth).write_text(text)
        with pytest.raises(AnnotationError, match="cannot read key frames"):
            load(truth, 4)
    with pytest.raises(AnnotationError, match="no frame 4"):
        KeyFrames(4).with_key(4, START)
    with pytest.raises(AnnotationError, match="no area"):
        KeyFrames(4).with_key(1, Box(0, 0, 0, 5))
    with pytest.raises(AnnotationError, match="no key frame with a box"):
        KeyFrames(4).with_key(1, None).with_run(1, [START])


def test_the_timeline_shows_every_frame_and_gives_it_back() -> None:
    keys = KeyFrames(40).with_key(10, START).with_key(20, END).with_key(30, None)
    strip = draw_timeline(420, keys.origins(), keys.keys, 35)
    assert strip.shape == (HEIGHT, 420, 3)
    row = strip[HEIGHT // 2]
    # 10 px a frame between margins of 10.
    for frame, origin in ((5, Origin.UNLABELLED), (15, Origin.INTERPOLATED), (32, Origin.HIDDEN)):
        assert tuple(row[15 + 10 * frame]) == COLOURS[origin]
        assert frame_at(15 + 10 * frame, 420, 40) == frame
    assert tuple(row[15 + 10 * 35]) == (255, 255, 255)
    assert (frame_at(-5, 420, 40), frame_at(999, 420, 40)) == (0, 39)
