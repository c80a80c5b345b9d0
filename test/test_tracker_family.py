"""The one tracker with every kind of network: coarse masks, boxes from masks, attention and regions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from test_networks import seeded
from test_tracker import scene
from test_training_family import SMALL_PARTS, small

from siam_tracker_ros.models.config import LongTermConfig
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.tracking.siam_tracker import SiamTracker


@pytest.fixture(scope="module", params=SMALL_PARTS)
def tracker(request: pytest.FixtureRequest) -> SiamTracker:
    entry = small(request.param)
    return SiamTracker(entry, seeded(entry.model), device="cpu")


def test_a_batch_of_targets_is_each_target_alone(tracker: SiamTracker) -> None:
    frames = [scene(240, 320, seed) for seed in (0, 1)]
    boxes = [(60, 50, 70, 60), (200, 100, 40, 90), (150, 30, 50, 50)]
    together = [tracker.init(frames[0], box) for box in boxes]
    alone = [tracker.init(frames[0], box) for box in boxes]
    for frame in frames:
        results = tracker.track(frame, together, masks=True)
        for target, result in zip(alone, results, strict=True):
            (expected,) = tracker.track(frame, [target], masks=True)
            np.testing.assert_allclose(result.box, expected.box, rtol=1e-3, atol=0.05)
            assert result.score == pytest.approx(expected.score, abs=1e-3)
            differing = result.mask.to_frame() ^ expected.mask.to_frame()
            assert differing.mean() < 0.02


@pytest.mark.parametrize("box", [(-20, -10, 60, 40), (300, 220, 60, 60), (0, 0, 320, 240), (100, 100, 1, 1)])
def test_targets_at_the_border_large_and_tiny_stay_finite_and_inside(
    tracker: SiamTracker, box: tuple[int, ...]
) -> None:
    frame = scene(240, 320)
    target = tracker.init(frame, box)
    for _ in range(2):
        (result,) = tracker.track(frame, [target], masks=True)
        x, y, w, h = result.box
        assert all(map(math.isfinite, result.box))
        assert 0 <= x + w / 2 <= 320
        assert 0 <= y + h / 2 <= 240
        assert result.mask.to_frame().shape == (240, 320)
        assert all(map(math.isfinite, result.rotated_box))


def test_outputs_that_are_not_numbers_leave_the_target_where_it_is(tracker: SiamTracker) -> None:
    broken = seeded(tracker.entry.model)
    for name, parameter in broken.named_parameters():
        if name.startswith("rpn_head"):
            parameter.data.fill_(float("nan"))
    lame = SiamTracker(tracker.entry, broken, device="cpu")
    frame = scene(240, 320)
    target = lame.init(frame, (100, 80, 60, 50))
    before = target.box
    (result,) = lame.track(frame, [target], masks=True)
    assert all(map(math.isfinite, result.box))
    if tracker.entry.tracking.box_source == "regression":
        assert target.box == before
        assert result.confidence == 0


@pytest.mark.parametrize("name", SMALL_PARTS)
def test_a_lost_target_is_searched_for_in_a_larger_region(name: str) -> None:
    entry = small(name)
    wide = LongTermConfig(instance_sizes=(287,))
    entry = replace(entry, tracking=replace(entry.tracking, long_term=wide))
    tracker = SiamTracker(entry, seeded(entry.model), device="cpu")
    frame = scene(240, 320)
    target = tracker.init(frame, (100, 80, 60, 50))
    target.condition = replace(target.condition, lost=True)
    (result,) = tracker.track(frame, [target], masks=True)
    assert all(map(math.isfinite, result.box))
    assert result.mask.to_frame().shape == (240, 320)


def test_every_fit_of_a_box_can_be_asked_for() -> None:
    frame = scene(240, 320)
    turned = {}
    for fit in ("min_max", "min_area", "optimised"):
        entry = small("siammask_r50_base")
        entry = replace(entry, tracking=replace(entry.tracking, box_fit=fit, mask_threshold=0.0))
        tracker = SiamTracker(entry, seeded(entry.model), device="cpu")
        target = tracker.init(frame, (100, 80, 60, 50))
        (result,) = tracker.track(frame, [target], masks=True)
        assert result.mask.to_frame().sum() > 100
        turned[fit] = result.rotated_box
    assert turned["min_max"].theta == 0
    assert turned["optimised"].width * turned["optimised"].height > 100


def test_a_network_with_regions_has_no_mask_branch_beside_them() -> None:
    entry = small("siamattn_r50")
    with pytest.raises(ValueError, match="no mask branch beside"):
        SiameseNetwork(replace(entry.model, mask=small("siammask_r50_base").model.mask))
    bare = replace(small("siammask_r50_base").model.mask, coarse_size=None)
    with pytest.raises(ValueError, match="needs a coarse_size"):
        SiameseNetwork(replace(small("siammask_r50_base").model, mask=bare))
