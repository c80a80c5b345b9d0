"""Losses against values worked out by hand, and the correlation's gradients against torch's own."""

from __future__ import annotations

import math

import pytest
import torch

from siam_tracker_ros.training.losses import (
    classification_loss,
    mask_loss,
    regression_loss,
    with_hard_negatives,
)


def cls_maps(background, target):
    """Maps of two anchors on one cell: [1, 4, 1, 1], background channels first."""
    return torch.tensor([*background, *target]).reshape(1, 4, 1, 1)


def test_classification_weighs_both_kinds_alike():
    cls = cls_maps(background=(0.0, math.log(3.0)), target=(math.log(3.0), 0.0))
    labels = torch.tensor([1, 0]).reshape(1, 2, 1, 1)
    assert float(classification_loss(cls, labels)) == pytest.approx(-math.log(0.75))
    wrong = 1 - labels
    assert float(classification_loss(cls, wrong)) == pytest.approx(-math.log(0.25))
    only_positive = torch.tensor([1, -1]).reshape(1, 2, 1, 1)
    assert float(classification_loss(cls, only_positive)) == pytest.approx(-0.5 * math.log(0.75))
    nothing = torch.full((1, 2, 1, 1), -1)
    assert float(classification_loss(cls, nothing)) == 0


def test_regression_sums_offsets_and_averages_positives_then_samples():
    loc = torch.zeros(2, 8, 1, 1)
    wanted = torch.zeros(2, 4, 2, 1, 1)
    wanted[0, :, 0] = torch.tensor([1.0, -2.0, 3.0, 0.5]).reshape(4, 1, 1)
    wanted[0, 0, 1] = 2.5
    wanted[1, 0, 0] = 100.0
    labels = torch.tensor([[1, 1], [0, -1]]).reshape(2, 2, 1, 1)
    assert float(regression_loss(loc, wanted, labels)) == pytest.approx((6.5 + 2.5) / 2)
    assert float(regression_loss(loc, wanted, torch.zeros_like(labels))) == 0


def test_hard_negatives_are_the_most_target_like_of_the_possible():
    cls = torch.zeros(1, 10, 1, 1)
    cls[0, 5:, 0, 0] = torch.tensor([3.0, 9.0, 1.0, 2.0, 5.0])
    labels = torch.tensor([-1, 1, -1, -1, -1]).reshape(1, 5, 1, 1)
    possible = torch.tensor([True, False, True, True, False]).reshape(1, 5, 1, 1)
    found = with_hard_negatives(labels, possible, cls, 2)
    assert found.flatten().tolist() == [0, 1, -1, 0, -1]
    assert with_hard_negatives(labels, possible & False, cls, 2).flatten().tolist() == [-1, 1, -1, -1, -1]
    assert labels.flatten().tolist() == [-1, 1, -1, -1, -1]


def test_mask_loss_is_the_soft_margin():
    wanted = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    right = torch.tensor([[[2.0, -2.0]]])
    assert float(mask_loss(right, wanted)) == pytest.approx(math.log1p(math.exp(-2)))
    assert float(mask_loss(-right, wanted)) == pytest.approx(math.log1p(math.exp(2)))
