"""`siam-tracker model`: what it reports is what the papers say, or follows from the geometry by hand."""

from __future__ import annotations

import pytest

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.complexity import complexity
from siam_tracker_ros.models.receptive_field import level_sights
from siam_tracker_ros.models.zoo import ZOO


def sights(name: str):
    entry = ZOO[name]
    return level_sights(entry.model, entry.tracking.exemplar_size, entry.tracking.instance_size)


# As SiamDW reports them: depth, receptive field, side of the exemplar's features.
@pytest.mark.parametrize(
    ("name", "layers", "receptive_field", "cells"),
    [("siamfc_alexnet", 5, 87, 6), ("siamfc_cir_resnet22", 22, 93, 5)],
)
def test_siamdw_finds_the_same(name: str, layers: int, receptive_field: int, cells: int) -> None:
    (sight,) = sights(name)
    assert (sight.layers, sight.receptive_field, sight.exemplar_cells) == (layers, receptive_field, cells)
    assert sight.stride == 8
    # Cropping inside the units leaves nothing that padding has touched; AlexNet pads nothing.
    assert sight.exemplar_padded == sight.search_padded == 0


def test_padding_reaches_as_far_as_by_hand() -> None:
    """ResNet-50, layer 2: a padded pooling and three padded units of stride 4, three more of stride 8.

    Four cells of stride 4 are two of stride 8: with three more, a ring five cells wide. The neck keeps the
    middle 7 x 7 of the exemplar's 15 x 15 cells, of which 5 x 5 lie inside the ring.
    """
    first, *deeper = sights("siamrpn_r50_l234_dwxcorr")
    assert first.search_cells == 31
    assert first.search_padded == 31**2 - (31 - 2 * 5) ** 2
    assert first.exemplar_cells == 7
    assert first.exemplar_padded == 7**2 - 5**2
    for sight in deeper:
        assert sight.search_padded == sight.search_cells**2


def test_operations_are_those_of_the_layers_by_hand() -> None:
    # AlexNet with two groups in three of its layers: cells a side, outputs, inputs per group, kernel.
    layers = [(59, 96, 3, 11), (25, 256, 48, 5), (10, 384, 256, 3), (8, 384, 192, 3), (6, 256, 192, 3)]
    cost = complexity(ZOO["siamfc_alexnet"])
    assert cost.exemplar_macs == sum(n * n * out * inputs * k * k for n, out, inputs, k in layers)
    layers = [(123, 96, 3, 11), (57, 256, 48, 5), (26, 384, 256, 3), (24, 384, 192, 3), (22, 256, 192, 3)]
    one_scale = sum(n * n * out * inputs * k * k for n, out, inputs, k in layers) + 17 * 17 * 256 * 6 * 6
    assert cost.frame_macs == 3 * one_scale
    weights = sum(out * inputs * k * k + out for _, out, inputs, k in layers)
    norms = sum(2 * out for _, out, _, _ in layers[:-1])
    assert cost.parameters == weights + norms
    assert cost.response_cells == 17


def test_a_report_is_printed_for_each_model(capsys: pytest.CaptureFixture) -> None:
    assert main(["model", "siamfc_cir_next22", "siammask_mobilev2_w10"]) == 0
    maps, masks = capsys.readouterr().out.split("\n\nsiammask_mobilev2_w10")
    assert "255 px at 3 scales" in maps
    assert "| 95 px" in maps.replace("  ", "")
    assert "a mask" in masks
    assert "parameters       6.24 M" in masks


def test_an_unknown_model_is_said_in_one_line(capsys: pytest.CaptureFixture) -> None:
    assert main(["model", "siamfc"]) == 1
    assert "no model called 'siamfc'" in capsys.readouterr().err
