"""Tuning: what it calls stable, what it recommends, what it writes; and the shipped gains measured by it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from siam_tracker_ros.cli import main
from siam_tracker_ros.control.camera_model import camera_model
from siam_tracker_ros.control.frames import AngularRates
from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.simulation.closed_loop import LoopConfig
from siam_tracker_ros.simulation.errors import SimulationError
from siam_tracker_ros.simulation.loop_record import LoopRecord, LoopSample
from siam_tracker_ros.simulation.tuning import Trial, summarise, trials

CAMERA = camera_model(640, 480, "plumb_bob", (), (600.0, 0, 320, 0, 600, 240, 0, 0, 1))
SHIPPED = ServoConfig().gains.proportional


def test_the_shipped_gains_do_not_oscillate_from_0_to_200_ms() -> None:
    found = list(trials(CAMERA, LoopConfig(), [SHIPPED], [0.0, 0.05, 0.1, 0.15, 0.2]))
    assert all(one.stable for one in found)
    assert max(one.overshoot for one in found) < 0.1
    assert max(math.degrees(one.residual_rate) for one in found) < 0.5


def test_the_figure_of_eight_is_followed_within_a_degree_and_a_half() -> None:
    (one,) = trials(CAMERA, LoopConfig(), [SHIPPED], [0.08], peak_rate=math.radians(20))
    assert math.degrees(one.pursuit) < 1.5


def test_what_oscillates_is_called_unstable() -> None:
    # Ten corrections of the whole error in a period of the actuator ring by any account.
    (one,) = trials(CAMERA, LoopConfig(), [45.0], [0.1])
    assert not one.stable


def test_noise_makes_it_worse_but_not_unstable() -> None:
    quiet, noisy = (next(trials(CAMERA, LoopConfig(noise_px=px), [SHIPPED], [0.1])) for px in (0.0, 4.0))
    assert quiet.stable
    assert noisy.stable
    assert noisy.pursuit > quiet.pursuit


def test_a_lag_that_is_not_known_makes_it_worse() -> None:
    slow = LoopConfig()
    slow = replace(slow, gimbal=replace(slow.gimbal, lag_s=0.25))
    (one,) = trials(CAMERA, slow, [8.0], [0.1])
    assert one.overshoot > 0.15


def trial(gain: float, latency: float, stable: bool, pursuit: float) -> Trial:
    return Trial(gain, latency, 0.0 if stable else 0.5, 0.0, 0.0, pursuit)


def test_the_best_gain_with_a_margin_is_recommended() -> None:
    found = [
        *(trial(gain, 0.0, True, 1.0 / gain) for gain in (1.0, 2.0, 4.0, 6.0)),
        *(trial(gain, 0.1, gain < 5, 2.0 / gain) for gain in (1.0, 2.0, 4.0, 6.0)),
    ]
    tuning = summarise(found)
    assert tuning.largest_stable == (6.0, 4.0)
    assert tuning.recommended == 2.0  # 4 is stable, but 1.5 times 4 is not known to be
    assert [(one.gain, one.latency) for one in tuning.unstable] == [(6.0, 0.1)]


def test_none_is_recommended_where_none_is_stable() -> None:
    tuning = summarise([trial(1.0, 0.0, False, 1.0), trial(2.0, 0.0, True, 0.5)])
    assert tuning.largest_stable == (None,)
    assert tuning.recommended is None


def test_nothing_to_try_is_an_error() -> None:
    with pytest.raises(SimulationError, match="no gain"):
        list(trials(CAMERA, LoopConfig(), [], [0.1]))


def sample(t: float, degrees: float) -> LoopSample:
    still = AngularRates(0.0, 0.0)
    return LoopSample(t, math.radians(degrees), still, still, still, ServoState.ARMED, 1.0)


def test_a_record_is_measured_as_by_hand() -> None:
    record = LoopRecord([sample(t / 10, e) for t, e in enumerate((9, 3, 0.5, 1.5, 0.5, 0.5, 0.1, 0.2))])
    assert record.settle_time(0.0) == pytest.approx(0.4)
    assert record.settle_time(0.0, 0.35) is None
    assert record.settle_time(0.5) == 0.0
    assert math.degrees(record.between(0.0, 0.2).rms()) == pytest.approx(math.sqrt((81 + 9) / 2))
    assert math.degrees(record.percentile(100)) == pytest.approx(9)
    assert record.without(0.05, 0.65).t.tolist() == [0.0, 0.7]
    assert math.isnan(LoopRecord().rms())
    assert LoopRecord().settle_time(0.0) is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, picture = tmp_path / "out" / "tune.json", tmp_path / "out" / "tune.png"
    options = ["--gains", "6", "3", "45", "--latencies", "0", "80"]
    assert main(["tune", *options, "--json", str(wanted), "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "45 |" in out
    assert "*" in out
    found = json.loads(wanted.read_text())
    assert found["recommended"]["proportional_gain"] == 3.0
    assert [row["latency_s"] for row in found["largest_stable_gain"]] == [0.0, 0.08]
    assert len(found["trials"]) == 6
    assert cv2.imread(str(picture)).shape[1] > 400


def test_the_command_says_when_no_gain_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--gains", "45", "--latencies", "100"]) == 1
    assert "no gain is recommended" in capsys.readouterr().out
    assert main(["tune", "--gains", "-2", "--latencies", "100"]) == 1
    assert "proportional must be a finite number above 0" in capsys.readouterr().err
