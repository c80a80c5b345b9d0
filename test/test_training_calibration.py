"""Calibration: rates and fit on made-up frames whose answer is known, and the command on drawn footage."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from training_footage import TARGET_BGR, draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.footage.sequence_folder import read_sequence
from siam_tracker_ros.models.config import ConfidenceConfig, LossConfig, TrackingConfig
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.confidence import Evidence, confidence
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.state import TrackState
from siam_tracker_ros.training import calibration
from siam_tracker_ros.training.calibration import (
    PRESENT_FRAMES,
    CalibrationError,
    Observation,
    calibration_error,
    fit_confidence,
    frames_to_lost,
    lost_rates,
    observe,
    reliability,
    with_confidence,
)
from siam_tracker_ros.training.paint_out import painted_out

WEIGHTS = "siammask_mobilev2_w10"
SEEN = Observation("one", 0.8, -1, 0.9, Evidence(2.0, 0.8, 0.9), TrackState.TRACKING)


def gone(frame: int, state: TrackState) -> Observation:
    return replace(SEEN, iou=math.nan, gone_for=frame, state=state)


def test_a_frame_is_on_the_target_by_its_overlap_while_there_is_one():
    assert SEEN.on_target is True
    assert replace(SEEN, iou=0.05).on_target is False
    assert replace(SEEN, iou=0.2).on_target is None
    assert gone(0, TrackState.TRACKING).on_target is False


def test_reliability_counts_what_lies_in_each_bin():
    sure = [0.1, 0.15, 0.2, 0.95, 1.0, 0.99]
    truth = [0.0, 0.9, 0.0, 0.9, 0.9, 0.0]
    seen = [replace(SEEN, confidence=c, iou=t) for c, t in zip(sure, truth, strict=True)]
    seen.append(replace(SEEN, confidence=0.5, iou=0.2))
    bins = reliability(seen)
    assert [b.frames for b in bins] == [2, 1, 0, 0, 3]
    assert bins[0].mean == pytest.approx(0.125)
    assert (bins[0].on_target, bins[1].on_target) == (0.5, 0.0)
    assert bins[4].on_target == pytest.approx(2 / 3)
    assert math.isnan(bins[2].mean)
    expected = (2 * 0.375 + 1 * 0.2 + 3 * abs(2.94 / 3 - 2 / 3)) / 6
    assert calibration_error(bins) == pytest.approx(expected)


def test_lost_rates_of_two_runs():
    first = [TrackState.TRACKING, TrackState.UNCERTAIN, TrackState.COASTING, TrackState.LOST, TrackState.LOST]
    never = [TrackState.TRACKING] * 5
    seen = [SEEN, SEEN, SEEN, replace(SEEN, state=TrackState.COASTING)]
    for run in (first, never):
        seen += [gone(n, state) for n, state in enumerate(run)]
    rates = lost_rates(seen, grace=2)
    assert rates.false_alarm == pytest.approx(1 / 4)
    assert (rates.on_target_frames, rates.gone_frames) == (4, 6)
    assert rates.miss == pytest.approx(3 / 6)
    assert rates.miss_lost == pytest.approx(4 / 6)
    assert (rates.delay, rates.noticed) == (2, 0.5)


def test_the_fit_finds_the_constants_that_made_the_frames():
    rng = np.random.default_rng(0)
    made_by = ConfidenceConfig(bias=-1.5, score=0.8, margin=1.2, plausibility=1.0)
    seen = []
    for _ in range(6000):
        evidence = Evidence(float(rng.normal(0, 3)), float(rng.random()), float(rng.random()))
        truth = rng.random() < confidence(evidence, made_by)
        seen.append(replace(SEEN, evidence=evidence, iou=0.9 if truth else 0.0))
    fitted = fit_confidence(seen, ridge=1e-6)

    def unlikely(constants):
        told = np.array([o.confidence for o in with_confidence(seen, constants)])
        truth = np.array([bool(o.on_target) for o in seen])
        return -np.log(np.where(truth, told, 1 - told)).mean()

    for name in ("bias", "score", "margin", "plausibility"):
        value = getattr(fitted, name)
        assert value == pytest.approx(getattr(made_by, name), abs=0.5)
        for step in (-0.05, 0.05):
            assert unlikely(replace(fitted, **{name: value + step})) > unlikely(fitted)
    assert calibration_error(reliability(with_confidence(seen, fitted))) < 0.03


def test_frames_of_one_kind_give_no_fit():
    with pytest.raises(CalibrationError, match="one kind alone"):
        fit_confidence([SEEN] * 5)


def test_the_time_to_lost_is_the_entrys():
    config = TrackingConfig(0.1, 0.4, 0.3, loss=LossConfig(after_s=0.1, coast_s=1.0))
    assert frames_to_lost(config) == pytest.approx(35, abs=1)


def test_what_is_painted_out_is_gone_and_the_rest_is_not():
    rng = np.random.default_rng(1)
    frame = cv2.resize(rng.integers(80, 120, (20, 30, 3), dtype=np.uint8), (300, 200))
    before = frame.copy()
    frame[60:100, 120:180] = TARGET_BGR
    whole = frame.copy()
    painted = painted_out(frame, Box(120, 60, 60, 40))
    np.testing.assert_array_equal(frame, whole)
    assert np.abs(painted.astype(int) - TARGET_BGR).max(axis=2).min() > 60
    assert np.abs(painted.astype(int) - before).max() < 45
    outside = np.ones(frame.shape[:2], bool)
    outside[50:110, 105:195] = False
    np.testing.assert_array_equal(painted[outside], before[outside])


@pytest.mark.parametrize("box", [Box(-50, -50, 500, 400), Box(290, 190, 40, 40), Box(0, 0, 300, 200)])
def test_boxes_at_the_border_are_painted_out_too(box):
    frame = np.full((200, 300, 3), 90, np.uint8)
    assert painted_out(frame, box).shape == frame.shape


def test_runs_are_made_with_and_without_the_target(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=10)
    tracker = SiamTracker.from_weights(WEIGHTS, device="cpu")
    seen = observe(tracker, read_sequence(tmp_path / "one"), starts=2, length=9)
    ages = [o.gone_for for o in seen]
    assert ages == [*[-1] * 8, *[-1] * (PRESENT_FRAMES - 1), 0, 1, 2] * 2
    on = [o for o in seen if o.gone_for < 0]
    assert np.mean([o.iou for o in on]) > 0.6
    assert np.mean([o.confidence for o in on]) > np.mean([o.confidence for o in seen if o.gone_for > 0])


def test_the_command_prints_draws_and_writes(tmp_path, capsys, monkeypatch):
    # As it is, a run has to be so long that most of it is a search in the whole frame.
    monkeypatch.setattr(calibration, "frames_to_lost", lambda config: 3)
    for number in range(2):
        draw_sequence(tmp_path / "data" / f"s{number}", number, frames=12)
    out, numbers = tmp_path / "curve.png", tmp_path / "numbers.json"
    command = ["calibrate", WEIGHTS, "--data", str(tmp_path / "data"), "--device", "cpu", "--only", "s1"]
    assert main([*command, "--starts", "1", "--length", "12", "--out", str(out), "--json", str(numbers)]) == 0
    told = capsys.readouterr().out
    assert "expected calibration error" in told
    assert "fitted constants: ConfidenceConfig(bias=" in told
    content = json.loads(numbers.read_text())
    assert content["sequences"] == ["s1"]
    assert content["frames"] == 22
    assert content["lost"]["gone_frames"] > 0
    image = cv2.imread(str(out))
    assert image.shape[1] > 600
    assert image.std() > 5
    assert main([*command, "--length", "9"]) == 1
    assert "--length 10" in capsys.readouterr().err
    assert main([*command[:-1], "s9"]) == 1
    assert "no sequence called s9" in capsys.readouterr().err
