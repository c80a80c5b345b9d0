"""The servo node on a DDS graph, in tests that need a process of their own: how it ends, and what ails it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from graph_process import DEADLINE_S
from graph_servo import ServoGraph, moving, servo_process
from std_msgs.msg import String

from siam_tracker_msgs.msg import ServoState


@pytest.mark.parametrize("transition", ["deactivate", "active_shutdown"])
def test_zeros_are_the_last_that_goes_out(ros_domain: int, transition: str) -> None:
    with servo_process() as process:
        graph = ServoGraph(process)
        graph.follow()
        graph.commands.clear()
        assert graph.change_state(transition)
        graph.diagnosis("inactive" if transition == "deactivate" else "finalized")
        assert not any(map(moving, graph.commands[-5:]))
        assert len(graph.commands) >= 5
        last = len(graph.commands)
        graph.diagnosis("")
        assert len(graph.commands) == last  # silent
        graph.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_zeros_are_the_last_of_a_process_that_is_ended(ros_domain: int, number: int) -> None:
    with servo_process() as process:
        graph = ServoGraph(process)
        graph.follow()
        graph.commands.clear()
        process.send_signal(number)
        graph.wait(lambda: process.poll() is not None, "the end of the process", alive=False)
        assert process.returncode == 0
        graph.wait(lambda: len(graph.commands) >= 5, "the last commands", alive=False)
        assert not any(map(moving, graph.commands[-5:]))
        graph.close()


@pytest.fixture
def troubled(ros_domain: int) -> Iterator[ServoGraph]:
    """A node whose loop goes wrong as the test says."""
    with servo_process(script=Path(__file__).with_name("servo_with_troubles.py")) as process:
        graph = ServoGraph(process)
        graph.follow()
        yield graph
        graph.close()


def trouble(graph: ServoGraph, kind: str) -> None:
    publisher = graph.node.create_publisher(String, "trouble", 10)
    graph.wait(publisher.get_subscription_count, "the node's ear")
    publisher.publish(String(data=kind))


def test_zero_on_an_exception_in_the_loop(troubled: ServoGraph) -> None:
    trouble(troubled, "exception")
    assert "ZeroDivisionError: as asked for" in troubled.reaches(ServoState.FAULT).reason
    troubled.stands()


def test_an_output_that_fails_is_a_fault_and_the_others_hear_of_it(troubled: ServoGraph) -> None:
    trouble(troubled, "output")
    state = troubled.reaches(ServoState.FAULT, "cannot send the command: OSError: the line is dead")
    assert state.azimuth_rate == 0


def test_zero_while_the_loop_stands_still(troubled: ServoGraph) -> None:
    troubled.states.clear()
    trouble(troubled, "standstill")
    held = troubled.reaches(ServoState.HOLDING, "the control loop has stood still")
    assert held.azimuth_rate == 0
    troubled.wait(
        lambda: sum("has stood still" in state.reason for state in troubled.states) > 10,
        "zeros by the watchdog, repeated",
    )
    assert not any(s.azimuth_rate or s.elevation_rate for s in troubled.states if "stood still" in s.reason)
    troubled.moves()  # and on it goes, from new observations
    assert int(troubled.diagnosis("armed")[1]["standstills of the loop"]) >= 1


@pytest.mark.parametrize("given", ["azimuth_rate:=.inf", "azimuth_rate:=-1.0", "coast:=0.1"])
def test_what_is_not_safe_is_refused_at_the_start(ros_domain: int, given: str) -> None:
    command = [sys.executable, "-m", "siam_tracker_ros.nodes.servo_node", "--ros-args", "-p", given]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, start_new_session=True, check=False
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert given.split(":")[0] in line


def test_time_that_jumps_back_is_a_new_start(ros_domain: int) -> None:
    with servo_process("-p", "use_sim_time:=true") as process:
        graph = ServoGraph(process)
        graph.simulated_ns = 100_000_000_000
        graph.follow()
        graph.joints = graph.track = None
        graph.simulated_ns = 50_000_000_000
        graph.reaches(ServoState.HOLDING, "no attitude yet")
        graph.stands()
        graph.calm()
        graph.moves()
        assert graph.diagnosis("armed")[1]["jumps of the clock"] == "1"
        # Paused, the simulation gets zero by the steady clock.
        paused, graph.simulated_ns = graph.simulated_ns, None
        graph.joints = graph.track = None
        graph.reaches(ServoState.HOLDING, "stood still")
        graph.stands()
        graph.simulated_ns = paused
        graph.calm()
        graph.moves()
        graph.close()
