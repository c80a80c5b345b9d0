"""A box drawn with the mouse, and the lines below a picture."""

from __future__ import annotations

import numpy as np
import pytest

from siam_tracker_ros.footage.box_drag import BoxDrag, DrawnBox, draw_box_in_hand
from siam_tracker_ros.footage.caption import with_caption

WIDTH, HEIGHT = 100, 80


def drawn(*way: tuple[int, int]) -> DrawnBox | None:
    drag = BoxDrag()
    drag.press(*way[0])
    for place in way[1:]:
        drag.move(*place)
    return drag.release(WIDTH, HEIGHT)


@pytest.mark.parametrize("way", [[(10, 20), (50, 50), (29, 59)], [(29, 59), (10, 20)], [(29, 20), (10, 59)]])
def test_a_box_has_both_corners_inside_whichever_came_first(way: list[tuple[int, int]]) -> None:
    box = drawn(*way)
    assert box == DrawnBox(10, 20, 29, 59)
    assert box.center == (19.5, 39.5)
    assert box.size == (20, 40)


def test_a_box_ends_at_the_borders() -> None:
    assert drawn((90, 70), (500, -9)) == DrawnBox(90, 0, 99, 70)
    # All of the image has its centre at ((W - 1) / 2, (H - 1) / 2).
    everything = drawn((-5, -5), (200, 200))
    assert everything is not None
    assert (everything.center, everything.size) == ((49.5, 39.5), (100, 80))


def test_a_button_that_was_not_pressed_draws_nothing() -> None:
    drag = BoxDrag()
    drag.move(5, 5)
    assert drag.box(WIDTH, HEIGHT) is None
    assert drag.release(WIDTH, HEIGHT) is None
    drag.press(3, 3)
    assert drag.active
    drag.cancel()
    assert not drag.active
    assert drag.release(WIDTH, HEIGHT) is None


def test_the_lines_of_a_box_are_on_its_border_alone() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    shown = draw_box_in_hand(image, DrawnBox(10, 20, 49, 59))
    assert (image == 128).all()
    assert (shown[20, 10:50] == 255).all()
    assert (shown[20:60, 49] == 255).all()
    assert (shown[23:57, 13:47] == 128).all()
    assert (shown[:17] == 128).all()


def test_a_caption_lies_below_the_picture_and_wraps() -> None:
    image = np.full((HEIGHT, 400, 3), 128, np.uint8)
    short = with_caption(image, ["one line"])
    assert (short[:HEIGHT] == image).all()
    assert short.shape[1:] == image.shape[1:]
    assert short[HEIGHT:].max() > 200
    twice = with_caption(image, ["words that go on and on " * 4])
    assert twice.shape[0] > short.shape[0]
    # Nothing is cut off at the right border.
    assert twice[HEIGHT:, -3:].max() < 100
