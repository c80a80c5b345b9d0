"""Tracking with response maps: where a peak leads, at which scale, and what is made of it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from siam_tracker_ros.models.config import CropRule, PyramidConfig, TrackingConfig
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO, get_entry, with_long_term
from siam_tracker_ros.tracking.boxes import Box, CenterBox
from siam_tracker_ros.tracking.crop import crop_window, frame_tensor, sample_windows
from siam_tracker_ros.tracking.decode import read_selections
from siam_tracker_ros.tracking.peak import peak_grid, select_peak
from siam_tracker_ros.tracking.pyramid import nested_windows, scaled_windows
from siam_tracker_ros.tracking.result import TrackState
from siam_tracker_ros.tracking.siam_tracker import SiamTracker, _plan_searches

MAPS = [name for name, entry in ZOO.items() if entry.tracking.pyramid is not None]
CPU = torch.device("cpu")


def bump(row: float, col: float, height: float = 5.0, side: int = 17) -> np.ndarray:
    """A smooth hill whose top is at a cell, not necessarily a whole one."""
    rows, cols = np.mgrid[:side, :side]
    return (height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 8)).astype(np.float32)


def chosen(maps: list[np.ndarray], config: PyramidConfig, influence: float = 0.0):
    grid = peak_grid(config, len(maps[0]), CPU)
    response = torch.from_numpy(np.stack(maps))[:, None]
    size = torch.tensor([[60.0, 40.0]] * (len(maps) // config.count))
    return read_selections(select_peak(response, grid, size, config, influence))


def test_a_peak_leads_to_its_cell_and_scale() -> None:
    config = PyramidConfig(step=1.1, penalty=0.9)
    low, high = bump(10.0, 5.0, 4.0), bump(10.0, 5.0, 6.0)
    (found,) = chosen([low, low, high], config)
    # The scale above; 3 cells left and 2 down of the middle one are 24 and 16 px, at that scale.
    assert found.anchor == 2
    assert (found.w, found.h) == pytest.approx((66.0, 44.0))
    assert found.dx == pytest.approx(-24 * 1.1, abs=0.3)
    assert found.dy == pytest.approx(16 * 1.1, abs=0.3)
    assert found.score == pytest.approx(1 / (1 + np.exp(-6.0 * 0.9)), abs=1e-3)


def test_a_change_of_scale_has_to_be_worth_it() -> None:
    config = PyramidConfig(step=1.1, penalty=0.9)
    (found,) = chosen([bump(8, 8, 5.0), bump(8, 8, 5.0), bump(8, 8, 5.3)], config)
    assert found.anchor == 1
    assert (found.dx, found.dy) == pytest.approx((0, 0), abs=0.3)


def test_the_middle_and_the_shift_follow_the_conventions() -> None:
    matlab = PyramidConfig(step=1.1, penalty=1.0, centered=False, scaled_shift=False)
    (found,) = chosen([bump(8, 8, 1.0), bump(8, 8, 1.0), bump(8, 11, 6.0)], matlab)
    # Cell 8's middle is sample 135.5 of 272; 136 is taken for the middle, and 3 cells are 24 px at any scale.
    assert found.dx == pytest.approx(24 - 0.25, abs=0.26)
    assert found.dy == pytest.approx(-0.25, abs=0.26)


def test_the_window_prefers_the_middle() -> None:
    two = bump(8, 8, 5.0) + bump(1, 1, 5.2)
    assert chosen([two] * 3, PyramidConfig())[0].dx == pytest.approx(-56, abs=1)
    assert chosen([two] * 3, PyramidConfig(), influence=0.3)[0].dx == pytest.approx(0, abs=2)


def test_a_second_peak_is_seen_as_one() -> None:
    alone, beside = bump(8, 8), bump(8, 8) + bump(1, 14, 4.5)
    assert chosen([alone] * 3, PyramidConfig())[0].runner_up < 0.4
    assert chosen([beside] * 3, PyramidConfig())[0].runner_up == pytest.approx(0.9, abs=0.02)


def test_targets_of_a_batch_do_not_mix() -> None:
    config = PyramidConfig()
    first, second = [bump(4, 9, h) for h in (3, 5, 4)], [bump(12, 3, h) for h in (6, 5, 4)]
    mixed = [m for pair in zip(first, second, strict=True) for m in pair]
    # Sums over a batch may run in another order.
    for found, alone in zip(
        chosen(mixed, config), [*chosen(first, config), *chosen(second, config)], strict=True
    ):
        assert tuple(found) == pytest.approx(tuple(alone), rel=1e-5)


@pytest.mark.parametrize("influence", [0.0, 0.3])
def test_a_response_that_is_no_number_wins_nowhere(influence: float) -> None:
    broken = np.full((17, 17), np.nan, np.float32)
    (found,) = chosen([broken, bump(8, 11), broken], PyramidConfig(), influence)
    assert found.anchor == 1


def test_one_resized_region_holds_every_scale() -> None:
    """Cut from one enlarged window or from the frame, the same things lie at the same places."""
    rng = np.random.default_rng(0)
    frame = cv2.resize(
        rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC
    )
    target, rule = CenterBox(300.0, 200.0, 80.0, 60.0), CropRule(corner_ties="even")
    factors = [1 / 1.1, 1.0, 1.1]
    nested = nested_windows(target, 260.0, factors, 255, rule)
    region = crop_window(frame, nested.outer, nested.side, (0, 0, 0))
    for inner, direct in zip(nested.inner, scaled_windows(target, 260.0, factors, rule), strict=True):
        ours, theirs = (
            cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
            for crop in (
                crop_window(region, inner, 255, (0, 0, 0)),
                crop_window(frame, direct, 255, (0, 0, 0)),
            )
        )
        shift, _ = cv2.phaseCorrelate(ours, theirs)
        assert np.abs(shift).max() < 1.5
    assert nested.inner[0].side == 255
    assert nested.inner[-1] == (0, 0, nested.side)
    # On a device the region is rounded to grey levels before the scales are cut from it.
    sampled = sample_windows(torch.from_numpy(frame), [nested.outer], nested.side, [(0, 0, 0)])
    assert np.abs(sampled[0].round().numpy() - region).max() <= 1


@pytest.mark.parametrize("name", ["siamfc_alexnet", "siamfc_cir_resnet22"])
def test_scales_are_cut_on_a_device_as_by_opencv(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, frame = tracker_of(name), scene()
    (search,) = _plan_searches(tracker.init(frame, (250, 170, 60, 50)), tracker.entry.tracking, None)
    by_opencv = tracker._search_crops(frame, [search, search])
    monkeypatch.setattr(tracker, "_source", frame_tensor)
    on_device = tracker._search_crops(frame, [search, search])
    assert on_device.shape == by_opencv.shape == (6, 3, 255, 255)
    assert (on_device - by_opencv).abs().max() <= 2


def tracker_of(name: str, **tracking) -> SiamTracker:
    torch.manual_seed(0)
    entry = get_entry(name)
    entry = replace(entry, tracking=replace(entry.tracking, **tracking))
    return SiamTracker(entry, SiameseNetwork(entry.model).eval(), device="cpu")


def scene(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (320, 240))


@pytest.mark.parametrize("name", ["siamfc_alexnet", "siamfc_cir_next22"])
def test_several_targets_are_tracked_as_each_alone(name: str) -> None:
    tracker = tracker_of(name)
    first, second = scene(0), scene(1)
    boxes = [(40, 60, 50, 40), (200, 100, 30, 60), (100, 20, 64, 64)]
    alone = [tracker.track(second, [tracker.init(first, box)])[0] for box in boxes]
    together = tracker.track(second, [tracker.init(first, box) for box in boxes])
    for one, other in zip(alone, together, strict=True):
        assert one.box == pytest.approx(other.box, abs=1e-3)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def responding(tracker: SiamTracker, maps: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    cls = F.pad(torch.from_numpy(np.stack(maps))[:, None], (0, 0, 0, 0, 1, 0))
    monkeypatch.setattr(tracker.engine.network, "features", lambda crops: None)
    monkeypatch.setattr(tracker.engine.network, "respond", lambda template, features: (cls, cls))


def test_states_follow_the_response(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, frame = tracker_of("siamfc_alexnet"), scene()
    target = tracker.init(frame, (100, 80, 60, 50))
    rng = np.random.default_rng(0)
    states = []
    for number in range(60):
        noise = rng.normal(-3, 0.3, (17, 17)).astype(np.float32)
        maps = [noise + bump(8, 8, 9.0) if number < 15 else noise] * 3
        responding(tracker, maps, monkeypatch)
        (result,) = tracker.track(frame, [target], stamp=number / 30)
        states.append(result.state)
    assert states[0] == TrackState.ACQUIRING
    assert states[14] == TrackState.TRACKING
    assert TrackState.COASTING in states[15:]
    assert states[-1] == TrackState.LOST


def test_a_lost_target_is_searched_for_farther_out(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = with_long_term(get_entry("siamfc_cir_resnet22"), True)
    growing = replace(entry.tracking.long_term, scan=None)
    entry = replace(entry, tracking=replace(entry.tracking, long_term=growing))
    tracker = SiamTracker(entry, SiameseNetwork(entry.model).eval(), device="cpu")
    frame = scene()
    target = tracker.init(frame, (100, 80, 60, 50))
    target.condition = replace(target.condition, lost=True)
    sizes = []
    features = tracker.engine.network.features
    monkeypatch.setattr(
        tracker.engine.network, "features", lambda crops: sizes.append(tuple(crops.shape)) or features(crops)
    )
    tracker.track(frame, [target])
    assert sizes == [(3, 3, 383, 383)]


def test_the_search_region_stays_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, frame = tracker_of("siamfc_cir_resnet22"), scene()
    taken = tracker.init(frame, (100, 80, 60, 50))
    for best, limit in ((0, 0.2), (2, 5.0)):
        target = replace(taken)
        first = target.side.px
        responding(tracker, [bump(8, 8, 9.0 if i == best else 1.0) for i in range(3)], monkeypatch)
        for _ in range(120):
            tracker.track(frame, [target])
        assert target.side.px == pytest.approx(limit * first)


def test_small_targets_have_a_larger_search_region() -> None:
    tracker, frame = tracker_of("siamrpn_cir_resnet22"), scene()
    # 0.004 of 320 x 240 px is 307 px.
    assert tracker.init(frame, (100, 80, 17, 18)).instance_size == 287
    assert tracker.init(frame, (100, 80, 18, 18)).instance_size == 271


def test_boxes_have_their_centre_where_the_rule_says() -> None:
    box = Box(10, 20, 5, 8)
    assert box.center_box("px") == (12, 23.5, 5, 8)
    assert box.center_box("edge") == (12.5, 24, 5, 8)
    for center in ("px", "edge"):
        assert box.center_box(center).corner_box(center) == box


def test_every_response_map_entry_tracks() -> None:
    frame = scene()
    for name in MAPS:
        tracker = tracker_of(name)
        (result,) = tracker.track(frame, [tracker.init(frame, (100, 80, 60, 50))])
        assert np.isfinite(result.box).all(), name
        assert isinstance(tracker.entry.tracking, TrackingConfig)
