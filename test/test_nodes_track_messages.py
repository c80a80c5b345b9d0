"""Masks and boxes as messages say what the tracker found."""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np
import pytest

pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_msgs.msg import TargetMask as TargetMaskMessage
from siam_tracker_ros.nodes.mask_encoding import mask_message, run_lengths
from siam_tracker_ros.nodes.track_messages import box_message
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.result import TargetMask


def decoded(lengths: list[int]) -> list[bool]:
    return list(chain.from_iterable(repeat(index % 2 == 1, n) for index, n in enumerate(lengths)))


@pytest.mark.parametrize(
    "rows", [[[0]], [[1]], [[0, 1], [1, 0]], [[1, 1], [1, 1]], [[0, 0, 0]], [[1, 0, 1]]], ids=str
)
def test_run_lengths(rows: list[list[int]]) -> None:
    mask = np.array(rows, bool)
    lengths = run_lengths(mask).tolist()
    assert decoded(lengths) == mask.ravel().tolist()
    assert all(length > 0 for length in lengths[1:])


def test_run_lengths_of_any_mask() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        mask = rng.random((rng.integers(1, 9), rng.integers(1, 9))) < rng.random()
        assert decoded(run_lengths(mask).tolist()) == mask.ravel().tolist()


def test_mask_in_every_encoding() -> None:
    mask = TargetMask(5, 7, np.array([[0, 1, 1], [1, 1, 0]], bool), 40, 30)
    grey = mask_message(mask, TargetMaskMessage.MONO8)
    assert list(grey.data) == [0, 255, 255, 255, 255, 0]
    runs = mask_message(mask, TargetMaskMessage.RLE)
    assert np.frombuffer(runs.data, "<u4").tolist() == [1, 4, 1]
    for message in (grey, runs):
        roi = message.roi
        assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (5, 7, 3, 2)
    assert len(mask_message(mask, TargetMaskMessage.NONE).data) == 0


def test_empty_mask_is_a_message_too() -> None:
    mask = TargetMask(5, 7, np.zeros((0, 0), bool), 40, 30)
    assert len(mask_message(mask, TargetMaskMessage.RLE).data) == 0
    assert len(mask_message(mask, TargetMaskMessage.MONO8).data) == 0


def test_box_keeps_the_tracker_s_centre() -> None:
    message = box_message(CenterBox(30.5, 40.25, 8, 6).corner_box())
    assert (message.center_x, message.center_y) == (30.5, 40.25)
    assert (message.size_x, message.size_y, message.theta) == (8, 6, 0)
