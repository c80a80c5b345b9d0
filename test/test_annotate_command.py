"""Footage is annotated at a window: by a session that is told of keys and mouse, and on a real display."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_footage_bag_images import CAMERA, jpeg, times, write_bag
from virtual_screen import Screen, virtual_screen

from siam_tracker_ros.annotation.frame_store import FrameStore
from siam_tracker_ros.annotation.key_frames import AnnotationError, Origin
from siam_tracker_ros.annotation.session import Session
from siam_tracker_ros.annotation.timeline import HEIGHT
from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation.trackers import Answer
from siam_tracker_ros.footage.frames import SourceError
from siam_tracker_ros.footage.sequence_folder import read_boxes
from siam_tracker_ros.tracking.boxes import Box

DEADLINE_S = 90
FRAMES = 24
DOWN, MOVE, UP = cv2.EVENT_LBUTTONDOWN, cv2.EVENT_MOUSEMOVE, cv2.EVENT_LBUTTONUP


def picture(number: int) -> np.ndarray:
    image = np.full((480, 640, 3), 8 * number, np.uint8)
    cv2.rectangle(image, (100 + 5 * number, 200), (160 + 5 * number, 240), (40, 120, 250), -1)
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shots"
    path.mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(path / f"{number}.png"), picture(number))
    return path


def store(source: Path | str, told: list[str] | None = None) -> FrameStore:
    return FrameStore(str(source), (told if told is not None else []).append, lambda count: None)


class Follower:
    """Finds the target 5 px on in each frame, and is unsure after `sure` of them."""

    has_masks = False

    def __init__(self, sure: int) -> None:
        self.sure = sure

    def start(self, frame: Any, box: Any) -> None:
        self.box, self.left = Box(*box), self.sure

    def follow(self, frame: Any, masks: bool) -> Answer:
        self.left -= 1
        self.box = self.box._replace(x=self.box.x + 5)
        return Answer(self.box, 0.9 if self.left >= 0 else 0.2)


def session_on(folder: Path, truth: Path, sure: int = 100) -> Session:
    return Session(store(folder), truth, lambda: Follower(sure))


def drag(session: Session, x0: int, y0: int, x1: int, y1: int) -> None:
    session.on_mouse(DOWN, x0, y0)
    session.on_mouse(MOVE, (x0 + x1) // 2, y1)
    session.on_mouse(UP, x1, y1)


def press(session: Session, keys: str) -> None:
    for key in keys:
        session.on_key(key)
        session.go_on()


def track(session: Session) -> None:
    session.on_key("t")
    while session.tracking:
        session.go_on()


def test_boxes_are_drawn_kept_and_taken_up_again(folder: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    session = session_on(folder, truth)
    drag(session, 100, 200, 160, 240)
    press(session, "l")
    assert session.frame == 10
    drag(session, 210, 240, 150, 200)
    press(session, "lh")
    boxes = read_boxes(truth)
    assert len(boxes) == FRAMES
    assert boxes[0] == Box(100, 200, 61, 41)
    assert boxes[4] == Box(120, 200, 61, 41)
    assert boxes[10] == boxes[19] == Box(150, 200, 61, 41)
    assert np.isnan(boxes[20:]).all()
    assert not session.ended
    press(session, "u")
    assert np.isnan(read_boxes(truth)[11:]).all()
    press(session, "r")
    again = session_on(folder, truth)
    assert again.key_frames == session.key_frames
    press(again, "]")
    assert again.frame == 10
    press(again, "x]")
    assert again.frame == 20
    assert again.key_frames.box(10) == Box(100, 200, 61, 41)
    press(again, "q")
    assert again.ended


def test_the_tracker_runs_until_the_next_key_frame_or_until_it_is_unsure(
    folder: Path, tmp_path: Path
) -> None:
    session = session_on(folder, tmp_path / "truth.txt", sure=12)
    press(session, "t")
    assert not session.tracking
    drag(session, 100, 200, 160, 240)
    track(session)
    assert session.frame == 13
    assert session.key_frames.box(12) == Box(160, 200, 61, 41)
    assert session.key_frames.origins()[11:14] == [Origin.TRACKED, Origin.TRACKED, Origin.UNLABELLED]
    # A key frame half way, 6 px below where the tracker was, bends the first half and ends the other.
    press(session, "jj0......")
    drag(session, 130, 206, 190, 246)
    assert session.key_frames.box(3) == Box(115, 203, 61, 41)
    assert session.key_frames.box(7) is None
    press(session, "0")
    track(session)
    assert session.frame == 6
    # One undo takes a whole run back.
    press(session, "l")
    drag(session, 10, 10, 60, 60)
    before = session.key_frames
    track(session)
    press(session, "u")
    assert session.key_frames == before


def test_any_key_stops_the_tracker_and_what_it_found_is_kept(folder: Path, tmp_path: Path) -> None:
    session = session_on(folder, tmp_path / "truth.txt")
    drag(session, 100, 200, 160, 240)
    session.on_key("t")
    for _ in range(4):
        session.go_on()
    session.on_key("l")
    assert not session.tracking
    assert session.frame == 4
    assert session.key_frames.origins()[4:6] == [Origin.TRACKED, Origin.UNLABELLED]


def test_playing_seeking_and_what_is_no_box(folder: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    session = session_on(folder, truth)
    session.on_key(" ")
    for _ in range(FRAMES + 5):
        session.go_on()
    assert (session.frame, session.playing) == (FRAMES - 1, False)
    height = 480 + HEIGHT // 2
    session.on_mouse(DOWN, 320, height)
    assert session.frame == FRAMES // 2
    session.on_mouse(MOVE, 10, height)
    assert session.frame == 0
    session.on_mouse(UP, 10, height)
    session.on_mouse(MOVE, 320, height)
    assert session.frame == 0
    drag(session, 50, 50, 51, 51)
    session.on_mouse(DOWN, 50, 50)
    session.on_key("\x1b")
    session.on_mouse(UP, 150, 150)
    press(session, "kux")
    assert not truth.exists()
    assert not session.ended


def test_small_frames_are_shown_larger_and_boxes_are_in_their_px(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    cv2.imwrite(str(small / "1.png"), np.zeros((120, 160, 3), np.uint8))
    session = session_on(small, tmp_path / "truth.txt")
    assert session.picture().shape[1] == 640
    # Px 40 to 79 of the picture are px 10 to 19 of the frame.
    drag(session, 40, 40, 79, 79)
    assert session.key_frames.box(0) == Box(10, 10, 10, 10)
    assert session.picture()[40, 60].any()


def test_frames_of_a_video_a_folder_and_a_bag(tmp_path: Path, folder: Path) -> None:
    messages = [
        (CAMERA, jpeg(picture(n), time_ns, 60 if n == 3 else None)) for n, time_ns in enumerate(times(6))
    ]
    told: list[str] = []
    frames = store(write_bag(tmp_path / "flight", messages), told)
    assert (frames.count, frames.rate) == (6, 25.0)
    assert frames.read(3) is None
    assert "frame 3" in told[0]
    for number in (5, 0, 4, 1):
        image = frames.read(number)
        assert image is not None
        assert np.abs(image.astype(int) - picture(number)).mean() < 2
    frames.close()
    (folder / "7.png").write_bytes(b"no picture")
    frames = store(folder)
    assert frames.count == FRAMES
    assert frames.read(7) is None
    assert np.array_equal(frames.read(9), picture(9))
    session = Session(frames, tmp_path / "truth.txt", lambda: Follower(9))
    press(session, ".......")
    assert session.picture().shape[1] == 640


@pytest.mark.parametrize("source", ["0", "rtsp://camera/1", "/dev/video0"])
def test_what_has_no_end_is_refused(source: str) -> None:
    with pytest.raises(AnnotationError, match="has no end"):
        store(source)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file or folder"):
        store(tmp_path / "nothing")


def test_without_a_display_one_line_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    assert main(["annotate", str(folder)]) == 1
    assert "there is no display: annotate where there is a screen" in capsys.readouterr().err
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert main(["annotate", str(folder)]) == 1
    assert "headless" in capsys.readouterr().err


def wait_for(ready: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := ready()):
        assert time.monotonic() < end, f"no {what} within {DEADLINE_S} s"
        time.sleep(0.05)
    return found


def frame_shown(screen: Screen, number: int) -> str:
    """Wait until the window says that it shows a frame; the window's number."""
    title = f"frame {number} of {FRAMES}$"
    return str(wait_for(lambda: screen.window(title), f"frame {number} in the window")[0])


def test_a_target_is_annotated_on_a_real_display(folder: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"

    def drag_on(screen: Screen, window: str, *corners: int) -> None:
        x0, y0, x1, y1 = map(str, corners)
        screen.do("mousemove", "--window", window, x0, y0, "mousedown", "1")
        screen.do("mousemove", "--window", window, x1, y1, "mouseup", "1")

    def box(frame: int) -> Box | None:
        boxes = read_boxes(truth) if truth.exists() else []
        return boxes[frame] if boxes and not np.isnan(boxes[frame].x) else None

    with virtual_screen() as screen:
        command = [sys.executable, "-m", "siam_tracker_ros.cli", "annotate", str(folder), "--out", str(truth)]
        process = subprocess.Popen(
            command, env=screen.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            window = frame_shown(screen, 0)
            drag_on(screen, window, 100, 200, 160, 240)
            wait_for(lambda: box(0), "box in frame 0")
            screen.do("key", "l")
            frame_shown(screen, 10)
            drag_on(screen, window, 150, 200, 210, 240)
            wait_for(lambda: box(10), "box in frame 10")
            screen.do("key", "l")
            frame_shown(screen, 20)
            screen.do("key", "h")
            wait_for(lambda: box(19), "box before the target is hidden")
            screen.do("key", "bracketleft")
            frame_shown(screen, 10)
            screen.do("key", "q")
            told, _ = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert f"{truth}: 20 of 24 frames with a box, from 3 key frames" in told
    found = box(5)
    assert found is not None
    assert found == pytest.approx((125, 200, 61, 41), abs=2)
    assert box(20) is None
