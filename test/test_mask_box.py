"""Boxes fitted to masks drawn by hand, by each of the three strategies."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.mask_box import best_rectangle, box_of_mask
from siam_tracker_ros.tracking.result import RotatedBox, TargetMask

FALLBACK = CenterBox(1.0, 2.0, 3.0, 4.0)


def mask_of(pixels: np.ndarray, x: int = 0, y: int = 0) -> TargetMask:
    return TargetMask(x, y, pixels.astype(bool), 640, 480)


def turned_rectangle(theta: float, width: float = 90, height: float = 40) -> np.ndarray:
    """A filled rectangle, centred at (100, 80), turned by `theta` rad."""
    pixels = np.zeros((160, 200), np.uint8)
    corners = RotatedBox(100, 80, width, height, theta).corners()
    cv2.fillPoly(pixels, [np.round(corners * 16).astype(np.int32)], 1, shift=4)
    return pixels


def as_drawn(box: RotatedBox) -> tuple[float, float, float]:
    """Longer side, shorter side, and the angle of the longer one in [0, pi)."""
    theta = box.theta if box.width >= box.height else box.theta + math.pi / 2
    return max(box.width, box.height), min(box.width, box.height), theta % math.pi


@pytest.mark.parametrize("fit", ["min_max", "min_area", "optimised"])
def test_an_upright_rectangle_is_its_own_box(fit: str) -> None:
    pixels = np.zeros((60, 100), np.uint8)
    pixels[10:40, 20:90] = 1
    box = box_of_mask(mask_of(pixels, 300, 200), fit, FALLBACK)
    # Columns 320 to 389 and rows 210 to 239.
    assert (box.center_x, box.center_y) == pytest.approx((354.5, 224.5), abs=0.6)
    assert as_drawn(box)[:2] == pytest.approx((70, 30), abs=1.1)
    assert math.sin(2 * box.theta) == pytest.approx(0, abs=0.06)


def test_the_axis_aligned_box_holds_the_whole_mask() -> None:
    pixels = turned_rectangle(0.6)
    rows, cols = np.nonzero(pixels)
    box = box_of_mask(mask_of(pixels), "min_max", FALLBACK)
    assert box.theta == 0
    assert box.width == cols.max() - cols.min() + 1
    assert box.center_x == (cols.max() + cols.min()) / 2
    assert box.height == rows.max() - rows.min() + 1
    assert box.center_y == (rows.max() + rows.min()) / 2


@pytest.mark.parametrize("fit", ["min_area", "optimised"])
@pytest.mark.parametrize("theta", [0.2, 0.6, 1.2, 2.0, 2.9])
def test_rotated_boxes_turn_with_the_target(fit: str, theta: float) -> None:
    box = box_of_mask(mask_of(turned_rectangle(theta)), fit, FALLBACK)
    assert (box.center_x, box.center_y) == pytest.approx((100, 80), abs=1.5)
    longer, shorter, angle = as_drawn(box)
    assert (longer, shorter) == pytest.approx((90, 40), abs=3.5)
    assert math.cos(angle - theta) ** 2 > 0.996


def test_the_optimised_box_leaves_out_what_would_take_background_in() -> None:
    """A disc with a long thin arm: the others enclose the arm, this one cuts it off."""
    pixels = np.zeros((120, 300), np.uint8)
    cv2.circle(pixels, (60, 60), 40, 1, cv2.FILLED)
    cv2.rectangle(pixels, (100, 58), (290, 62), 1, cv2.FILLED)
    enclosing = box_of_mask(mask_of(pixels), "min_max", FALLBACK)
    assert enclosing.width > 260
    for fit in ("min_area",):
        assert max(box_of_mask(mask_of(pixels), fit, FALLBACK)[2:4]) > 230
    box = box_of_mask(mask_of(pixels), "optimised", FALLBACK)
    assert (box.center_x, box.center_y) == pytest.approx((60, 60), abs=6)
    assert max(box.width, box.height) < 110


def cost(pixels: np.ndarray, box: RotatedBox, outside: float) -> float:
    inside = np.zeros_like(pixels)
    cv2.fillPoly(inside, [np.round(box.corners() * 16).astype(np.int32)], 1, shift=4)
    left_out = np.count_nonzero((pixels == 1) & (inside == 0))
    return outside * left_out + np.count_nonzero((pixels == 0) & (inside == 1))


def test_no_rectangle_nearby_is_better_than_the_optimised_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        pixels = np.zeros((140, 180), np.uint8)
        hull = cv2.convexHull(rng.uniform((25, 25), (155, 115), (5, 2)).astype(np.float32))
        cv2.fillPoly(pixels, [hull.astype(np.int32)], 1)
        box = box_of_mask(mask_of(pixels), "optimised", FALLBACK)
        best = cost(pixels, box, 2.0)
        for _ in range(200):
            step = rng.normal(size=5) * (3, 3, 5, 5, 0.1)
            other = RotatedBox(*(value + change for value, change in zip(box, step, strict=True)))
            if min(other.width, other.height) > 1:
                assert cost(pixels, other, 2.0) > 0.9 * best
        assert best < cost(pixels, box_of_mask(mask_of(pixels), "min_max", FALLBACK), 2.0)


def test_the_best_rectangle_of_gains_is_that_of_all() -> None:
    gain = np.random.default_rng(1).normal(size=(7, 6)).astype(np.float32)
    every = {
        (top, bottom, left, right): float(gain[top:bottom, left:right].sum())
        for top in range(7)
        for bottom in range(top + 1, 8)
        for left in range(6)
        for right in range(left + 1, 7)
    }
    best = max(every, key=every.get)
    total, *found = best_rectangle(gain)
    assert tuple(found) == best
    assert total == pytest.approx(every[best], rel=1e-5)


@pytest.mark.parametrize("fit", ["min_max", "min_area", "optimised"])
def test_specks_and_nothing_give_the_fallback(fit: str) -> None:
    speck = np.zeros((50, 50), np.uint8)
    speck[20:29, 20:29] = 1
    for pixels in (speck, np.zeros((50, 50)), np.zeros((0, 0))):
        assert box_of_mask(mask_of(pixels), fit, FALLBACK) == RotatedBox(1.0, 2.0, 3.0, 4.0, 0.0)


def test_of_several_parts_the_largest_counts() -> None:
    pixels = np.zeros((100, 200), np.uint8)
    pixels[10:30, 10:40] = 1
    pixels[50:90, 100:160] = 1
    for fit in ("min_max", "min_area", "optimised"):
        box = box_of_mask(mask_of(pixels), fit, FALLBACK)
        assert (box.center_x, box.center_y) == pytest.approx((129.5, 69.5), abs=1.1)
