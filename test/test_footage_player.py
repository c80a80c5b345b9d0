"""Playing footage: when each frame comes, what holds it, and what happens at an end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from siam_tracker_ros.footage.frames import Footage, Frame, SourceError
from siam_tracker_ros.footage.player import Player, PlaySettings

DEADLINE_S = 60.0
FAST = PlaySettings(rate=math.inf)


def footage(count: int, rate: float = 10.0, live: bool = False, breaks: str = "") -> Footage:
    def frames():
        for number in range(count):
            yield Frame(number, np.full((2, 2, 3), number, np.uint8), 5.0 + number / rate)
        if breaks:
            raise SourceError(breaks)

    return Footage("footage", frames(), rate, None if live else count, live)


def player(*opened: Footage | SourceError, settings: PlaySettings = FAST, **more) -> tuple[Player, list[str]]:
    """A player of these, one after the other each time that it opens its footage, and what it tells."""
    waiting, told = list(opened), []

    def open_footage(stopped: Callable[[], bool]) -> Footage:
        one = waiting.pop(0)
        if isinstance(one, SourceError):
            raise one
        return one

    return Player(open_footage, settings, told.append, **more), told


def test_plays_to_the_end_in_order_from_time_zero() -> None:
    frames = list(player(footage(4))[0].play())
    assert [frame.number for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 2, 3]


def test_time_goes_on_where_the_footage_starts_over() -> None:
    settings = PlaySettings(rate=math.inf, loop=True)
    playing = player(footage(3), footage(3), settings=settings)[0].play()
    frames = [next(playing) for _ in range(6)]
    assert [frame.number for frame in frames] == [0, 1, 2, 0, 1, 2]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_footage_without_a_frame_is_not_started_over() -> None:
    assert list(player(footage(0), settings=PlaySettings(loop=True))[0].play()) == []


@pytest.mark.parametrize(("rate", "step_s"), [(0.0, 0.1), (50.0, 0.02)])
def test_no_frame_comes_before_its_time(rate: float, step_s: float) -> None:
    came = []
    for _ in player(footage(5), settings=PlaySettings(rate=rate))[0].play():
        came.append(time.monotonic())
    # A late one may be followed closely, but never is the whole faster than its rate.
    assert came[-1] - came[0] >= 4 * step_s * 0.99


def in_thread(playing: Player) -> tuple[list[int], threading.Thread]:
    """Numbers of the frames that a thread has taken until now, and that thread."""
    numbers: list[int] = []

    def play() -> None:
        for frame in playing.play():
            numbers.append(frame.number)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    return numbers, thread


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_held_stepped_and_let_go() -> None:
    playing, _ = player(footage(6), paused=True)
    numbers, thread = in_thread(playing)
    for count in (1, 2, 3):
        playing.step()
        wait_for(lambda count=count: len(numbers) == count)
        assert playing.paused
    playing.pause(False)
    thread.join(DEADLINE_S)
    assert numbers == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "settings", [PlaySettings(rate=0.001), PlaySettings(rate=math.inf)], ids=["waiting", "paused"]
)
def test_stop_ends_every_wait(settings: PlaySettings) -> None:
    playing, _ = player(footage(3), settings=settings, paused=math.isinf(settings.rate))
    _, thread = in_thread(playing)
    playing.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_wait_until_is_told_or_times_out() -> None:
    playing, _ = player(footage(1))
    assert not playing.wait_until(lambda: False, 0.01)
    came = threading.Event()
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(playing.wait_until(came.is_set)), daemon=True)
    thread.start()
    came.set()
    playing.notify()
    thread.join(DEADLINE_S)
    assert waited == [True]


RETURNING = PlaySettings(rate=math.inf, reconnect_s=0.001)


def test_a_camera_that_was_unplugged_is_taken_up_again() -> None:
    camera = [
        SourceError("camera 0 does not open"),
        footage(2, live=True, breaks="camera 0 gave no more frames"),
        SourceError("camera 0 does not open"),
        SourceError("camera 0 does not open"),
        footage(2, live=True),
    ]
    playing, told = player(*camera, settings=RETURNING, returns=True)
    frames = playing.play()
    taken = [next(frames) for _ in range(4)]
    assert [frame.number for frame in taken] == [0, 1, 0, 1]
    assert all(before.time < after.time for before, after in pairwise(taken))
    assert told == [
        "camera 0 does not open; trying again every 0.001 s",
        "footage is there",
        "camera 0 gave no more frames; trying again every 0.001 s",
        "footage is there",
    ]


def test_a_camera_that_is_not_to_be_taken_up_again_is_reported() -> None:
    playing, _ = player(footage(2, live=True, breaks="camera 0 gave no more"), returns=True)
    frames = playing.play()
    assert [next(frames).number for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match="gave no more"):
        next(frames)


def test_a_file_that_breaks_off_is_reported_after_what_came_before() -> None:
    settings = PlaySettings(rate=math.inf, loop=True, reconnect_s=0.001)
    playing, _ = player(footage(2, breaks="video.mp4 broke off"), settings=settings)
    frames = playing.play()
    assert [next(frames).number for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match="broke off"):
        next(frames)
