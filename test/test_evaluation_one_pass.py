"""Evaluation: runs are made and scored rightly, kept and resumed, and the command writes what it promises."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from training_footage import draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation import experiments, results
from siam_tracker_ros.evaluation.datasets.benchmarks import read_dataset
from siam_tracker_ros.evaluation.davis import mask_overlap
from siam_tracker_ros.evaluation.evaluate import Job, JobFailedError, do, do_all
from siam_tracker_ros.evaluation.regions import MaskRegion
from siam_tracker_ros.evaluation.scores import (
    anchored_run,
    long_term_run,
    score_one_pass,
    summarise,
    supervised_run,
)
from siam_tracker_ros.evaluation.sequence import EvaluationError
from siam_tracker_ros.evaluation.trackers import Answer, TrackerSpec, make_tracker
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.boxes import Box

WIDTH, SPEED = 48, 4
"""The drawn target is 48 px wide and moves 4 px to the right a frame."""


class Oracle:
    """Knows the drawn sequence: sees its target `late` frames later, and jumps away in the frames `lost`."""

    has_masks = True

    def __init__(self, late=0, lost=(), step=1):
        self.late, self.lost, self.step = late, lost, step
        self.starts = []

    def start(self, frame, box):
        self.first, self.number = box, 0
        self.starts.append(box)

    def follow(self, frame, masks):
        self.number += 1
        x, y, w, h = self.first
        x += self.step * SPEED * max(self.number - self.late, 0)
        if self.number in self.lost:
            x += 200
        mask = MaskRegion(np.ones((int(h), int(w)), bool), int(x), int(y)) if masks else None
        return Answer(Box(x, y, w, h), 0.9, mask=mask)


def ticking(seconds):
    """A clock that says that every frame took `seconds`."""
    times = itertools.count(0.0, seconds)
    return lambda: next(times)


def drawn(tmp_path, **options):
    draw_sequence(tmp_path / "one", 0, **options)
    return read_dataset(tmp_path)["one"]()


def test_mask_overlap():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_overlap(a, b) == 1
    a[0, :2] = True
    assert mask_overlap(a, b) == 0
    b[0, 1:3] = True
    assert mask_overlap(a, b) == pytest.approx(1 / 3)


def test_a_perfect_tracker_scores_one_and_a_late_one_what_it_misses(tmp_path):
    sequence = drawn(tmp_path, frames=4)
    perfect = score_one_pass(sequence, experiments.one_pass(Oracle(), sequence))
    assert (perfect.iou, perfect.success50, perfect.ao, perfect.auc) == pytest.approx((1, 1, 1, 20 / 21))
    assert (perfect.mask_iou, perfect.contour, perfect.j_and_f) == pytest.approx((1, 1, 1))
    assert (perfect.mask_recall, perfect.contour_recall, perfect.mask_decay) == pytest.approx((1, 1, 0))
    late = score_one_pass(sequence, experiments.one_pass(Oracle(late=1), sequence, ticking(0.05)))
    shifted = (WIDTH - SPEED) / (WIDTH + SPEED)
    assert (late.iou, late.mask_iou) == pytest.approx((shifted, shifted))
    assert late.contour < 1
    assert late.j_and_f == pytest.approx((late.mask_iou + late.contour) / 2)
    assert late.fps == pytest.approx(20)


def test_means_are_over_sequences_and_masks_only_where_there_are_some(tmp_path):
    draw_sequence(tmp_path / "one", 0, frames=3)
    draw_sequence(tmp_path / "two", 0, frames=6, masks=False)
    sequences = [read() for read in read_dataset(tmp_path).values()]
    scores = {
        one.name: score_one_pass(one, experiments.one_pass(Oracle(late), one))
        for late, one in enumerate(sequences)
    }
    evaluation = summarise(scores)
    assert scores["two"].mask_iou is None
    assert evaluation.mean_iou == pytest.approx((1 + 44 / 52) / 2)
    assert evaluation.mean_mask_iou == pytest.approx(1)
    with pytest.raises(EvaluationError, match="no sequence"):
        summarise({})


def test_frames_skipped_in_real_time_cost_overlap(tmp_path):
    sequence = drawn(tmp_path, frames=13, masks=False)
    fast, seen = experiments.one_pass_in_real_time(Oracle(), sequence, 30.0, ticking(0.0))
    assert seen.dropped == 0
    assert score_one_pass(sequence, fast).iou == pytest.approx(1)
    # The oracle counts the frames it is shown: it falls back by one for each that it misses.
    slow, seen = experiments.one_pass_in_real_time(Oracle(), sequence, 10.0, ticking(0.15))
    # 1 from 0.10 to 0.25 s, 2 to 0.40, 4 to 0.55, 5 to 0.70, 7, 8, 10, 11, 12.
    assert seen.processed == (0, 1, 2, 4, 5, 7, 8, 10, 11, 12)
    assert score_one_pass(sequence, slow).iou < 0.7
    assert len(slow.regions) == 13


def test_a_lost_target_is_started_on_again_five_frames_later(tmp_path):
    sequence = drawn(tmp_path, frames=30, masks=False)
    tracker = Oracle(lost=[7])
    run = supervised_run(sequence, experiments.with_restarts(tracker, sequence))
    # Lost in the seventh frame after each start: 0 -> 7, 12 -> 19, 24 ->.
    assert run.starts == (0, 12, 24)
    assert run.failures == (7, 19)
    assert run.overlaps[[1, 6, 13, 25]] == pytest.approx(1)
    assert [box.x - sequence.start_box(0).x for box in tracker.starts] == [0, 12 * SPEED, 24 * SPEED]


def test_anchored_runs_go_forward_and_backward(tmp_path):
    sequence = drawn(tmp_path, frames=40, masks=False)
    object.__setattr__(sequence, "anchors", (0, -39))
    forward, backward = Oracle(), Oracle(step=-1)
    (first, run), _ = list(experiments.from_anchors(forward, sequence))
    assert first == 0
    assert anchored_run(sequence, run, range(40)).overlaps == pytest.approx(1)
    _, (last, run) = list(experiments.from_anchors(backward, sequence))
    assert last == 39
    assert anchored_run(sequence, run, range(39, -1, -1)).overlaps == pytest.approx(1)


def test_anchors_are_set_every_fifty_frames_where_the_dataset_has_none(tmp_path):
    sequence = drawn(tmp_path, frames=3, masks=False)
    many = (sequence.truth[0],) * 130
    object.__setattr__(sequence, "truth", many)
    object.__setattr__(sequence, "images", sequence.images[:1] * 130)
    assert experiments.anchors_of(sequence) == (0, 50, -100)


def test_long_term_counts_absences(tmp_path):
    sequence = drawn(tmp_path, frames=6, masks=False)
    object.__setattr__(sequence, "truth", (*sequence.truth[:4], None, None))
    run = long_term_run(sequence, experiments.one_pass(Oracle(), sequence))
    assert run.visible.tolist() == [True] * 4 + [False] * 2
    assert run.overlaps == pytest.approx([1, 1, 1, 1, 0, 0])
    assert run.confidences[1:] == pytest.approx(0.9)


def test_results_are_read_back_as_they_were_written(tmp_path):
    sequence = drawn(tmp_path / "data", frames=4)
    run = experiments.one_pass(Oracle(late=1), sequence, ticking(0.02))
    path = results.run_file(tmp_path / "out", "one")
    results.write_run(path, run)
    again = results.read_run(path, 4)
    assert results.find_run(tmp_path / "out", "one") == path
    assert again.regions == run.regions
    np.testing.assert_allclose(again.seconds, run.seconds)
    np.testing.assert_allclose(again.confidences, run.confidences)
    assert score_one_pass(sequence, again) == score_one_pass(sequence, run)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "one_001.txt",
        "one_001_confidence.value",
        "one_001_mask.txt",
        "one_001_time.txt",
    ]


@pytest.mark.parametrize("separator", [",", "\t", " "])
@pytest.mark.parametrize("place", ["one.txt", "one/one_001.txt", "one/one.txt", "baseline/one/one_001.txt"])
def test_results_of_others_are_found_and_read(tmp_path, separator, place):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [["10", "20", "30", "40"], ["11.5", "20", "30", "40"]]
    file.write_text("\n".join(separator.join(row) for row in rows))
    found = results.find_run(tmp_path, "one")
    assert found is not None
    run = results.read_run(found, 2)
    assert run.regions == (Box(10, 20, 30, 40), Box(11.5, 20, 30, 40))
    assert np.isnan(run.seconds).all()
    assert math.isnan(run.rate)
    with pytest.raises(EvaluationError, match="2 frames, of a sequence of 3"):
        results.read_run(found, 3)


def test_an_image_or_a_mask_that_cannot_be_read_is_named(tmp_path):
    sequence = drawn(tmp_path, frames=3)
    run = experiments.one_pass(Oracle(), sequence)
    (tmp_path / "one" / "mask" / "000002.png").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"000002\.png"):
        score_one_pass(sequence, run)
    (tmp_path / "one" / "img" / "000002.jpg").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"000002\.jpg"):
        experiments.one_pass(Oracle(), sequence)


def job(tmp_path, sequence="one", text="opencv:mil"):
    return Job(TrackerSpec(text), tmp_path / "data", "auto", sequence, "ope", tmp_path / "out")


def test_what_has_been_run_is_not_run_again(tmp_path):
    draw_sequence(tmp_path / "data" / "one", 0, frames=3, masks=False)
    do(job(tmp_path))
    written = results.run_file(job(tmp_path).folder, "one")
    written.write_text("1\n1,2,3,4\n5,6,7,8\n")
    do(job(tmp_path))
    assert written.read_text() == "1\n1,2,3,4\n5,6,7,8\n"


def test_jobs_run_in_processes_and_one_that_fails_leaves_the_others(tmp_path):
    for name in ("one", "two", "three"):
        draw_sequence(tmp_path / "data" / name, 0, frames=3, masks=False)
    (tmp_path / "data" / "two" / "img" / "000002.jpg").write_bytes(b"")
    jobs = [job(tmp_path, name) for name in ("one", "two", "three")]
    with pytest.raises(JobFailedError, match=r"1 of 3 failed; opencv-mil in two: .*000002\.jpg"):
        list(do_all(jobs, workers=2))
    assert results.find_run(jobs[0].folder, "one") is not None
    assert results.find_run(jobs[1].folder, "two") is None


def test_a_ray_cluster_does_the_same_jobs(tmp_path):
    ray = pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed")
    draw_sequence(tmp_path / "data" / "one", 0, frames=3, masks=False)
    try:
        assert [each.sequence for each in do_all([job(tmp_path)], ray_address="local")] == ["one"]
        assert results.find_run(job(tmp_path).folder, "one") is not None
    finally:
        ray.shutdown()


def test_an_unknown_baseline_says_which_there_are():
    with pytest.raises(EvaluationError, match="opencv:csrt, opencv:kcf, opencv:mil"):
        make_tracker(TrackerSpec("opencv:nope"))


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    torch.manual_seed(0)
    entry = get_entry("siammask_mobilev2_w10")
    weights = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(SiameseNetwork(entry.model), weights, entry.name)
    return weights


def test_the_command_writes_the_promised_json(tmp_path, capsys, random_weights):
    draw_sequence(tmp_path / "data" / "one", 0, frames=3)
    draw_sequence(tmp_path / "data" / "two", 1, frames=3, masks=False)
    out = tmp_path / "scores.json"
    command = [
        "eval",
        "--dataset",
        str(tmp_path / "data"),
        "--weights",
        str(random_weights),
        "--device",
        "cpu",
    ]
    assert main([*command, "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert {"mean_iou", "mean_mask_iou", "sequences"} <= set(content)
    assert set(content["sequences"]) == {"one", "two"}
    for score in content["sequences"].values():
        assert {"iou", "success50", "mask_iou", "fps"} <= set(score)
    assert content["sequences"]["two"]["mask_iou"] is None
    assert content["mean_iou"] == pytest.approx(np.mean([s["iou"] for s in content["sequences"].values()]))
    assert "one" in capsys.readouterr().out
    assert main([*command, "--only", "three"]) == 1
    assert "three" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("experiment", "measures"),
    [
        ("supervised", {"accuracy", "robustness", "reliability", "eao"}),
        ("anchored", {"accuracy", "robustness", "eao"}),
        ("longterm", {"precision", "recall", "f1"}),
    ],
)
def test_challenges_are_measured_for_several_trackers(tmp_path, capsys, experiment, measures):
    draw_sequence(tmp_path / "data" / "one", 0, frames=12, masks=False)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    boxes = (tmp_path / "data" / "one" / "groundtruth.txt").read_text()
    (theirs / "one.txt").write_text(boxes)
    trackers = ["opencv:mil", *([str(theirs)] if experiment == "longterm" else [])]
    out = tmp_path / "scores.json"
    command = ["eval", "--dataset", str(tmp_path / "data"), "--tracker", *trackers, "--json", str(out)]
    assert main([*command, "--experiment", experiment, "--eao-lengths", "2", "8"]) == 0
    content = json.loads(out.read_text())
    found = content["trackers"]["opencv-mil"] if len(trackers) > 1 else content
    assert set(found) == measures
    assert all(0 <= value <= 1 for value in found.values())


def test_the_default_weights_are_measured_where_none_are_named(tmp_path, capsys):
    draw_sequence(tmp_path / "data" / "one", 0, frames=3, masks=False)
    assert main(["eval", "--dataset", str(tmp_path / "data")]) == 0
    assert DEFAULT_WEIGHTS in capsys.readouterr().out


def test_results_given_are_scored_beside_trackers(tmp_path, capsys):
    draw_sequence(tmp_path / "data" / "one", 0, frames=4, masks=False)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "one.txt").write_text((tmp_path / "data" / "one" / "groundtruth.txt").read_text())
    out = tmp_path / "scores.json"
    command = ["eval", "--dataset", str(tmp_path / "data"), "--json", str(out)]
    assert main([*command, "--tracker", "opencv:mil", str(theirs)]) == 0
    content = json.loads(out.read_text())["trackers"]
    assert content["theirs"]["mean_iou"] == pytest.approx(1)
    assert 0 <= content["opencv-mil"]["mean_iou"] < 1
    assert main([*command, "--tracker", str(theirs), str(theirs)]) == 1
    assert "theirs" in capsys.readouterr().err
