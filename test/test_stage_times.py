"""Each stage gets the time between its beginning and the next one's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_networks import SMALL, seeded
from test_tracker import ENTRY

from siam_tracker_ros.tracking import stage_times
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.stage_times import StageMs, StageTimes

CPU = torch.device("cpu")


def test_stages_that_are_entered_again_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 1.001, 1.021, 1.051, 1.058])
    monkeypatch.setattr(stage_times.time, "perf_counter", lambda: next(seconds))
    times = StageTimes(CPU)
    assert times.milliseconds == StageMs()
    times.start()
    for stage in ("preprocess", "inference", "postprocess", "inference"):
        times.enter(stage)
    assert times.milliseconds == StageMs()
    times.stop()
    assert times.milliseconds == pytest.approx((1.0, 20.0 + 7.0, 30.0))
    times.start()
    assert times.milliseconds == StageMs()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tracker_times_its_last_step(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("NOT TESTED: no GPU here")
    tracker = SiamTracker(ENTRY, seeded(SMALL), device)
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    target = tracker.init(frame, (60, 40, 30, 30))
    tracker.track(frame, [target])
    assert all(ms > 0 for ms in tracker.stages.milliseconds)
    tracker.track(frame, [])
    assert tracker.stages.milliseconds == StageMs()
