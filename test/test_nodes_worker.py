"""The worker's bookkeeping without a graph: catching up, order, refusals, failures of the tracker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("siam_tracker_msgs.srv", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_ros.footage.image_conversion import UnknownEncodingError
from siam_tracker_ros.nodes.init_request import InitRefusedError, InitRequest, Refusal, box_in_frame
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters
from siam_tracker_ros.nodes.tracking_worker import FrameReport, NotActiveError, TrackingWorker
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.result import TrackResult, TrackState
from siam_tracker_ros.tracking.stage_times import StageMs

DEADLINE_S = 30.0
STEP_NS = 10_000_000


class FakeTracker:
    """Notes in which frames (by the value of their pixels) each target was tracked."""

    has_masks = False

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.state = TrackState.TRACKING
        self.fails = False
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Event()
        self.stages = SimpleNamespace(milliseconds=StageMs(1.0, 20.0, 300.0))

    def init(self, frame: np.ndarray, box: Box, stamp: float) -> SimpleNamespace:
        return SimpleNamespace(start=int(frame[0, 0, 0]))

    def track(self, frame: np.ndarray, targets: list[Any], masks: bool, stamp: float) -> list[TrackResult]:
        self.entered.set()
        assert self.go_on.wait(DEADLINE_S)
        if self.fails:
            raise RuntimeError("out of memory")
        self.steps += [(target.start, int(frame[0, 0, 0])) for target in targets]
        return [TrackResult(Box(1, 1, 8, 8), 0.9, 0.9, self.state, (0.0, 0.0)) for _ in targets]


class Notes:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[FrameReport] = []
        self.warnings: list[str] = []
        self.told = threading.Condition()

    def on_report(self, report: FrameReport) -> None:
        with self.told:
            self.reports.append(report)
            self.told.notify_all()

    def on_warning(self, text: str) -> None:
        with self.told:
            self.warnings.append(text)
            self.told.notify_all()

    def on_change(self) -> None:
        pass

    def masks_wanted(self) -> bool:
        return False

    def wait(self, until: Callable[[], Any]) -> Any:
        with self.told:
            assert self.told.wait_for(until, DEADLINE_S)
            return until()


class Rig:
    """A worker with a fake tracker; image `n` has the stamp n * STEP_NS and pixels of value n."""

    def __init__(self, **parameters: Any) -> None:
        self.tracker, self.notes = FakeTracker(), Notes()
        self.refused = threading.Semaphore(0)
        self.worker = TrackingWorker(self.tracker, TrackerParameters(**parameters), self.convert, self.notes)
        self.worker.start()

    def convert(self, message: Any) -> np.ndarray:
        if message.number < 0:
            self.refused.release()
            raise UnknownEncodingError("encoding 'x'")
        return np.full((message.size, message.size, 3), message.number, np.uint8)

    def offer(self, number: int, size: int = 64, frame_id: str = "camera", stamp: int | None = None) -> None:
        stamp_ns = (number if stamp is None else stamp) * STEP_NS
        header = SimpleNamespace(
            frame_id=frame_id, stamp=SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        )
        message = SimpleNamespace(header=header, number=number, size=size, data=bytes(10))
        self.worker.offer(message, 0)

    def process(self, number: int, **change: Any) -> FrameReport:
        """Offer an image and wait until it is reported."""
        self.offer(number, **change)
        return self.notes.wait(
            lambda: next((r for r in self.notes.reports if r.image.message.number == number), None)
        )

    def start_on(self, number: int, id: str = "a") -> Any:
        request = InitRequest(number * STEP_NS, "", id, False, 30, 30, 20, 20)
        return self.worker.init(request).result(DEADLINE_S)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.tracker.go_on.set()
    assert made.worker.stop()


def ids(report: FrameReport) -> list[str]:
    return [target.id for target in report.targets]


def test_target_on_a_past_image_goes_through_every_kept_one(rig: Rig) -> None:
    for number in range(1, 11):
        rig.process(number)
    rig.start_on(4)
    numbers = iter(range(11, 60))
    while not ids(rig.process(number := next(numbers))):
        pass
    assert rig.tracker.steps == [(4, step) for step in range(5, number + 1)]


def test_catching_up_takes_no_more_steps_than_asked() -> None:
    rig = Rig(catch_up_frames=3)
    for number in range(1, 31):
        rig.process(number)
    rig.start_on(1)
    numbers = iter(range(31, 60))
    while not ids(rig.process(next(numbers))):
        pass
    steps = [frame for _, frame in rig.tracker.steps]
    assert steps == sorted(set(steps))
    assert len([frame for frame in steps if frame <= 30]) <= 3
    assert rig.worker.stop()


def test_others_are_tracked_while_one_catches_up(rig: Rig) -> None:
    rig.process(1)
    rig.start_on(1, "present")
    for number in range(2, 8):
        rig.process(number)
    rig.start_on(2, "past")
    reports = [rig.process(number) for number in range(8, 12)]
    assert all("present" in ids(report) for report in reports)
    of_present = [frame for start, frame in rig.tracker.steps if start == 1]
    assert of_present == list(range(2, 12))


def test_only_the_newest_image_is_tracked_in_and_the_rest_counted(rig: Rig) -> None:
    rig.process(1)
    rig.start_on(1)
    rig.tracker.go_on.clear()
    rig.offer(2)
    assert rig.tracker.entered.wait(DEADLINE_S)
    for number in range(3, 8):
        rig.offer(number)
    rig.tracker.go_on.set()
    rig.notes.wait(lambda: rig.notes.reports[-1].image.message.number == 7)
    assert rig.tracker.steps == [(1, 2), (1, 7)]
    assert (rig.worker.counts.received, rig.worker.counts.dropped) == (7, 4)


def test_time_since_last_seen_is_image_time(rig: Rig) -> None:
    rig.process(1)
    rig.start_on(1)
    (seen,) = rig.process(2).targets
    rig.tracker.state = TrackState.COASTING
    (unseen,) = rig.process(5).targets
    assert (seen.since_update_ns, unseen.since_update_ns) == (0, 3 * STEP_NS)
    rig.tracker.state = TrackState.UNCERTAIN
    assert rig.process(6).targets[0].since_update_ns == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 32}, "size changed from 64 x 64 to 32 x 32"),
        ({"frame_id": "other"}, "frame_id changed from 'camera' to 'other'"),
        ({"stamp": 1}, "time went back by 0.010 s"),
    ],
)
def test_another_camera_or_time_drops_targets(rig: Rig, change: dict[str, Any], words: str) -> None:
    rig.process(1)
    rig.process(2)
    rig.start_on(2)
    report = rig.process(3, **change)
    assert ids(report) == []
    (lost,) = next(r.targets for r in rig.notes.reports if r.targets)
    assert (lost.id, lost.result.state, lost.result.confidence) == ("a", TrackState.LOST, 0.0)
    assert any(words in warning for warning in rig.notes.warnings)
    assert rig.worker.target_ids == []


def test_failing_tracker_drops_targets_and_the_worker_goes_on(rig: Rig) -> None:
    rig.process(1)
    rig.start_on(1)
    rig.tracker.fails = True
    rig.offer(2)
    rig.notes.wait(lambda: any("out of memory" in warning for warning in rig.notes.warnings))
    rig.notes.wait(lambda: ids(rig.notes.reports[-1]) == ["a"])
    assert rig.notes.reports[-1].targets[0].result.state == TrackState.LOST
    assert "out of memory" in rig.worker.error
    rig.tracker.fails = False
    assert ids(rig.process(3)) == []
    rig.start_on(3)
    assert ids(rig.process(4)) == ["a"]
    assert rig.worker.error == ""


def test_refused_images_are_counted_and_said_once(rig: Rig) -> None:
    for stamp in range(1, 4):
        rig.offer(-1, stamp=stamp)
        assert rig.refused.acquire(timeout=DEADLINE_S)
    rig.process(5)
    assert rig.worker.counts.refused == 3
    assert [warning for warning in rig.notes.warnings if "encoding 'x'" in warning] == [
        "image refused: encoding 'x'"
    ]


def test_open_requests_are_answered_when_the_worker_stops(rig: Rig) -> None:
    request = InitRequest(0, "", "", False, 30, 30, 20, 20)
    waiting = rig.worker.init(request)
    assert rig.worker.stop()
    with pytest.raises(InitRefusedError, match="deactivated") as refusal:
        waiting.result(DEADLINE_S)
    assert refusal.value.code == Refusal.INACTIVE
    with pytest.raises(NotActiveError):
        rig.worker.init(request).result(DEADLINE_S)
    rig.worker.start()


def test_generations_go_on_counting_after_a_stop(rig: Rig) -> None:
    rig.process(1)
    rig.start_on(1)
    assert rig.process(2).targets[0].generation == 1
    assert rig.worker.stop()
    rig.worker.start()
    rig.process(3)
    rig.start_on(3)
    assert rig.process(4).targets[0].generation == 2


def test_box_over_the_whole_image() -> None:
    for request in (
        InitRequest(0, "", "", True, 0.5, 0.5, 1.0, 1.0),
        InitRequest(0, "", "", False, 319.5, 239.5, 640.0, 480.0),
    ):
        assert box_in_frame(request, 640, 480, 4, 0.25) == Box(0, 0, 640, 480)


def test_reports_say_how_long_each_stage_took(rig: Rig) -> None:
    """What the tracker measured, and what is done around it; a farewell took no time."""
    before = rig.process(1).stages
    assert before is not None
    assert before.preprocess > 0
    assert before.postprocess == 0
    rig.start_on(1)
    numbers = iter(range(2, 60))
    while not ids(rig.process(next(numbers))):
        pass
    stages = rig.process(60).stages
    assert stages is not None
    assert stages.preprocess > 1.0
    assert stages.inference >= 20.0
    assert stages.postprocess == 300.0
    rig.worker.drop("").result(DEADLINE_S)
    assert rig.notes.reports[-1].stages is None
