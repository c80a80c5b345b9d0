"""Images with their tracks, in order; alone where none come."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.nodes.joined_images import JoinedImages
from siam_tracker_ros.nodes.message_filters_fallback import find_message_filters

WAIT_S = 0.5


def stamped(number: int) -> Any:
    """A message of image `number`, 10 ms apart."""
    message = TrackArray()
    message.header.stamp.sec, message.header.stamp.nanosec = 1, number * 10_000_000
    return message


class Screen:
    """What is put out: (10, 10) is image 10 with its tracks, (10, None) without; `now` goes on by hand."""

    def __init__(self, max_images: int = 10, filters: ModuleType | None = None) -> None:
        self.shown: list[tuple[int, int | None]] = []
        self.joined = JoinedImages(filters or find_message_filters(), self._show, WAIT_S, max_images)
        self.now = 0.0

    def _show(self, image: Any, tracks: Any) -> None:
        number = image.header.stamp.nanosec // 10_000_000
        self.shown.append((number, tracks and tracks.header.stamp.nanosec // 10_000_000))

    def image(self, *numbers: int) -> list[tuple[int, int | None]]:
        for number in numbers:
            self.joined.add_image(stamped(number), self.now)
        return self.shown

    def tracks(self, *numbers: int) -> list[tuple[int, int | None]]:
        for number in numbers:
            self.joined.add_tracks(stamped(number))
        return self.shown

    def after(self, seconds: float) -> list[tuple[int, int | None]]:
        self.now += seconds
        self.joined.let_go(self.now)
        return self.shown


def test_image_waits_for_its_own_tracks() -> None:
    screen = Screen()
    assert screen.image(10) == []
    assert screen.tracks(9, 11) == []
    assert screen.tracks(10) == [(10, 10)]
    assert screen.image(11)[1:] == [(11, 11)]


def test_images_that_were_passed_over_are_left_out() -> None:
    screen = Screen()
    screen.image(10, 11, 12, 13)
    assert screen.tracks(12) == [(12, 12)]
    assert screen.after(2 * WAIT_S)[1:] == [(13, None)]


def test_image_without_tracks_is_put_out_alone_after_a_while() -> None:
    screen = Screen()
    screen.image(10)
    assert screen.after(0.9 * WAIT_S) == []
    assert screen.after(0.2 * WAIT_S) == [(10, None)]
    assert screen.after(10 * WAIT_S)[1:] == []


def test_while_no_tracks_come_no_image_waits() -> None:
    screen = Screen()
    screen.image(10, 11)
    screen.after(2 * WAIT_S)
    assert screen.image(12, 13) == [(10, None), (11, None), (12, None), (13, None)]
    screen.tracks(13)
    assert screen.image(14)[4:] == []
    assert screen.tracks(14)[4:] == [(14, 14)]


def test_tracks_that_come_too_late_change_nothing_but_are_noticed() -> None:
    screen = Screen()
    for number in range(10, 18):
        screen.image(number)
        screen.after(2 * WAIT_S)
        assert screen.joined.tracks_come_late == (number >= 15)
        screen.tracks(number)
    assert screen.shown == [(number, None) for number in range(10, 18)]
    screen.image(20)
    screen.tracks(20)
    assert not screen.joined.tracks_come_late


def test_no_more_images_wait_than_allowed() -> None:
    screen = Screen(max_images=3)
    screen.image(10, 11, 12)
    assert screen.image(13) == [(10, None)]


def test_last_word_on_an_image_that_was_shown_is_not_late() -> None:
    screen = Screen()
    screen.image(10)
    assert screen.tracks(*[10] * 8) == [(10, 10)]
    assert not screen.joined.tracks_come_late


def test_images_that_start_over_are_joined_at_once() -> None:
    """Stamps of before are later: they must not crowd out those that come now."""
    screen = Screen(max_images=3)
    for number in range(50, 60):
        screen.image(number)
        screen.tracks(number, number + 40)
    screen.shown.clear()
    for number in range(1, 6):
        screen.image(number)
        screen.tracks(number)
    assert screen.shown == [(number, number) for number in range(1, 6)]


def test_images_without_stamps_are_shown_with_the_latest_tracks() -> None:
    screen = Screen()
    for _ in range(3):
        screen.image(0)
        screen.tracks(0)
    assert screen.shown == [(0, 0)] * 3


def test_other_bounds_let_everything_go() -> None:
    screen = Screen()
    screen.image(10, 11)
    screen.joined.set_bounds(2 * WAIT_S, 10)
    assert screen.shown == [(10, None), (11, None)]
    screen.image(12)
    assert screen.after(1.5 * WAIT_S)[2:] == []
    assert screen.after(WAIT_S)[2:] == [(12, None)]


def test_nothing_of_before_is_shown_once_it_is_forgotten() -> None:
    screen = Screen()
    screen.image(10)
    screen.joined.forget()
    screen.tracks(10)
    assert screen.after(2 * WAIT_S) == []
