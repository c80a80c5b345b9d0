"""One-pass evaluation: the measures are right, and the command writes what it promises."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
import torch
from training_footage import draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation.metrics import box_overlaps, mask_overlap, success_rate
from siam_tracker_ros.evaluation.one_pass import EvaluationError, evaluate_sequence, summarise
from siam_tracker_ros.footage.sequence_folder import read_sequence, read_sequences
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import TargetMask, TrackResult, TrackState

NAN = float("nan")


def test_frames_without_the_target_are_left_out():
    found = [Box(0, 0, 10, 10), Box(5, 0, 10, 10), Box(0, 0, 10, 10), Box(0, 0, 10, 10)]
    truth = [Box(0, 0, 10, 10), Box(0, 0, 10, 10), Box(NAN, NAN, NAN, NAN), Box(3, 3, 0, 4)]
    overlaps = box_overlaps(found, truth)
    assert overlaps == pytest.approx([1, 1 / 3])
    assert success_rate(overlaps) == 0.5
    assert math.isnan(success_rate([]))


def test_mask_overlap():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_overlap(a, b) == 1
    a[0, :2] = True
    assert mask_overlap(a, b) == 0
    b[0, 1:3] = True
    assert mask_overlap(a, b) == pytest.approx(1 / 3)


class Oracle:
    """A tracker that knows the drawn sequence, and sees its target `late` frames later."""

    has_masks = True

    def __init__(self, late):
        self.late, self.number = late, 0

    def init(self, frame, box):
        self.first = box
        return "target"

    def track(self, frame, targets, masks):
        assert targets == ["target"]
        self.number += 1
        x, y, w, h = self.first
        x += 4 * max(self.number - self.late, 0)
        mask = TargetMask(int(x), int(y), np.ones((int(h), int(w)), bool), 320, 192) if masks else None
        return [TrackResult(Box(x, y, w, h), 1.0, 1.0, TrackState.TRACKING, (0.0, 0.0), mask)]


def test_a_perfect_tracker_scores_one_and_a_late_one_what_it_misses(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=4)
    sequence = read_sequence(tmp_path / "one")
    perfect = evaluate_sequence(Oracle(0), sequence)
    assert (perfect.iou, perfect.success50) == pytest.approx((1, 1))
    assert perfect.mask_iou == pytest.approx(1)
    late = evaluate_sequence(Oracle(1), sequence)
    assert late.iou == pytest.approx((48 - 4) / (48 + 4))
    assert late.mask_iou == pytest.approx((48 - 4) / (48 + 4))
    assert late.fps > 0


def test_means_are_over_sequences_and_masks_only_where_there_are_some(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=3)
    draw_sequence(tmp_path / "two", 0, frames=6, masks=False)
    scores = {s.name: evaluate_sequence(Oracle(late), s) for late, s in enumerate(read_sequences(tmp_path))}
    evaluation = summarise(scores)
    assert scores["two"].mask_iou is None
    assert evaluation.mean_iou == pytest.approx((1 + 44 / 52) / 2)
    assert evaluation.mean_mask_iou == pytest.approx(1)
    with pytest.raises(EvaluationError, match="no sequence"):
        summarise({})


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=3)
    (tmp_path / "one" / "img" / "000002.jpg").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"000002\.jpg"):
        evaluate_sequence(Oracle(0), read_sequence(tmp_path / "one"))


def test_the_command_writes_the_promised_json(tmp_path, capsys):
    torch.manual_seed(0)
    entry = get_entry("siammask_mobilev2_w10")
    weights = tmp_path / "random.safetensors"
    save_weights(SiameseNetwork(entry.model), weights, entry.name)
    draw_sequence(tmp_path / "data" / "one", 0, frames=3)
    draw_sequence(tmp_path / "data" / "two", 1, frames=3, masks=False)
    out = tmp_path / "scores.json"
    command = ["eval", "--dataset", str(tmp_path / "data"), "--weights", str(weights), "--device", "cpu"]
    assert main([*command, "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert set(content) == {"mean_iou", "mean_mask_iou", "sequences"}
    assert set(content["sequences"]) == {"one", "two"}
    for score in content["sequences"].values():
        assert set(score) == {"iou", "success50", "mask_iou", "fps"}
    assert content["sequences"]["two"]["mask_iou"] is None
    assert content["mean_iou"] == pytest.approx(np.mean([s["iou"] for s in content["sequences"].values()]))
    assert "one" in capsys.readouterr().out
    assert main([*command, "--only", "three"]) == 1
    assert "three" in capsys.readouterr().err


def test_masks_of_the_sequence_must_be_readable(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=2)
    mask = tmp_path / "one" / "mask" / "000002.png"
    assert cv2.imread(str(mask)) is not None
    mask.write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"000002\.png"):
        evaluate_sequence(Oracle(0), read_sequence(tmp_path / "one"))
