"""The measures against other implementations of them: GOT-10k's tool kit, VOT's, and slow ones here."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from siam_tracker_ros.evaluation import davis, real_time, vot
from siam_tracker_ros.evaluation.davis import mask_overlap
from siam_tracker_ros.evaluation.one_pass_metrics import (
    NORMALISED_THRESHOLDS,
    center_errors,
    normalised_center_errors,
    one_pass_scores,
    overlaps,
    precision_curve,
    success_curve,
)
from siam_tracker_ros.evaluation.regions import (
    MaskRegion,
    Polygon,
    RegionError,
    bounding_box,
    format_region,
    parse_region,
    region_overlap,
)
from siam_tracker_ros.footage.sequence_folder import read_sequence
from siam_tracker_ros.tracking.boxes import Box

SIZE = (320, 240)
TOOL_KITS = 1e-3


def wandering(frames: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A truth that moves and a result that follows it well, badly and not at all."""
    random = np.random.default_rng(seed)
    truth = np.column_stack(
        [
            100 + np.cumsum(random.normal(0, 3, frames)),
            80 + np.cumsum(random.normal(0, 3, frames)),
            random.uniform(30, 60, frames),
            random.uniform(20, 50, frames),
        ]
    )
    strength = np.repeat(random.uniform(0, 12, frames // 10 + 1), 10)[:frames, None]
    found = truth + random.normal(0, 1, truth.shape) * strength
    found[:, 2:] = np.maximum(found[:, 2:], 5)
    found[0] = truth[0]
    return found, truth


class TestOnePass:
    def test_otb_measures_are_those_of_the_got10k_tool_kit(self) -> None:
        otb = pytest.importorskip("got10k.experiments.otb", reason="NOT TESTED: no got10k tool kit")
        experiment = SimpleNamespace(nbins_iou=21, nbins_ce=51)
        found, truth = wandering()
        ious, errors = otb.ExperimentOTB._calc_metrics(experiment, found, truth)
        success, precision = otb.ExperimentOTB._calc_curves(experiment, ious, errors)
        np.testing.assert_allclose(success_curve(overlaps(found, truth)), success, atol=1e-12)
        np.testing.assert_allclose(precision_curve(center_errors(found, truth)), precision, atol=1e-12)
        scores = one_pass_scores(found, truth)
        assert scores.auc == pytest.approx(success.mean(), abs=TOOL_KITS)
        assert scores.precision20 == pytest.approx(precision[20], abs=TOOL_KITS)

    def test_got10k_measures_are_those_of_its_tool_kit(self) -> None:
        kit = pytest.importorskip("got10k.experiments.got10k", reason="NOT TESTED: no got10k tool kit")
        from got10k.utils.metrics import rect_iou

        found, truth = wandering(seed=3)
        ious = rect_iou(found[1:].copy(), truth[1:].copy(), bound=SIZE)
        ao, sr50, _, curve = kit.ExperimentGOT10k._evaluate(None, ious, np.array([]))
        scores = one_pass_scores(found, truth, SIZE)
        assert (scores.ao, scores.sr50, scores.sr75) == pytest.approx((ao, sr50, curve[75]), abs=1e-12)

    def test_normalised_precision_divides_by_the_size_of_the_target(self) -> None:
        truth = np.array([[0, 0, 100, 50]] * 3)
        found = truth + np.array([[0, 0, 0, 0], [30, 0, 0, 0], [0, 20, 0, 0]])
        errors = normalised_center_errors(found, truth)
        assert errors == pytest.approx([0, 0.3, 0.4])
        scores = one_pass_scores(found, truth)
        assert scores.norm_precision20 == pytest.approx(1 / 3)
        # 51 thresholds: all have the first frame, from 0.30 on the second, from 0.40 on the third.
        assert scores.norm_precision == pytest.approx((51 + 21 + 11) / (3 * len(NORMALISED_THRESHOLDS)))

    def test_absent_targets_say_nothing_and_missing_results_are_misses(self) -> None:
        truth = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [math.nan] * 4, [5, 5, 0, 0], [0, 0, 10, 10]])
        found = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 9, 9], [math.nan] * 4])
        scores = one_pass_scores(found, truth, SIZE)
        assert scores.mean_iou == scores.ao == pytest.approx(0.5)
        assert scores.precision20 == pytest.approx(2 / 3)
        assert scores.success50 == pytest.approx(0.5)

    def test_nothing_to_measure_is_not_a_number(self) -> None:
        scores = one_pass_scores([[0, 0, 5, 5], [0, 0, 5, 5]], [[0, 0, 0, 0]] * 2)
        assert all(math.isnan(value) for value in vars(scores).values())


def some_regions(random: np.random.Generator) -> Any:
    """A region of ours and the same one of the VOT tool kit's."""
    shapes = pytest.importorskip("vot.region", reason="NOT TESTED: no VOT tool kit")
    kind = random.integers(3)
    if kind == 0:
        x, y, w, h = random.uniform([-20, -20, 3, 3], [120, 90, 190, 150])
        return Box(x, y, w, h), shapes.Rectangle(x, y, w, h)
    if kind == 1:
        angle = random.uniform(0, np.pi)
        sides = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * random.uniform(3, 90, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = sides @ turn.T + random.uniform(0, 160, 2)
        return Polygon(corners), shapes.Polygon([tuple(corner) for corner in corners])
    mask = random.random(random.integers(5, 120, 2)) > 0.4
    x, y = (int(value) for value in random.integers(0, 90, 2))
    return MaskRegion(mask, x, y), shapes.Mask(mask.astype(np.uint8), (x, y))


class TestRegions:
    def test_overlaps_of_boxes_polygons_and_masks_are_those_of_the_vot_tool_kit(self) -> None:
        random = np.random.default_rng(1)
        pairs = [(some_regions(random), some_regions(random)) for _ in range(400)]
        from vot.region import calculate_overlap

        ours = [region_overlap(a, b, SIZE) for (a, _), (b, _) in pairs]
        theirs = [calculate_overlap(a, b, SIZE) for (_, a), (_, b) in pairs]
        assert max(theirs) > 0.3
        np.testing.assert_allclose(ours, theirs, atol=TOOL_KITS)

    def test_lines_are_read_as_the_vot_tool_kit_reads_them_and_written_back(self) -> None:
        random = np.random.default_rng(2)
        kinds = pytest.importorskip("vot.region.io", reason="NOT TESTED: no VOT tool kit")
        for ours, _ in (some_regions(random) for _ in range(60)):
            line = format_region(ours)
            read = parse_region(line)
            theirs = kinds.parse_region(line)
            assert read is not None
            assert bounding_box(read) == pytest.approx(bounding_box(ours), abs=1e-3)
            if isinstance(read, MaskRegion):
                full = np.zeros(
                    (theirs.mask.shape[0] + theirs.offset[1], theirs.mask.shape[1] + theirs.offset[0])
                )
                full[theirs.offset[1] :, theirs.offset[0] :] = theirs.mask
                window = full[read.y : read.y + read.mask.shape[0], read.x : read.x + read.mask.shape[1]]
                np.testing.assert_array_equal(read.mask[: window.shape[0], : window.shape[1]], window > 0)
                assert read.mask.sum() == theirs.mask.sum()

    @pytest.mark.parametrize("line", ["0", "1", "nan,nan,nan,nan", "NaN NaN NaN NaN"])
    def test_codes_and_nan_are_no_region(self, line: str) -> None:
        assert parse_region(line) is None

    @pytest.mark.parametrize("line", ["", "1,2", "1,2,3,4,5", "a,b,c,d", "m1,2", "m0,0,2,2,9"])
    def test_what_is_no_region_is_refused(self, line: str) -> None:
        with pytest.raises(RegionError):
            parse_region(line)

    def test_a_polygon_that_is_not_convex_is_filled_within_its_outline(self) -> None:
        arrow = Polygon(np.array([[0, 0], [40, 0], [40, 40], [20, 10]], dtype=float))
        assert region_overlap(arrow, Box(0, 20, 15, 20)) == 0
        assert region_overlap(arrow, Box(0, 0, 41, 41)) == pytest.approx(600 / 1600, abs=0.03)

    def test_nothing_and_nothing_agree(self) -> None:
        assert region_overlap(None, None) == 1
        assert region_overlap(None, Box(0, 0, 5, 5)) == 0


def overlaps_like_a_run(random: np.random.Generator, frames: int) -> np.ndarray:
    values = np.clip(0.6 + np.cumsum(random.normal(0, 0.08, frames)), 0, 1)
    return np.where(random.random(frames) < 0.02, 0, values)


def supervised(random: np.random.Generator, frames: int) -> vot.SupervisedRun:
    values = overlaps_like_a_run(random, frames)
    starts, failures, frame = [0], [], 1
    while frame < frames:
        if values[frame] <= 0:
            failures.append(frame)
            frame += vot.RESTART_AFTER
            if frame < frames:
                starts.append(frame)
        frame += 1
    return vot.SupervisedRun(values, tuple(starts), tuple(failures))


class TestSupervised:
    """Against the VOT tool kit, its overlaps replaced by ours."""

    @pytest.fixture
    def kit(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        kit = pytest.importorskip("vot.analysis.supervised", reason="NOT TESTED: no VOT tool kit")
        monkeypatch.setattr(kit, "calculate_overlaps", lambda trajectory, *_: [r.overlap for r in trajectory])
        monkeypatch.setattr(kit, "is_special", lambda region, code=None: region.code == code)
        return kit

    @pytest.fixture
    def runs(self) -> list[vot.SupervisedRun]:
        random = np.random.default_rng(7)
        return [supervised(random, int(frames)) for frames in random.integers(60, 400, 12)]

    @staticmethod
    def trajectory(run: vot.SupervisedRun) -> list[Any]:
        from vot.tracker import Trajectory

        codes: list[int | None] = [None] * len(run.overlaps)
        for failure in run.failures:
            for frame in range(failure, min(failure + vot.RESTART_AFTER, len(codes))):
                codes[frame] = Trajectory.UNKNOWN
            codes[failure] = Trajectory.FAILURE
        for start in run.starts:
            codes[start] = Trajectory.INITIALIZATION
        return [SimpleNamespace(code=code, overlap=o) for code, o in zip(codes, run.overlaps, strict=True)]

    def test_accuracy_and_failures(self, kit: Any, runs: list[vot.SupervisedRun]) -> None:
        assert sum(len(run.failures) for run in runs) > 5
        sequence = SimpleNamespace(groundtruth=lambda: None, size=SIZE)
        for run in runs:
            trajectory = self.trajectory(run)
            assert vot.supervised_accuracy(run) == pytest.approx(
                kit.compute_accuracy(trajectory, sequence)[0]
            )
            assert len(run.failures) == kit.count_failures(trajectory)[0]

    def test_scores_over_sequences(self, kit: Any, runs: list[vot.SupervisedRun]) -> None:
        rows = [(vot.supervised_accuracy(run), len(run.failures), None, len(run.overlaps)) for run in runs]
        accuracy, failures, (reliable, _), _ = kit.AverageAccuracyRobustness().aggregate(None, [], rows)
        scores = vot.supervised_scores(runs)
        assert scores.accuracy == pytest.approx(accuracy)
        assert scores.robustness == pytest.approx(failures)
        assert scores.reliability == pytest.approx(reliable)

    def test_expected_average_overlap(self, kit: Any, runs: list[vot.SupervisedRun]) -> None:
        pieces, success = [], []
        for run in runs:
            for i, start in enumerate(run.starts):
                failed = i < len(run.failures)
                pieces.append(run.overlaps[start : run.failures[i]] if failed else run.overlaps[start:])
                success.append(not failed)
        theirs = kit.compute_eao_curve(pieces, [1] * len(pieces), success)
        ours = vot.supervised_eao_curve(runs)
        np.testing.assert_allclose(ours, theirs, atol=TOOL_KITS)
        assert vot.eao(ours, 50, 150) == pytest.approx(np.mean(theirs[50:151]), abs=TOOL_KITS)

    def test_lengths_beyond_every_run_are_refused(self, runs: list[vot.SupervisedRun]) -> None:
        with pytest.raises(vot.NoRunsError, match="1000 frames"):
            vot.eao(vot.supervised_eao_curve(runs), 1000, 2000)


class TestAnchored:
    """Against the VOT tool kit's own analyses, with trajectories that carry our overlaps."""

    @pytest.fixture
    def sequences(self) -> list[vot.AnchoredSequence]:
        random = np.random.default_rng(11)
        made = []
        for frames in random.integers(60, 300, 8).tolist():
            runs = []
            for start in range(0, frames - 20, 50):
                values = overlaps_like_a_run(random, frames - start)
                if random.random() < 0.5:
                    values[int(random.integers(5, len(values))) :] = 0.05
                runs.append(vot.AnchoredRun(values, random.random(len(values)) > 0.02))
            made.append(vot.AnchoredSequence(frames, tuple(runs)))
        return made

    @pytest.fixture
    def kit(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The tool kit, made to believe that the runs are on disk."""
        kit = pytest.importorskip("vot.analysis.multistart", reason="NOT TESTED: no VOT tool kit")
        monkeypatch.setattr(kit, "find_anchors", lambda sequence, _: (sequence.anchors, []))
        monkeypatch.setattr(kit, "calculate_overlaps", lambda regions, *_, **__: list(regions))
        monkeypatch.setattr(kit, "FrameMapSequence", lambda sequence, frames: sequence.proxy(frames))
        return kit

    @staticmethod
    def as_theirs(sequence: vot.AnchoredSequence, kit: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        runs = {sequence.frames - len(run.overlaps): run for run in sequence.runs}

        class Proxy(list):
            size = SIZE

            def __init__(self, frames: list[int]) -> None:
                super().__init__(frames)
                self.visible = runs[frames[0]].visible

            def groundtruth(self, frame: int | None = None) -> Any:
                return frame if frame is None else SimpleNamespace(is_empty=lambda: not self.visible[frame])

            def object(self, _: str) -> None:
                return None

        class Theirs(list):
            name = "sequence"
            anchors = tuple(runs)

            @staticmethod
            def proxy(frames: list[int]) -> Proxy:
                return Proxy(frames)

        monkeypatch.setattr(
            kit,
            "Trajectory",
            SimpleNamespace(
                exists=lambda *_: True,
                read=lambda _, name: SimpleNamespace(
                    regions=lambda: runs[int(name.rsplit("_", 1)[1])].overlaps.copy()
                ),
            ),
        )
        return Theirs(range(sequence.frames))

    def test_accuracy_robustness_and_expected_average_overlap(
        self, kit: Any, sequences: list[vot.AnchoredSequence], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        experiment = SimpleNamespace(results=lambda *_: None, anchor="anchor")
        rows, curves = [], []
        for sequence in sequences:
            theirs = self.as_theirs(sequence, kit, monkeypatch)
            rows.append(kit.AccuracyRobustness().subcompute(experiment, None, theirs, []))
            curves.append(kit.EAOCurves(high=200).subcompute(experiment, None, theirs, []))
        accuracy, robustness, *_ = kit.AverageAccuracyRobustness().aggregate(None, [], rows)
        (curve,) = kit.EAOCurve(high=200).aggregate(None, [], curves)
        scores = vot.anchored_scores(sequences)
        assert 0.3 < robustness < 0.98
        assert scores.accuracy == pytest.approx(accuracy, abs=1e-9)
        assert scores.robustness == pytest.approx(robustness, abs=1e-9)
        np.testing.assert_allclose(vot.anchored_eao_curve(sequences, 200), curve, atol=1e-9)


class TestLongTerm:
    def test_precision_recall_and_f_are_those_of_the_vot_tool_kit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kit = pytest.importorskip("vot.analysis.longterm", reason="NOT TESTED: no VOT tool kit")
        kinds = pytest.importorskip("vot.region")
        monkeypatch.setattr(kit, "calculate_overlaps", lambda trajectory, *_, **__: trajectory)
        random = np.random.default_rng(5)
        runs = []
        for frames in (150, 90, 220):
            visible = np.repeat(random.random(frames // 10 + 1) > 0.3, 10)[:frames]
            values = overlaps_like_a_run(random, frames) * visible
            runs.append(
                vot.LongTermRun(values, np.clip(values + random.normal(0, 0.3, frames), 0, 1), visible)
            )
        thresholds = kit.determine_thresholds([c for run in runs for c in run.confidences], 100)
        np.testing.assert_array_equal(
            vot.long_term_thresholds(np.concatenate([run.confidences for run in runs])), thresholds
        )
        curves = []
        for run in runs:
            truth = [kinds.Rectangle(0, 0, 5, 5) if seen else kinds.Special(0) for seen in run.visible]
            sequence = SimpleNamespace(groundtruth=lambda truth=truth: truth, size=SIZE)
            pr, re = kit.compute_tpr_curves(list(run.overlaps), list(run.confidences), sequence, thresholds)
            curves.append((list(zip(pr, re, strict=True)), thresholds))
        curve, _ = kit.PrecisionRecallCurve().aggregate(None, [], curves)
        f_curve = [2 * p * r / (p + r) for r, p in curve]
        best = int(np.argmax(f_curve))
        scores = vot.long_term_scores(runs)
        assert scores.f1 == pytest.approx(f_curve[best])
        assert (scores.recall, scores.precision) == pytest.approx(curve[best])


class TestDavis:
    def test_contours_match_those_found_by_hand(self) -> None:
        mask = np.zeros((6, 6), dtype=bool)
        mask[2:4, 2:5] = True
        expected = np.zeros_like(mask)
        # Px whose right, lower or lower right neighbour is of the other kind.
        for y in range(5):
            for x in range(5):
                around = {mask[y, x + 1], mask[y + 1, x], mask[y + 1, x + 1]}
                expected[y, x] = around != {mask[y, x]}
        np.testing.assert_array_equal(davis.contour(mask), expected)
        assert not davis.contour(np.ones((4, 4), dtype=bool)).any()

    def test_contour_accuracy_equals_a_slow_count_of_px(self, data_dir: Any) -> None:
        sequence = read_sequence(data_dir / "sequences" / "davis_blackswan")
        truth, found = (
            cv2.resize(cv2.imread(str(sequence.masks[i]), cv2.IMREAD_GRAYSCALE), (160, 90)) > 127
            for i in (0, 12)
        )
        radius = math.ceil(0.008 * math.hypot(160, 90))
        a, b = (np.argwhere(davis.contour(mask)) for mask in (found, truth))
        near = ((a[:, None] - b[None]) ** 2).sum(axis=2) <= radius**2
        precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
        assert 0.3 < precision < 0.99
        assert davis.contour_accuracy(found, truth) == pytest.approx(
            2 * precision * recall / (precision + recall), abs=1e-9
        )

    def test_region_similarity_is_that_of_the_vot_tool_kit(self, data_dir: Any) -> None:
        kit = pytest.importorskip("vot.region", reason="NOT TESTED: no VOT tool kit")
        sequence = read_sequence(data_dir / "sequences" / "davis_dog")
        mask = cv2.imread(str(sequence.masks[0]), cv2.IMREAD_GRAYSCALE) > 127
        found = np.roll(mask, 6, axis=1)
        theirs = kit.calculate_overlap(*(kit.Mask(one.astype(np.uint8), (0, 0)) for one in (found, mask)))
        assert mask_overlap(found, mask) == pytest.approx(theirs, abs=1e-9)

    def test_one_without_a_contour_is_wrong_and_none_at_all_is_right(self) -> None:
        empty, some = np.zeros((20, 20), dtype=bool), np.zeros((20, 20), dtype=bool)
        some[5:9, 5:9] = True
        assert davis.contour_accuracy(empty, empty) == 1
        assert davis.contour_accuracy(some, empty) == davis.contour_accuracy(empty, some) == 0

    def test_decay_is_the_first_quarter_less_the_last(self) -> None:
        values = np.concatenate([np.full(25, 0.9), np.full(50, 0.6), np.full(25, 0.3)])
        found = davis.statistics(values)
        assert found.mean == pytest.approx(0.6)
        assert found.recall == pytest.approx(0.75)
        assert found.decay == pytest.approx(0.9 * 25 / 26 + 0.6 / 26 - 0.3, abs=0.02)


class TestRealTime:
    def test_a_fast_tracker_sees_every_frame_and_answers_one_late(self) -> None:
        schedule = real_time.real_time(6, rate=10, process=lambda _: 0.05)
        assert schedule.processed == (0, 1, 2, 3, 4, 5)
        assert schedule.answers == (0, 0, 1, 2, 3, 4)

    def test_an_instant_tracker_loses_nothing(self) -> None:
        schedule = real_time.real_time(4, rate=30, process=lambda _: 0.0)
        assert schedule.answers == (0, 1, 2, 3)

    def test_a_slow_tracker_skips_to_the_newest_frame(self) -> None:
        schedule = real_time.real_time(11, rate=10, process=lambda _: 0.25)
        # Free at 0.35, 0.60, 0.85, 1.10 s: what has arrived by then is taken.
        assert schedule.processed == (0, 1, 3, 6, 8, 10)
        assert schedule.answers[:10] == (0, 0, 0, 0, 1, 1, 3, 3, 3, 6)
        assert schedule.dropped == 5

    @pytest.mark.parametrize("rate", [0, -1, math.nan])
    def test_a_rate_that_no_camera_has_is_refused(self, rate: float) -> None:
        with pytest.raises(real_time.FrameRateError):
            real_time.real_time(5, rate, lambda _: 0.0)
