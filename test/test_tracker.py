"""The tracker on frames of every kind: sizes, colours, borders, targets, bad input, long-term search."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from test_networks import SMALL, seeded

from siam_tracker_ros.engines.errors import DeviceUnavailableError
from siam_tracker_ros.models.config import LongTermConfig, LossConfig, TrackingConfig, ZooEntry
from siam_tracker_ros.tracking import response_decoder
from siam_tracker_ros.tracking.boxes import Box, CenterBox, box_iou
from siam_tracker_ros.tracking.crop import Window, crop_window, sample_windows
from siam_tracker_ros.tracking.errors import (
    InconsistentModelError,
    InvalidBoxError,
    InvalidFrameError,
    MaskUnavailableError,
)
from siam_tracker_ros.tracking.mask_box import box_of_mask
from siam_tracker_ros.tracking.mask_paste import MaskPlace, paste_mask
from siam_tracker_ros.tracking.result import RotatedBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.state import TrackState
from siam_tracker_ros.tracking.target import Target

ENTRY = ZooEntry(
    "small", SMALL, TrackingConfig(penalty_k=0.04, window_influence=0.4, lr=0.5, min_target_size=4.0)
)


@pytest.fixture(scope="module")
def tracker() -> SiamTracker:
    return SiamTracker(ENTRY, seeded(SMALL), device="cpu")


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A frame with structure at several scales."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(height // 16, 2), max(width // 16, 2), 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("height", "width"), [(32, 32), (33, 200), (240, 320), (1080, 1920), (4320, 7680)], ids=str
)
def test_any_frame_size(tracker: SiamTracker, height: int, width: int) -> None:
    frame = scene(height, width)
    target = tracker.init(frame, (width / 4, height / 4, width / 3, height / 3))
    (result,) = tracker.track(frame, [target], masks=True)
    assert all(map(math.isfinite, result.box))
    assert box_iou(result.box, Box(0, 0, width, height)) > 0
    assert result.mask.to_frame().shape == (height, width)
    assert 0 <= result.confidence <= 1


@pytest.mark.parametrize(
    "box",
    [
        (100, 100, 4, 4),
        (100, 100, 1, 1),
        (-20, -10, 60, 40),
        (300, 220, 60, 60),
        (0, 0, 320, 240),
        (-500, -500, 2000, 2000),
        (10, 10, 300, 5),
        (-5e5, -5e5, 1e6, 1e6),
    ],
    ids=str,
)
def test_targets_tiny_partly_outside_and_larger_than_the_frame(
    tracker: SiamTracker, box: tuple[float, ...]
) -> None:
    frame = scene(240, 320)
    target = tracker.init(frame, box)
    for _ in range(2):
        (result,) = tracker.track(frame, [target], masks=True)
        assert all(map(math.isfinite, result.box))
        x, y, w, h = result.box
        assert 4 <= w <= 320
        assert 4 <= h <= 240
        assert 0 <= x + w / 2 <= 320
        assert 0 <= y + h / 2 <= 240


def test_a_target_of_8k_size_takes_no_memory_of_its_window(tracker: SiamTracker) -> None:
    """The search window is 24,000 px wide; padding it would take 1.7 GB."""
    window = Window(-8000, -9000, 24000)
    frame = scene(4320, 7680)
    crop = crop_window(frame, window, 255, (10, 20, 30))
    assert crop.shape == (255, 255, 3)
    assert crop[0, 0].tolist() == [10, 20, 30]
    turned = np.ascontiguousarray(frame[::-1])[::-1]
    read_only = np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)
    for view in (turned, read_only):
        np.testing.assert_array_equal(crop_window(view, window, 255, (10, 20, 30)), crop)
    inside = cv2.resize(frame, (82, 46))[10:30, 10:60].mean()
    assert abs(crop[105:125, 95:145].mean() - inside) < 20


def test_grey_frames_are_tracked_as_their_colour_copies(tracker: SiamTracker) -> None:
    grey = scene(240, 320)[..., 0].copy()
    boxes = []
    for frame in (grey, grey[..., None], cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)):
        target = tracker.init(frame, (100, 80, 50, 60))
        (result,) = tracker.track(frame, [target])
        boxes.append(result.box)
    np.testing.assert_allclose(boxes[0], boxes[2], atol=1e-4)
    np.testing.assert_allclose(boxes[1], boxes[2], atol=1e-4)


def test_views_of_other_memory_are_read_and_left_alone(tracker: SiamTracker) -> None:
    whole = scene(300, 400)
    plain = np.ascontiguousarray(whole[20:260, 30:350])
    views = {
        "cut out": whole[20:260, 30:350],
        "turned": np.ascontiguousarray(plain[::-1, ::-1])[::-1, ::-1],
        "read-only": np.frombuffer(plain.tobytes(), np.uint8).reshape(plain.shape),
        "channels swapped": np.ascontiguousarray(plain[..., ::-1])[..., ::-1],
    }
    target = tracker.init(plain, (-10, -10, 80, 60))
    (expected,) = tracker.track(plain, [target])
    for name, view in views.items():
        target = tracker.init(view, (-10, -10, 80, 60))
        (result,) = tracker.track(view, [target])
        np.testing.assert_allclose(result.box, expected.box, atol=1e-4, err_msg=name)


def test_targets_do_not_share_state(tracker: SiamTracker) -> None:
    """Tracked together they go as each would alone (to the rounding of a batch)."""
    frames = [scene(240, 320, seed) for seed in range(3)]
    boxes = [(30, 40, 50, 60), (200, 100, 40, 40), (120, 30, 80, 50)]
    alone = []
    for box in boxes:
        target = tracker.init(frames[0], box)
        alone.append([tracker.track(frame, [target], masks=True)[0] for frame in frames])
    targets = [tracker.init(frames[0], box) for box in boxes]
    for t, frame in enumerate(frames):
        for i, result in enumerate(tracker.track(frame, targets, masks=True)):
            np.testing.assert_allclose(result.box, alone[i][t].box, atol=0.05)
            assert result.score == pytest.approx(alone[i][t].score, abs=1e-3)
            assert (result.mask.to_frame() ^ alone[i][t].mask.to_frame()).mean() < 1e-3


def test_no_targets_no_results(tracker: SiamTracker) -> None:
    assert tracker.track(scene(64, 64), []) == []


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (None, "not a NoneType"),
        ([[1, 2]], "not a list"),
        (np.zeros((10, 10, 3), np.float32), "not of float32"),
        (np.zeros((10, 10, 4), np.uint8), "10 x 10 x 4"),
        (np.zeros((10, 10, 3, 1), np.uint8), "10 x 10 x 3 x 1"),
        (np.zeros(10, np.uint8), "one of shape 10"),
        (np.zeros((0, 10, 3), np.uint8), "empty"),
    ],
)
def test_frames_of_another_kind_are_refused_by_name(tracker: SiamTracker, frame: object, says: str) -> None:
    with pytest.raises(InvalidFrameError, match=f"H x W x 3 .*{says}"):
        tracker.init(frame, (1, 1, 5, 5))
    target = tracker.init(scene(64, 64), (10, 10, 20, 20))
    before = target.box
    with pytest.raises(InvalidFrameError, match=says):
        tracker.track(frame, [target])
    assert target.box == before


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((10, 10, 0, 5), "at least 1 px"),
        ((10, 10, 5, -5), "at least 1 px"),
        ((math.nan, 10, 5, 5), "finite"),
        ((10, math.inf, 5, 5), "finite"),
        ((0, 0, 1e300, 5), "at most 1,000,000 px"),
        ((64, 10, 5, 5), "outside the frame, which is 64 px wide and 48 px high"),
        ((10, -6, 5, 5), "outside the frame"),
        ((1, 2, 3), "four numbers"),
        ("box", "four numbers"),
        (None, "four numbers"),
    ],
)
def test_boxes_without_a_target_are_refused_by_name(tracker: SiamTracker, box: object, says: str) -> None:
    with pytest.raises(InvalidBoxError, match=says):
        tracker.init(scene(48, 64), box)


def test_masks_of_a_model_without_are_refused() -> None:
    config = replace(SMALL, mask=None)
    plain = SiamTracker(replace(ENTRY, model=config), seeded(config), device="cpu")
    assert not plain.has_masks
    target = plain.init(scene(64, 64), (10, 10, 20, 20))
    with pytest.raises(MaskUnavailableError, match="small has no mask branch"):
        plain.track(scene(64, 64), [target], masks=True)


def test_constants_of_another_network_are_named() -> None:
    wrong = replace(ENTRY, tracking=replace(ENTRY.tracking, base_size=0))
    tracker = SiamTracker(wrong, seeded(SMALL), device="cpu")
    target = tracker.init(scene(64, 64), (10, 10, 20, 20))
    with pytest.raises(InconsistentModelError, match=r"255 px gives 25 response cells a side, .* say 17"):
        tracker.track(scene(64, 64), [target])


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(DeviceUnavailableError, match="'gpu' is none of"):
        SiamTracker(ENTRY, seeded(SMALL), device="gpu")
    with pytest.raises(DeviceUnavailableError, match=r"'cuda:99' was asked for, but .*use cpu or auto"):
        SiamTracker(ENTRY, seeded(SMALL), device="cuda:99")
    if not torch.cuda.is_available():
        chosen = SiamTracker(ENTRY, seeded(SMALL), device="auto")
        assert chosen.device.type == "cpu"
        assert "auto chose cpu" in chosen.device_note


def test_the_callers_network_is_left_as_it_was() -> None:
    network = seeded(SMALL)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    SiamTracker(ENTRY, network, device="cpu")
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_device_crop_is_the_opencv_crop() -> None:
    frame = scene(240, 320)
    windows = [Window(-40, -30, 150), Window(200, 100, 255), Window(250, 180, 300), Window(5, 6, 20)]
    fills = [(1, 2, 3), (250, 0, 9), (7, 7, 7), (0, 0, 0)]
    sampled = sample_windows(torch.from_numpy(frame), windows, 255, fills)
    for i, (window, fill) in enumerate(zip(windows, fills, strict=True)):
        cropped = crop_window(frame, window, 255, fill)
        assert np.abs(sampled[i].numpy() - cropped).max() <= 1.0


def test_bfloat16_on_the_cpu_stays_near(tracker: SiamTracker) -> None:
    half = SiamTracker(ENTRY, seeded(SMALL), device="cpu", precision="bf16")
    frame = scene(240, 320)
    (a,) = half.track(frame, [half.init(frame, (100, 80, 50, 60))], masks=True)
    (b,) = tracker.track(frame, [tracker.init(frame, (100, 80, 50, 60))], masks=True)
    assert a.score == pytest.approx(b.score, abs=0.1)
    with pytest.raises(ValueError, match="precision 'fp8' is none of auto"):
        SiamTracker(ENTRY, seeded(SMALL), device="cpu", precision="fp8")


class Script:
    """Plays network outputs: one clear peak whose score the test sets, where the target stands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.score, self.offset, self.sizes = 0.99, 0.0, []
        monkeypatch.setattr(response_decoder, "select", self.select)

    def select(self, cls, loc, grid, size, penalty_k, window_influence):
        self.sizes.append((grid.score_size, window_influence))
        center = grid.score_size * grid.score_size // 2
        runner_up = 0.0 if self.score > 0.5 else 1.0
        peak = [center, self.score, 1.0, self.score, runner_up, self.offset, 0.0]
        return torch.tensor([[*peak, w, h] for w, h in size.tolist()])


def test_states_follow_the_evidence_and_search_grows_while_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    long_term = LongTermConfig(scan=None, instance_sizes=(383, 575), coast=False)
    entry = replace(ENTRY, tracking=replace(ENTRY.tracking, long_term=long_term))
    tracker = SiamTracker(entry, seeded(SMALL), device="cpu")
    script = Script(monkeypatch)
    frame = scene(240, 320)
    target = tracker.init(frame, (100, 80, 50, 60), stamp=0.0)
    states, stamp = [], 0.0

    def run(score: float, seconds: float) -> None:
        nonlocal stamp
        script.score = score
        for _ in range(round(seconds * 10)):
            stamp += 0.1
            states.append(tracker.track(frame, [target], stamp=stamp)[0].state)

    run(0.99, 0.5)
    assert states[-1] == TrackState.TRACKING
    assert set(script.sizes) == {(25, 0.4)}
    box, script.sizes = target.box, []
    run(0.01, 1.8)
    assert target.box == pytest.approx(box), "a lost target's box stands still"
    order = [s for i, s in enumerate(states) if i == 0 or s != states[i - 1]]
    assert order[-3:] == [TrackState.UNCERTAIN, TrackState.COASTING, TrackState.LOST]
    grown = [size for size, _ in script.sizes]
    assert grown == sorted(grown)
    assert set(grown) == {25, 41, 65}
    assert script.sizes[-1] == (65, 0.001)
    script.sizes = []
    run(0.99, 0.3)
    assert states[-1] == TrackState.TRACKING
    assert [size for size, _ in script.sizes] == [65, 25, 25]


def test_without_long_term_search_states_are_told_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SiamTracker(ENTRY, seeded(SMALL), device="cpu")
    script = Script(monkeypatch)
    frame = scene(240, 320)
    target = tracker.init(frame, (100, 80, 50, 60), stamp=0.0)
    script.score = 0.01
    results = [tracker.track(frame, [target], stamp=0.1 * t)[0] for t in range(1, 20)]
    assert results[-1].state == TrackState.LOST
    assert set(script.sizes) == {(25, 0.4)}


def test_coasting_follows_the_last_velocity_and_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LossConfig(after_s=0.0)
    entry = replace(ENTRY, tracking=replace(ENTRY.tracking, long_term=LongTermConfig(), loss=loss))
    tracker = SiamTracker(entry, seeded(SMALL), device="cpu")
    script = Script(monkeypatch)
    frame = scene(240, 320)
    target = tracker.init(frame, (40, 80, 50, 60), stamp=0.0)
    tracker.track(frame, [target], stamp=0.1)
    target.velocity = (100.0, -20.0)
    start = target.box
    script.score = 0.01
    (first,) = tracker.track(frame, [target], stamp=0.2)
    assert first.state == TrackState.COASTING
    assert target.box.cx - start.cx == pytest.approx(10.0)
    assert target.box.cy - start.cy == pytest.approx(-2.0)
    assert 0 < first.velocity[0] < 100
    for t in range(3, 20):
        tracker.track(frame, [target], stamp=0.1 * t)
    stopped = target.box
    tracker.track(frame, [target], stamp=2.0)
    assert target.box == stopped, "a LOST target is not predicted any more"


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> tuple[SiamTracker, Script, Target]:
    """A target that has been out of sight for 0.4 s."""
    entry = replace(
        ENTRY, tracking=replace(ENTRY.tracking, long_term=LongTermConfig(scan=None, instance_sizes=(383,)))
    )
    tracker = SiamTracker(entry, seeded(SMALL), device="cpu")
    script = Script(monkeypatch)
    frame = scene(240, 320)
    target = tracker.init(frame, (40, 80, 50, 60), stamp=0.0)
    script.score = 0.01
    for t in range(1, 5):
        tracker.track(frame, [target], stamp=0.1 * t)
    assert target.condition.lost
    return tracker, script, target


def test_a_lost_target_is_not_where_something_unsure_is_seen(
    lost: tuple[SiamTracker, Script, Target],
) -> None:
    tracker, script, target = lost
    before = target.box
    script.score, script.offset = 0.55, 120.0
    (unsure,) = tracker.track(scene(240, 320), [target], stamp=0.5)
    loss = tracker.entry.tracking.loss
    assert loss.low <= unsure.confidence < loss.high
    assert unsure.state == TrackState.COASTING
    assert target.box == pytest.approx(before)


def test_a_target_found_again_elsewhere_is_not_thought_fast(
    lost: tuple[SiamTracker, Script, Target],
) -> None:
    tracker, script, target = lost
    script.score, script.offset = 0.99, 80.0
    (found,) = tracker.track(scene(240, 320), [target], stamp=0.5)
    assert found.state == TrackState.TRACKING
    assert found.box.x > 60
    assert found.velocity == (0.0, 0.0)


def test_a_response_that_is_not_a_number_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SiamTracker(ENTRY, seeded(SMALL), device="cpu")
    Script(monkeypatch)
    nan = float("nan")
    monkeypatch.setattr(
        response_decoder, "select", lambda *_: torch.tensor([[0, nan, nan, nan, 0, nan, 0, 9, 9]])
    )
    frame = scene(240, 320)
    target = tracker.init(frame, (40, 80, 50, 60))
    before = target.box
    (result,) = tracker.track(frame, [target])
    assert target.box == before
    assert result.confidence == 0.0


def test_velocity_is_in_px_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SiamTracker(ENTRY, seeded(SMALL), device="cpu")
    frame = scene(240, 320)
    target = tracker.init(frame, (40, 80, 50, 60), stamp=10.0)

    def step(cls, loc, grid, size, penalty_k, window_influence):
        w, h = size[0].tolist()
        px = w / target.box.w
        return torch.tensor([[312, 0.99, 1.0, 0.9, 0.0, 2.0 * px, -1.0 * px, w, h]])

    monkeypatch.setattr(response_decoder, "select", step)
    for t in range(1, 31):
        (result,) = tracker.track(frame, [target], stamp=10.0 + 0.05 * t)
    assert result.velocity == pytest.approx((40.0, -20.0), rel=0.01)


def test_mask_is_pasted_where_it_belongs() -> None:
    probability = np.zeros((127, 127), np.float32)
    probability[40:88, 32:96] = 1.0
    mask = paste_mask(probability, MaskPlace(100.0, 50.0, 254.0, 254.0), 640, 480, 0.5)
    rows, cols = np.nonzero(mask.to_frame())
    assert (cols.min(), cols.max()) == pytest.approx((164, 291), abs=2)
    assert (rows.min(), rows.max()) == pytest.approx((130, 225), abs=2)
    box = box_of_mask(mask, "min_area", CenterBox(0, 0, 1, 1))
    assert (box.center_x, box.center_y) == pytest.approx((227.5, 177.5), abs=2)
    assert sorted((box.width, box.height)) == pytest.approx([95, 127], abs=2)


@pytest.mark.parametrize("place", [(-100.0, -80.0, 254.0), (600.0, 440.0, 254.0), (5000.0, 10.0, 50.0)])
def test_mask_beyond_the_frame_is_cut(place: tuple[float, float, float]) -> None:
    mask = paste_mask(np.ones((127, 127), np.float32), MaskPlace(*place, place[2]), 640, 480, 0.5)
    assert mask.to_frame().shape == (480, 640)
    fallback = CenterBox(5, 6, 7, 8)
    box = box_of_mask(mask, "min_area", fallback)
    if place[0] > 640:
        assert box == RotatedBox(5, 6, 7, 8, 0.0)


def test_rotated_box_has_its_angle() -> None:
    probability = cv2.warpAffine(
        np.pad(np.ones((20, 80), np.float32), ((53, 54), (23, 24))),
        cv2.getRotationMatrix2D((63, 63), -30, 1),
        (127, 127),
    )
    mask = paste_mask(probability, MaskPlace(0.0, 0.0, 127.0, 127.0), 200, 200, 0.5)
    box = box_of_mask(mask, "min_area", CenterBox(0, 0, 1, 1))
    longest = (
        box.corners()[1] - box.corners()[0] if box.width > box.height else box.corners()[2] - box.corners()[1]
    )
    angle = math.degrees(math.atan2(longest[1], longest[0])) % 180
    assert angle == pytest.approx(30, abs=3)
