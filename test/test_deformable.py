"""Deformable operators against their definition, written out sample by sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from siam_tracker_ros.models import deformable
from siam_tracker_ros.models.deformable import (
    DeformConv2d,
    DeformRoIPool,
    deform_conv2d,
    deform_roi_pool,
    plain_deform_conv2d,
)


def value_at(image: np.ndarray, y: float, x: float) -> float:
    """Bilinear value of [H, W] at row y and column x, zeros beyond it."""
    total = 0.0
    y0, x0 = math.floor(y), math.floor(x)
    for row, weight_y in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
        for col, weight_x in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
            if 0 <= row < image.shape[0] and 0 <= col < image.shape[1]:
                total += weight_y * weight_x * image[row, col]
    return total


@pytest.mark.parametrize(("padding", "kernel"), [(1, (3, 3)), (0, (3, 3)), (2, (5, 3)), (0, (1, 1))])
def test_deformable_convolution_is_the_sum_it_is_defined_as(padding: int, kernel: tuple[int, int]) -> None:
    torch.manual_seed(0)
    rows, cols = kernel
    x, weight = torch.randn(2, 3, 7, 6), torch.randn(4, 3, rows, cols)
    height, width = 7 + 2 * padding - rows + 1, 6 + 2 * padding - cols + 1
    offset = 2.5 * torch.randn(2, 2 * rows * cols, height, width)
    ours = plain_deform_conv2d(x, offset, weight, padding)
    assert ours.shape == (2, 4, height, width)
    for n in range(2):
        for i in range(height):
            for j in range(width):
                expected = np.zeros(4)
                for tap in range(rows * cols):
                    y = i - padding + tap // cols + float(offset[n, 2 * tap, i, j])
                    x_ = j - padding + tap % cols + float(offset[n, 2 * tap + 1, i, j])
                    taken = np.array([value_at(channel.numpy(), y, x_) for channel in x[n]])
                    expected += weight[:, :, tap // cols, tap % cols].numpy() @ taken
                np.testing.assert_allclose(ours[n, :, i, j].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_without_offsets_it_is_a_convolution() -> None:
    torch.manual_seed(0)
    module, x = DeformConv2d(8), torch.randn(2, 8, 9, 11)
    with torch.no_grad():
        plain = torch.nn.functional.conv2d(x, module.weight, padding=1)
        torch.testing.assert_close(module(x), plain, rtol=1e-4, atol=1e-5)


def test_deformable_convolution_has_the_gradients_of_its_definition() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    # Bilinear interpolation has kinks at whole cells, so none is near one.
    offset = (torch.rand(1, 18, 4, 5, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *given: plain_deform_conv2d(*given, padding=1), (x, offset, weight)
    )


def test_it_agrees_with_torchvision() -> None:
    theirs = deformable.torchvision_deform_conv2d()
    if theirs is None:
        pytest.skip("NOT TESTED: torchvision is not installed, or not for this PyTorch")
    torch.manual_seed(0)
    x, weight = torch.randn(2, 16, 31, 31), torch.randn(8, 16, 3, 3)
    offset = 3 * torch.randn(2, 18, 31, 31)
    expected = theirs(x, offset, weight, padding=1)
    torch.testing.assert_close(plain_deform_conv2d(x, offset, weight, 1), expected, rtol=1e-4, atol=1e-4)


def test_torchvisions_operator_is_taken_where_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without torchvision here: a stand-in for it is called, with what it needs, in inference only."""
    asked = []

    def operator(x: torch.Tensor, offset: torch.Tensor, weight: torch.Tensor, padding: int) -> torch.Tensor:
        asked.append(padding)
        return plain_deform_conv2d(x, offset, weight, padding)

    monkeypatch.setattr(deformable, "torchvision_deform_conv2d", lambda: operator)
    given = (torch.randn(1, 2, 5, 5), torch.zeros(1, 18, 5, 5), torch.randn(2, 2, 3, 3), 1)
    with torch.inference_mode():
        deform_conv2d(*given)
    assert asked == [1]
    deform_conv2d(*given)
    assert asked == [1]


def pooled_by_hand(image: np.ndarray, region: list[float], scale: float, size: int, offset: np.ndarray):
    """Deformable RoI pooling of [H, W], bin by bin and sample by sample."""
    height, width = image.shape
    x1, y1, x2, y2 = (math.copysign(math.floor(abs(v) + 0.5), v) for v in region)
    start_x, start_y = x1 * scale - 0.5, y1 * scale - 0.5
    wide = max((x2 + 1) * scale - 0.5 - start_x, 0.1)
    high = max((y2 + 1) * scale - 0.5 - start_y, 0.1)
    out = np.zeros((size, size))
    for row in range(size):
        for col in range(size):
            values = []
            for i in range(4):
                for j in range(4):
                    x = start_x + wide * (col / size + 0.1 * offset[0, row, col]) + wide / size / 4 * j
                    y = start_y + high * (row / size + 0.1 * offset[1, row, col]) + high / size / 4 * i
                    if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
                        x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
                        values.append(value_at(image, y, x))
            out[row, col] = np.mean(values) if values else 0
    return out


@pytest.mark.parametrize(
    "region",
    [[20.4, 33.7, 120.2, 90.5], [-30.5, 10.0, 60.0, 200.0], [240.0, 240.0, 400.0, 300.0], [90, 80, 90, 80]],
    ids=str,
)
def test_deformable_pooling_is_the_mean_it_is_defined_as(region: list[float]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 25, 23)
    offset = torch.randn(1, 2, 4, 4)
    ours = deform_roi_pool(x, torch.tensor([[1.0, *region]]), 25 / 255, 4, offset)
    still = deform_roi_pool(x, torch.tensor([[1.0, *region]]), 25 / 255, 4)
    for channel in range(3):
        image = x[1, channel].numpy()
        by_hand = pooled_by_hand(image, region, 25 / 255, 4, offset[0].numpy())
        np.testing.assert_allclose(ours[0, channel].numpy(), by_hand, rtol=0, atol=1e-4)
        by_hand = pooled_by_hand(image, region, 25 / 255, 4, np.zeros((2, 4, 4)))
        np.testing.assert_allclose(still[0, channel].numpy(), by_hand, rtol=0, atol=1e-4)


def test_pooling_begins_undeformed_and_passes_gradients() -> None:
    torch.manual_seed(0)
    pool, x = DeformRoIPool(4, 3, 8), torch.randn(1, 4, 20, 20, requires_grad=True)
    regions = torch.tensor([[0.0, 10.0, 12.0, 100.0, 80.0]])
    pooled = pool(x, regions, 0.1)
    torch.testing.assert_close(pooled, deform_roi_pool(x, regions, 0.1, 3))
    pooled.square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert pool.offset_fc[-1].bias.grad.abs().sum() > 0
