"""The buffer finds images by stamp and stays within its bounds."""

from __future__ import annotations

import random

import pytest

from siam_tracker_ros.nodes.frame_buffer import FrameBuffer, StampedImage


def image(stamp_ms: int, size: int = 10) -> StampedImage:
    return StampedImage(stamp_ms * 1_000_000, 0, f"image {stamp_ms}", size)


def filled(*stamps_ms: int, seconds: float = 1.0, max_bytes: int = 1000) -> FrameBuffer:
    buffer = FrameBuffer(seconds, max_bytes)
    for stamp in stamps_ms:
        buffer.append(image(stamp))
    return buffer


def test_found_by_exact_stamp_only() -> None:
    buffer = filled(0, 33, 66)
    assert buffer.at(33_000_000) == image(33)
    assert buffer.at(33_000_001) is None
    assert buffer.at(-1) is None
    assert buffer.at(67_000_000) is None
    assert FrameBuffer(1, 100).at(0) is None


def test_images_after_a_stamp() -> None:
    buffer = filled(0, 33, 66)
    assert buffer.since(0) == [image(33), image(66)]
    assert buffer.since(10_000_000) == [image(33), image(66)]
    assert buffer.since(66_000_000) == []


def test_older_than_its_seconds_is_let_go() -> None:
    buffer = filled(0, 500, 1000, 1001)
    assert buffer.at(0) is None
    assert len(buffer) == 3
    assert buffer.span_s == pytest.approx(0.501)


def test_more_than_its_bytes_is_let_go_oldest_first() -> None:
    buffer = filled(0, 1, 2, 3, max_bytes=25)
    assert buffer.since(-1) == [image(2), image(3)]
    assert buffer.total_bytes == 20


def test_image_above_the_bytes_is_not_held() -> None:
    buffer = filled(0, 1)
    buffer.append(image(2, size=1001))
    assert len(buffer) == 0
    assert buffer.total_bytes == 0
    buffer.append(image(1))
    assert len(buffer) == 1


def test_no_seconds_hold_the_newest_stamp_only() -> None:
    assert filled(0, 1, 2, seconds=0.0).since(-1) == [image(2)]


def test_resize_and_clear() -> None:
    buffer = filled(0, 500, 900)
    buffer.resize(0.5, 1000)
    assert buffer.since(-1) == [image(500), image(900)]
    buffer.clear()
    assert (len(buffer), buffer.total_bytes, buffer.span_s) == (0, 0, 0.0)
    buffer.append(image(5))
    assert len(buffer) == 1


def test_images_come_in_order() -> None:
    buffer = filled(10)
    buffer.append(image(10))
    with pytest.raises(ValueError, match="before the newest"):
        buffer.append(image(9))


def test_bounds_hold_whatever_comes() -> None:
    rng = random.Random(1)
    buffer, stamp = FrameBuffer(0.4, 300), 0
    for _ in range(2000):
        stamp += rng.choice((0, 1, 30, 500))
        buffer.append(image(stamp, rng.randrange(1, 200)))
        held = buffer.since(-1)
        assert buffer.total_bytes == sum(one.size for one in held) <= 300
        assert buffer.span_s <= 0.4
