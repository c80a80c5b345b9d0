"""What is drawn into a frame, and where."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from siam_tracker_ros.footage.annotate import STATE_COLOURS, draw_results
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import RotatedBox, TargetMask, TrackResult, TrackState


def result(
    box: Box, state: TrackState = TrackState.TRACKING, confidence: float = 0.9, **more: object
) -> TrackResult:
    return TrackResult(box, 0.9, confidence, state, (0.0, 0.0), **more)


def grey(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def has_colour(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour, dtype=np.uint8)).all(axis=2).any())


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


SIZES = [(320, 240), (240, 426), (1280, 720), (3840, 2160)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("where", [(0.4, 0.4), (0.0, 0.0), (0.85, 0.0), (0.0, 0.8), (0.85, 0.8)])
def test_the_target_itself_stays_free(size, where):
    """Without a mask nothing lies over the inside of the box, wherever in the frame it is."""
    width, height = size
    image = grey(width, height)
    box = Box(round(where[0] * width), round(where[1] * height), round(0.15 * width), round(0.2 * height))
    drawn = draw_results(image, {"1": result(box)}, "frame 12  30.0 FPS")
    inside = np.s_[box.y : box.y + box.h, box.x : box.x + box.w]
    assert not changed(image, drawn)[inside].any()
    assert changed(image, drawn).any()
    assert drawn.shape == image.shape


def test_does_not_touch_the_image_it_was_given():
    image = grey(320, 240)
    draw_results(image, {"1": result(Box(100, 100, 50, 50))}, "frame 0")
    assert (image == 128).all()


@pytest.mark.parametrize("state", list(TrackState))
def test_every_state_has_its_own_colour(state):
    drawn = draw_results(grey(320, 240), {"1": result(Box(100, 100, 60, 60), state)})
    shown = {other for other in TrackState if has_colour(drawn, STATE_COLOURS[other])}
    assert shown == {state}


def test_state_colours_differ_in_lightness_or_hue_without_red_or_green():
    """Seen by someone who cannot tell red from green, no two states look the same."""
    seen = {}
    for state, (blue, green, red) in STATE_COLOURS.items():
        # Deuteranopia, after Vienot et al. 1999: red and green fall together.
        mixed = 0.29 * red + 0.71 * green
        seen[state] = np.array([blue, mixed])
    states = list(TrackState)
    for index, one in enumerate(states):
        for other in states[index + 1 :]:
            assert np.linalg.norm(seen[one] - seen[other]) > 30, (one, other)


@pytest.mark.parametrize("state", [TrackState.COASTING, TrackState.LOST])
def test_a_guessed_box_is_dashed_and_has_no_mask(state):
    box = Box(100, 80, 100, 100)
    mask = TargetMask(100, 80, np.ones((100, 100), dtype=bool), 320, 240)
    image = grey(320, 240)
    seen = changed(image, draw_results(image, {"1": result(box, mask=mask)}))
    guessed = changed(image, draw_results(image, {"1": result(box, state, mask=mask)}))
    assert seen[90:170, 110:190].all()
    assert not guessed[90:170, 110:190].any()
    left_side = np.s_[80:180, 97:99]
    assert seen[left_side].all()
    assert 0.3 < guessed[left_side].any(axis=1).mean() < 0.8


def test_mask_is_tinted_where_it_is_and_nowhere_else():
    crop = np.zeros((40, 40), dtype=bool)
    crop[10:30, 10:30] = True
    image = grey(320, 240)
    mask = TargetMask(100, 100, crop, 320, 240)
    tinted = changed(image, draw_results(image, {"1": result(Box(100, 100, 40, 40), mask=mask)}))
    assert tinted[112:128, 112:128].all()
    assert not tinted[102:108, 102:138].any()


def test_rotated_box_is_drawn_at_its_angle():
    image = grey(320, 240)
    rotated = RotatedBox(160.0, 120.0, 100.0, 20.0, np.pi / 4)
    box = Box(118, 78, 84, 84)
    drawn = changed(image, draw_results(image, {"1": result(box, rotated_box=rotated)}))
    # Clockwise as seen: its far end lies right of the centre and below it.
    assert drawn[150:160, 190:202].any()
    assert not drawn[90:100, 190:198].any()


def test_bar_grows_with_confidence():
    image = grey(640, 480)
    colour = np.array(STATE_COLOURS[TrackState.TRACKING])

    def coloured(confidence: float) -> int:
        drawn = draw_results(image, {"1": result(Box(300, 200, 60, 60), confidence=confidence)})
        return int((drawn == colour).all(axis=2).sum())

    assert coloured(0.0) < coloured(0.5) < coloured(1.0)


def test_plates_of_several_targets_do_not_cover_each_other_or_the_targets():
    image = grey(640, 480)
    boxes = [Box(100 + 130 * i, 200, 80, 60) for i in range(4)]
    together = draw_results(image, {str(i): result(box) for i, box in enumerate(boxes)})
    for box in boxes:
        x, y, w, h = map(int, box)
        assert not changed(image, together)[y : y + h, x : x + w].any()


@pytest.mark.parametrize("size", [(1, 1), (16, 9), (33, 47), (64, 4000)])
@pytest.mark.parametrize("box", [Box(2, 2, 4, 4), Box(-1e9, -1e9, 2e9, 2e9), Box(5000, 5000, 3, 3)])
def test_any_frame_and_any_box_can_be_drawn(size, box):
    image = grey(*size)
    rotated = RotatedBox(box.x, box.y, box.w, box.h, 0.3)
    empty = TargetMask(0, 0, np.zeros((0, 0), dtype=bool), *size)
    for state in TrackState:
        drawn = draw_results(
            image, {"1": result(box, state, rotated_box=rotated, mask=empty)}, "frame 1234567  30.0 FPS"
        )
        assert drawn.shape == image.shape


def test_text_keeps_its_share_of_the_frame():
    """The heading takes the same part of the frame at 4K as at 480 lines, and stays readable at 240."""

    def plate_height(width: int, height: int) -> int:
        image = grey(width, height)
        return int(changed(image, draw_results(image, {}, "frame 1")).any(axis=1).sum())

    assert plate_height(3840, 2160) / 2160 == pytest.approx(plate_height(640, 480) / 480, rel=0.2)
    assert plate_height(320, 240) >= 12


def test_lines_survive_video_compression_colours():
    """Coloured lines are wide enough for colour at half resolution, which is what video keeps."""
    image = grey(480, 360)
    drawn = draw_results(image, {"1": result(Box(200, 150, 80, 80), TrackState.LOST)})
    small = cv2.resize(drawn, (240, 180), interpolation=cv2.INTER_AREA)
    chroma = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)[..., 1].astype(int)
    assert (chroma[72:118, 97:143] - 128).max() > 40


def test_trail_leads_up_to_the_box_and_not_into_it():
    image = grey(320, 240)
    where = {"1": result(Box(200, 100, 40, 40))}
    way = [(20.0 + 10 * step, 120.0) for step in range(21)]
    drawn = draw_results(image, where, trails={"1": way, "gone": [(10.0, 10.0), (10.0, 230.0)]})
    plain = draw_results(image, where)
    trail = changed(plain, drawn)
    assert trail[120, 20:190].all()
    assert not trail[100:140, 200:240].any()
    # Thinner at its old end, and nothing of targets that are not there.
    assert trail[:, 25].sum() < trail[:, 170].sum()
    assert not trail[:100].any()
    assert has_colour(drawn[118:123, 100:150], STATE_COLOURS[TrackState.TRACKING])


@pytest.mark.parametrize(
    "way", [[], [(5.0, 5.0)], [(110.0, 110.0), (112.0, 112.0)], [(1e30, -1e30), (9.0, 9.0)]]
)
def test_trails_of_any_length_and_place(way):
    image = grey(320, 240)
    drawn = draw_results(image, {"1": result(Box(100, 100, 30, 30))}, trails={"1": way})
    assert drawn.shape == image.shape
