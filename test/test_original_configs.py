"""Configurations of SiamFC, SiamDW and SiamMask: what they can say is read, what they cannot is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import SmallTargetConfig, ZooEntry
from siam_tracker_ros.models.siamdw_config import SiamDWConfigError, entry_from_siamdw
from siam_tracker_ros.models.siamfc_config import SiamFCConfigError, entry_from_siamfc
from siam_tracker_ros.models.siammask_config import SiamMaskConfigError, entry_from_siammask
from siam_tracker_ros.tracking.anchors import anchor_shapes
from siam_tracker_ros.tracking.peak import peak_grid


def siamfc(**config: Any) -> ZooEntry:
    return entry_from_siamfc("", "AlexNetV1", config)


def siamdw_maps(**config: Any) -> ZooEntry:
    return entry_from_siamdw("", "SiamFCNext22", config)


def siamdw_anchors(**config: Any) -> ZooEntry:
    return entry_from_siamdw("", "SiamRPNRes22", config)


def siammask(**hp: Any) -> ZooEntry:
    return entry_from_siammask("", {"hp": hp}, "sharp")


def siammask_anchors(**anchors: Any) -> ZooEntry:
    return entry_from_siammask("", {"anchors": anchors}, "box")


@pytest.mark.parametrize(
    ("read", "config", "error", "words"),
    [
        (
            siamfc,
            {"scale_steps": 1.05},
            SiamFCConfigError,
            "unknown keys: scale_steps; known are",
        ),
        (siamfc, {"exemplar_sz": 60}, SiamFCConfigError, "60 px .* no response map"),
        (siamdw_maps, {"window_influence": 0.3}, SiamDWConfigError, "unknown keys: window_influence"),
        (siamdw_maps, {"instance_size": 263, "exemplar_size": 127}, SiamDWConfigError, "it is 135"),
        (siamdw_maps, {"num_scale": 5}, SiamDWConfigError, "num_scale 5; .* it is 3"),
        (siamdw_anchors, {"w_influence": 0.3}, SiamDWConfigError, "unknown keys: w_influence"),
        (siamdw_anchors, {"big_sz": 287}, SiamDWConfigError, "big_sz alone"),
        (siamdw_anchors, {"ratios": [0.5, 1, 2]}, SiamDWConfigError, "give 3 anchors"),
        (siamdw_anchors, {"score_size": 19}, SiamDWConfigError, "score_size 19; .* it is 17"),
        (siammask, {"penaltyk": 0.1}, SiamMaskConfigError, "hp has unknown keys: penaltyk"),
        (siammask, {"out_size": 63}, SiamMaskConfigError, "out_size 63; .* it is 127"),
        (siammask, {"score_size": 17}, SiamMaskConfigError, "score_size 17; .* it is 25"),
        (siammask_anchors, {"scale": [8]}, SiamMaskConfigError, "anchors has unknown keys: scale;"),
        (siammask_anchors, {"anchor_density": 2}, SiamMaskConfigError, "anchor_density"),
    ],
)
def test_what_means_nothing_is_named(
    read: Callable[..., ZooEntry], config: dict[str, Any], error: type[SiamTrackerError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(**config)


def test_siamfcs_training_settings_are_no_mistake() -> None:
    assert siamfc(epoch_num=50, r_pos=16) == siamfc()


@pytest.mark.parametrize(
    ("backbone", "exemplar", "response_sz", "cells"),
    # Cells by hand: AlexNet's convolutions and poolings make 5 of 120 px, 6 of 127, 22 of 255, whose
    # difference plus one is the map; with the stride of four they make 17 of 127 and 49 of 255.
    [("AlexNetV1", 120, 18, 18), ("AlexNetV1", 127, 20, 17), ("AlexNetV2", 127, 33, 33)],
)
def test_maps_are_brought_to_the_size_that_siamfcs_configuration_tells(
    backbone: str, exemplar: int, response_sz: int, cells: int
) -> None:
    entry = entry_from_siamfc("", backbone, {"exemplar_sz": exemplar, "response_sz": response_sz})
    pyramid = entry.tracking.pyramid
    assert peak_grid(pyramid, cells, torch.device("cpu")).upsampled == 16 * response_sz
    # A sample of the up-sampled map is a cell's 8 px of the search region over 16, as it says itself.
    assert pyramid.stride / pyramid.response_up == pytest.approx(8 / 16)


def test_siamdws_tuned_sizes_go_by_the_target() -> None:
    tracking = siamdw_anchors(small_sz=255, big_sz=303, penalty_k=0.1).tracking
    assert tracking.instance_size == 255
    assert tracking.small_target == SmallTargetConfig(area_share=0.004, instance_size=303)


def test_siammasks_anchors_are_rounded_where_it_says_so() -> None:
    # sqrt(64 / 0.33) = 13.926: 13 and 13 * 0.33 = 4.29, or 13.9 and 13.9 * 0.33 = 4.587.
    cut, rounded = (anchor_shapes(siammask_anchors(round_dight=n).tracking.anchors)[0] for n in (0, 1))
    np.testing.assert_allclose(cut, (13 * 8, 4 * 8))
    np.testing.assert_allclose(rounded, (13.9 * 8, 4.6 * 8), rtol=1e-6)
