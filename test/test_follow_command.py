"""`siam-tracker follow`: what it starts, and what it makes of a recording, without a graph."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_ros.bringup.follow_plan import FollowArguments, plan_follow
from siam_tracker_ros.bringup.process import Plan, Process
from siam_tracker_ros.cli import main
from siam_tracker_ros.control.frames import AngularRates
from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.demo.follow_measures import FollowMeasures, Occlusion
from siam_tracker_ros.demo.follow_plot import plot_follow
from siam_tracker_ros.nodes.gimbal_sim_parameters import GimbalSimParameters
from siam_tracker_ros.nodes.parameter_struct import checked
from siam_tracker_ros.nodes.servo_parameters import ServoParameters
from siam_tracker_ros.simulation.loop_record import LoopRecord, LoopSample


def process(plan: Plan, name: str) -> Process:
    return next(one for one in plan.processes if one.name == name)


def test_everything_is_started_and_in_order(tmp_path: Path) -> None:
    plan = plan_follow(FollowArguments(bag=str(tmp_path / "bag")))
    names = [one.name for one in plan.processes]
    assert set(names) == {
        "recorder",
        "overlay_node",
        "tracker_node",
        "gimbal_sim_node",
        "servo_node",
        "follow_once",
    }
    # The recording begins before and ends after everything that it hears.
    assert names[0] == "recorder"
    assert plan.lifecycle_nodes == ["tracker_node", "servo_node"]
    assert process(plan, "gimbal_sim_node").after == "tracker_node"
    assert process(plan, "follow_once").after == "servo_node"
    # Its end is the end of the run.
    assert process(plan, "follow_once").end_means(0) == "finish"
    recorded = process(plan, "recorder").arguments
    for topic in ("tracks", "truth/tracks", "truth/bearing", "servo_state", "joint_states", "cmd_rate"):
        assert f"/{topic}" in recorded


def test_parameters_are_known_to_the_nodes(tmp_path: Path) -> None:
    plan = plan_follow(FollowArguments(bag=str(tmp_path / "bag"), latency=0.05, actuator_lag=0.1))
    simulated = dict(process(plan, "gimbal_sim_node").parameters)
    assert "use_sim_time" not in simulated  # it makes the time
    assert checked(GimbalSimParameters, simulated).latency == 0.05
    servo = dict(process(plan, "servo_node").parameters)
    assert servo.pop("use_sim_time") is True
    assert checked(ServoParameters, servo).actuator_lag == simulated["actuator_lag"] == 0.1


def test_true_bearings_take_the_trackers_place(tmp_path: Path) -> None:
    plan = plan_follow(FollowArguments(bag=str(tmp_path / "bag"), perfect=True))
    assert "tracker_node" not in [one.name for one in plan.processes]
    assert process(plan, "servo_node").remappings["tracks"] == "truth/tracks"
    assert process(plan, "overlay_node").remappings["tracks"] == "truth/tracks"
    assert "--perfect" in process(plan, "follow_once").arguments
    assert plan.starts_at_once(process(plan, "gimbal_sim_node"))


def test_on_the_wall_clock_nobody_waits(tmp_path: Path) -> None:
    plan = plan_follow(FollowArguments(bag=str(tmp_path / "bag"), clock="wall"))
    assert process(plan, "gimbal_sim_node").parameters["clock"] == "wall"
    assert all("use_sim_time" not in one.parameters for one in plan.processes)


STILL = AngularRates(0.0, 0.0)


def measures() -> FollowMeasures:
    """Two seconds disarmed, two to settle, then six of pursuit with an occlusion in their middle."""
    samples = []
    for number in range(1000):
        t = number / 100
        degrees = 8.0 if t < 2.5 else 0.2 if t < 4 else 10.0 if 6 <= t < 7 else 1.0
        state = ServoState.DISARMED if t < 2 else ServoState.COASTING if 6 <= t < 7 else ServoState.ARMED
        target = STILL if t < 4 else AngularRates(0.3, 0.0)
        samples.append(LoopSample(t, math.radians(degrees), STILL, STILL, target, state, 1.0))
    occlusion = Occlusion(6.0, 7.0, 0.8)
    return FollowMeasures(LoopRecord(samples), 2.0, 4.0, 9.99, (occlusion,), True, {"TRACKING": 150}, 300)


def test_numbers_by_hand() -> None:
    found = measures().as_json()
    assert found["settle_s"] == pytest.approx(0.5)
    assert found["rms_error_deg"] == pytest.approx(1.0)
    assert found["p95_error_deg"] == pytest.approx(1.0)
    assert found["rms_error_with_occlusions_deg"] == pytest.approx(math.sqrt((5 + 100) / 6), rel=0.01)
    assert found["peak_target_rate_deg_s"] == pytest.approx(math.degrees(0.3), abs=1e-3)
    (occlusion,) = found["occlusions"]
    assert occlusion == {
        "start_s": 2.0,
        "duration_s": 1.0,
        "wholly_hidden_s": 0.8,
        "max_error_deg": pytest.approx(10.0),
        "max_error_after_deg": pytest.approx(1.0),
        "coasted": True,
        "followed_again_s": 0.0,
    }
    assert found["servo_states"] == {
        "ARMED": pytest.approx(5 / 6, abs=0.01),
        "COASTING": pytest.approx(1 / 6, abs=0.01),
    }


def test_what_never_settles_and_is_never_found_again_is_none() -> None:
    run = measures()
    lost = [replace(one, error=0.5, state=ServoState.HOLDING) for one in run.record.samples]
    found = replace(run, record=LoopRecord(lost)).as_json()
    assert found["settle_s"] is None
    assert found["occlusions"][0]["followed_again_s"] is None
    assert found["occlusions"][0]["coasted"] is False


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    plot_follow(measures(), tmp_path / "deep" / "servo.png", "a run")
    picture = cv2.imread(str(tmp_path / "deep" / "servo.png"))
    assert picture.shape[1] > 800
    assert np.ptp(picture) > 200


def test_what_is_in_the_way_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letters = tmp_path / "servo_bag"
    letters.mkdir()
    (letters / "letter.txt").write_text("dear")
    assert main(["follow", "--out", str(tmp_path / "servo")]) == 1
    assert "it is no bag" in capsys.readouterr().err
    assert (letters / "letter.txt").exists()
    assert main(["follow", "--measure", str(tmp_path / "nothing")]) == 1
    assert "no bag" in capsys.readouterr().err
    assert main(["follow", "--no-record", "--out", str(tmp_path / "servo")]) == 1
    assert "measured from its recording" in capsys.readouterr().err
