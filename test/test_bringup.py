"""What bring-up starts, with which arguments, and how it ends processes; without a graph."""

from __future__ import annotations

import argparse
import ast
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from siam_tracker_ros.bringup import arguments as arguments_module
from siam_tracker_ros.bringup import supervisor as supervisor_module
from siam_tracker_ros.bringup import tracker_plan
from siam_tracker_ros.bringup.arguments import (
    BringUpArguments,
    DemoArguments,
    TrackerArguments,
    add_options,
    from_options,
    from_text,
)
from siam_tracker_ros.bringup.own_domain import free_domain, own_domain
from siam_tracker_ros.bringup.process import (
    BringUpError,
    Plan,
    Process,
    absolute_name,
    dds_environment,
    full_command,
    ros_arguments,
    write_overrides,
)
from siam_tracker_ros.bringup.source_plan import plan_bringup, plan_demo
from siam_tracker_ros.bringup.supervisor import Supervisor, failure_in
from siam_tracker_ros.bringup.tracker_plan import plan_tracker
from siam_tracker_ros.nodes.parameter_struct import ParameterValueError, described

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 60.0


def names(struct: type) -> set[str]:
    return {one.name for one in described(struct)}


def process(plan: Plan, name: str) -> Process:
    (found,) = (one for one in plan.processes if one.name == name)
    return found


# Arguments


def test_arguments_that_users_were_promised() -> None:
    promised = (
        "namespace image_topic camera_info_topic image_transport image_qos model weights device engine "
        "precision params_file autostart use_sim_time log_level rviz selector overlay record servo"
    )
    assert set(promised.split()) <= names(TrackerArguments)


def test_launch_files_and_command_share_their_arguments() -> None:
    """Read as text, as launch may not be installed: each launch file declares one of the shared tables."""
    tables = {}
    for file in (ROOT / "launch").glob("*.launch.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "launch_description":
                tables[file.name] = ast.unparse(call.args[0])
    assert tables["tracker.launch.py"] == "TrackerArguments"
    assert tables["demo.launch.py"] == "DemoArguments"
    parser = argparse.ArgumentParser()
    add_options(parser, BringUpArguments)
    options = {action.dest for action in parser._actions} - {"help"}
    assert options == names(BringUpArguments) == names(DemoArguments)
    assert options >= names(TrackerArguments)


@pytest.mark.parametrize("one", described(DemoArguments), ids=lambda one: one.name)
def test_every_argument_is_described_and_survives_being_written(one: Any) -> None:
    assert one.description.endswith(".")
    one.check(one.default)
    text = arguments_module.as_text(one.default)
    assert getattr(from_text(DemoArguments, {one.name: text}), one.name) == one.default


def test_options_are_read() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, BringUpArguments)
    args = parser.parse_args(
        ["--image-topic", "/camera/image_raw", "--no-autostart", "--record", "--log-level", "warn"]
    )
    read = from_options(BringUpArguments, args)
    assert (read.image_topic, read.autostart, read.record, read.log_level) == (
        "/camera/image_raw",
        False,
        True,
        "warn",
    )
    assert read == BringUpArguments(
        image_topic="/camera/image_raw", autostart=False, record=True, log_level="warn"
    )


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"rviz": "yes"}, "rviz is true or false, not 'yes'"),
        ({"image_qos": "fast"}, "image_qos is one of .*best_effort, reliable, not 'fast'"),
        ({"wights": "x"}, "no parameter is called 'wights'"),
    ],
)
def test_wrong_arguments_are_named(texts: dict[str, str], words: str) -> None:
    with pytest.raises(ParameterValueError, match=words):
        from_text(TrackerArguments, texts)


# Plans


@pytest.mark.parametrize(
    ("namespace", "name", "absolute"),
    [("", "a", "/a"), ("robot", "a", "/robot/a"), ("/robot/", "a/b", "/robot/a/b"), ("robot", "/a", "/a")],
)
def test_absolute_name(namespace: str, name: str, absolute: str) -> None:
    assert absolute_name(namespace, name) == absolute


def test_tracker_alone() -> None:
    plan = plan_tracker(TrackerArguments(image_topic="/camera/image_raw", weights="mine", namespace="robot"))
    (tracker,) = plan.processes
    assert tracker.parameters == {"weights": "mine"}
    assert tracker.remappings == {"image": "/camera/image_raw"}
    assert [file.name for file in tracker.parameter_files] == ["tracker.yaml"]
    assert plan.lifecycle_nodes == ["tracker_node"]
    words = ros_arguments(tracker, plan, None)
    assert "__ns:=/robot" in words
    assert "__node:=tracker_node" in words


def test_composable_nodes_become_one_process_where_the_first_of_them_was(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
    from siam_tracker_ros.nodes.composed_nodes import split

    arguments = BringUpArguments(
        composed=True, source="x.mp4", servo=True, overlay=True, record=True, namespace="robot", bag="b"
    )
    plan = plan_bringup(arguments).with_parameters("overlay_node", {"max_wait": 3.0})
    together = plan.composition()
    assert [one.name for one in together.processes] == ["recorder", "composed_nodes"]
    assert together.lifecycle_nodes == []
    composed = process(together, "composed_nodes")
    words = full_command(composed, together, tmp_path)
    assert words[words.index("--activate") + 1 :][:2] == ["tracker_node", "servo_node"]
    _, nodes = split(words)
    assert [name for name, _ in nodes] == ["overlay_node", "tracker_node", "video_source_node", "servo_node"]
    for name, given in nodes:
        # What the node would be given in a process of its own.
        alone = full_command(process(plan, name), plan, tmp_path)
        assert given == alone[alone.index("--ros-args") :]
    assert "max_wait: 3.0" in (tmp_path / "overlay_node.yaml").read_text()
    stays = plan_bringup(BringUpArguments(source="x.mp4"))
    assert stays.composition() == stays
    still = plan_bringup(BringUpArguments(composed=True, autostart=False)).composition()
    assert "--activate" not in full_command(process(still, "composed_nodes"), still, tmp_path)


def test_without_autostart_nothing_waits_for_an_active_tracker() -> None:
    plan = plan_bringup(BringUpArguments(source="video.mp4", autostart=False))
    assert plan.lifecycle_nodes == []
    assert all(plan.starts_at_once(one) for one in plan.processes)


def test_source_waits_for_the_tracker_and_the_servo_for_the_source() -> None:
    plan = plan_bringup(BringUpArguments(source="video.mp4", servo=True))
    assert not plan.starts_at_once(process(plan, "video_source_node"))
    assert plan.lifecycle_nodes == ["tracker_node", "servo_node"]


@pytest.mark.parametrize(
    ("image", "info", "expected"),
    [
        ("image_raw", "", "camera_info"),
        ("/camera/color/image_raw", "", "/camera/color/camera_info"),
        ("/image", "", "/camera_info"),
        ("image_raw", "calibration", "calibration"),
    ],
)
def test_camera_info_is_looked_for_beside_the_image(image: str, info: str, expected: str) -> None:
    plan = plan_tracker(TrackerArguments(image_topic=image, camera_info_topic=info, servo=True))
    assert process(plan, "servo_node").remappings["camera_info"] == expected


@pytest.mark.parametrize("section", ["/**", "tracker_node", "/robot/tracker_node", "/**/tracker_node"])
def test_recorded_image_follows_the_parameter_file(section: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({section: {"ros__parameters": {"image_transport": "compressed"}}}))
    namespace = "" if section == "tracker_node" else "robot"
    arguments = TrackerArguments(
        namespace=namespace, params_file=str(file), record=True, bag=str(tmp_path / "bag")
    )
    recorder = process(plan_tracker(arguments), "recorder")
    assert absolute_name(namespace, "image_raw/compressed") in recorder.arguments
    assert absolute_name(namespace, "tracks") in recorder.arguments


def test_recorder_is_ros2_bag_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = TrackerArguments(record=True, bag=str(tmp_path / "bag"))
    monkeypatch.setattr(tracker_plan, "_has_rosbag2", lambda: False)
    assert process(plan_tracker(arguments), "recorder").executable == "siam-tracker"
    monkeypatch.setattr(tracker_plan, "_has_rosbag2", lambda: True)
    monkeypatch.setattr(tracker_plan, "installed_executable", lambda package, name: Path("/opt/ros/bin/ros2"))
    recorder = process(plan_tracker(arguments), "recorder")
    assert (recorder.executable, *recorder.arguments[:4]) == ("ros2", "bag", "record", "--storage", "mcap")
    assert "/tracks" in recorder.arguments


def test_the_recorder_hears_everybodys_last_word(tmp_path: Path) -> None:
    plan = plan_demo(DemoArguments(source="video.mp4", box="1,2,3,4", bag=str(tmp_path / "bag")))
    order = [one.name for one in plan.processes]
    assert order.index("recorder") == 0
    assert order.index("overlay_node") < order.index("tracker_node") < order.index("video_source_node")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"params_file": "/nowhere.yaml"}, "params_file /nowhere.yaml is not there"),
        ({"box": "1,2,3,4"}, "box is about the source"),
        ({"source": "v.mp4", "box": "1,2,3,4", "autostart": False}, "leave out autostart or box"),
        ({"record": True, "bag": str(ROOT)}, "is there already"),
    ],
)
def test_what_cannot_be_is_named(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(BringUpError, match=words):
        plan_bringup(BringUpArguments(**wanted))


def test_rviz_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(BringUpError, match="rviz2 is not there: the ROS 2 package rviz2 is not installed"):
        plan_tracker(TrackerArguments(rviz=True))


def test_rviz_shows_the_overlay_in_the_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "lib" / "rviz2" / "rviz2"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    plan = plan_tracker(TrackerArguments(rviz=True, namespace="robot"))
    rviz = process(plan, "rviz2")
    assert rviz.command()[0] == str(program)
    assert rviz.arguments[0] == "-d"
    assert Path(rviz.arguments[1]).name == "siam_tracker.rviz"
    assert "__ns:=/robot" in ros_arguments(rviz, plan, None)
    assert process(plan, "overlay_node")


def test_arguments_win_against_every_section_of_a_file(ros_domain: int, tmp_path: Path) -> None:
    """As rcl reads them: exact names and patterns of the user's file would beat a plain one of ours."""
    import rclpy

    file = tmp_path / "mine.yaml"
    sections = ("/**", "/robot/tracker_node", "/**/tracker_node")
    file.write_text("".join(yaml.safe_dump({s: {"ros__parameters": {"weights": s}}}) for s in sections))
    arguments = TrackerArguments(namespace="robot", params_file=str(file), weights="argument")
    plan = plan_tracker(arguments)
    (tracker,) = plan.processes
    for values, expected in ((tracker.parameters, "argument"), ({}, "/**/tracker_node")):
        one = Process(
            tracker.name, tracker.executable, parameters=values, parameter_files=tracker.parameter_files
        )
        context = rclpy.Context()
        rclpy.init(context=context, args=ros_arguments(one, plan, write_overrides(one, plan, tmp_path)))
        node = rclpy.create_node("another_name", context=context)
        assert node.get_fully_qualified_name() == "/robot/tracker_node"
        assert node.declare_parameter("weights", "").value == expected
        node.destroy_node()
        context.shutdown()


def test_a_profile_of_the_users_own_is_left_alone() -> None:
    ((variable, profile),) = dds_environment({}).items()
    assert variable.endswith("_DEFAULT_PROFILES_FILE")
    assert Path(profile).is_file()
    assert dds_environment({variable: "/mine.xml"}) == {}


def test_example_parameter_file_names_parameters_that_exist() -> None:
    pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
    from siam_tracker_ros.nodes import (
        overlay_parameters,
        select_target_parameters,
        servo_parameters,
        tracker_parameters,
    )
    from siam_tracker_ros.nodes.parameter_struct import checked

    structs: dict[str, type] = {
        "tracker_node": tracker_parameters.TrackerParameters,
        "overlay_node": overlay_parameters.OverlayParameters,
        "select_target_node": select_target_parameters.SelectTargetParameters,
        "servo_node": servo_parameters.ServoParameters,
    }
    sections = yaml.safe_load((ROOT / "config" / "example_params.yaml").read_text())
    assert len(sections) == len(structs)
    for pattern, section in sections.items():
        checked(structs[pattern.removeprefix("/**/")], section["ros__parameters"])


# Domains


def test_no_two_get_the_same_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    with own_domain() as mine, free_domain() as other:
        assert mine != other
        assert os.environ["ROS_DOMAIN_ID"] == str(mine)
        assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_DOMAIN_ID" not in os.environ
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in os.environ


def test_a_domain_that_the_user_has_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    with own_domain() as mine:
        assert mine == 42
        assert os.environ["ROS_DOMAIN_ID"] == "42"


# RViz

# Those of rviz_default_plugins and rviz_common that the file uses, as their plugin descriptions name them.
RVIZ_CLASSES = {
    "rviz_common/Displays",
    "rviz_common/Time",
    "rviz_default_plugins/Image",
    "rviz_default_plugins/TF",
    "rviz_default_plugins/Interact",
    "rviz_default_plugins/MoveCamera",
    "rviz_default_plugins/Orbit",
}


def classes_in(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "Class" and value:
                yield value
            yield from classes_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from classes_in(value)


def test_rviz_configuration() -> None:
    config = yaml.safe_load((ROOT / "config" / "siam_tracker.rviz").read_text())
    assert set(classes_in(config)) <= RVIZ_CLASSES
    displays = config["Visualization Manager"]["Displays"]
    topics = {one["Name"]: one["Topic"]["Value"] for one in displays if "Topic" in one}
    # Relative, so that RViz in the launch file's namespace finds them.
    assert topics == {"Overlay": "overlay", "Mask": "mask"}
    sources = (ROOT / "siam_tracker_ros" / "nodes").glob("*.py")
    published = re.findall(r'publisher\(\w+, "([^"]+)"', "".join(file.read_text() for file in sources))
    assert set(topics.values()) <= set(published)


# Processes


def wait(until: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not (result := until()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(0.02)
    return result


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


PATIENT = "import time; print('ready', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {PATIENT}"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {DEAF}"


def test_output_carries_the_name_and_the_last_started_ends_first() -> None:
    said: list[str] = []
    polite = f"try:\n  {PATIENT}\nexcept KeyboardInterrupt: print('bye')"
    with Supervisor(said.append) as supervisor:
        for name in ("first", "second"):
            supervisor.start(name, python(polite), os.environ)
        wait(lambda: len(said) == 2, "both")
        assert supervisor.ended() == []
    assert sorted(said[:2]) == ["[first] ready", "[second] ready"]
    assert said[2:] == ["[second] bye", "[first] bye"]


@pytest.mark.parametrize(
    ("program", "ended_by", "killed"), [(DEAF, signal.SIGTERM, []), (STUBBORN, signal.SIGKILL, ["deaf"])]
)
def test_what_does_not_listen_is_ended(
    program: str, ended_by: int, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "INTERRUPT_S", 0.3)
    monkeypatch.setattr(supervisor_module, "TERMINATE_S", 0.3)
    said: list[str] = []
    supervisor = Supervisor(said.append)
    child = supervisor.start("deaf", python(program), os.environ)
    wait(lambda: said, "the process")
    assert supervisor.stop() == killed
    assert child.process.returncode == -ended_by
    assert any("SIGTERM" in line for line in said)


def test_in_haste_all_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last started, which does not listen, does not hold up the first."""
    monkeypatch.setattr(supervisor_module, "TERMINATE_S", 1.0)
    said: list[str] = []
    supervisor = Supervisor(said.append, hurry=lambda: True)
    polite = f"try:\n  {PATIENT}\nexcept KeyboardInterrupt: print('bye')"
    for name, program in (("polite", polite), ("deaf", DEAF)):
        supervisor.start(name, python(program), os.environ)
    wait(lambda: len(said) == 2, "both")
    assert supervisor.stop() == []
    assert said[2:] == ["[polite] bye", "deaf does not end: SIGTERM"]


def test_what_a_process_leaves_behind_is_ended() -> None:
    said: list[str] = []
    parent = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {PATIENT!r}]).pid)"
    with Supervisor(said.append) as supervisor:
        supervisor.start("parent", python(parent), os.environ)
        wait(lambda: len(said) == 2, "parent and child")
        grandchild = int(next(line for line in said if "ready" not in line).split()[1])
        (child,) = wait(supervisor.ended, "the parent's end")
        assert child.process.returncode == 0
        wait(lambda: not alive(grandchild), "the end of what it left")


def test_children_end_even_where_their_supervisor_is_killed() -> None:
    program = (
        "import os, time\n"
        "from siam_tracker_ros.bringup.supervisor import Supervisor\n"
        f"child = Supervisor(print).start('child', [{sys.executable!r}, '-c', {PATIENT!r}], os.environ)\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(python(program), stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        lines = [supervisor.stdout.readline(), supervisor.stdout.readline()]
        pid = int(next(line for line in lines if line.strip().isdigit()))
        assert alive(pid)
        supervisor.kill()
        wait(lambda: not alive(pid), "the child's end")


def test_the_reason_of_a_failure_is_found_in_what_a_node_wrote() -> None:
    lines = [
        "[INFO] [1.0] [tracker_node]: starting",
        "[ERROR] [1.5] [tracker_node]: configure failed: no weights called 'x'",
        "[INFO] [1.6] [tracker_node]: waiting",
    ]
    assert failure_in(lines) == "configure failed: no weights called 'x'"
    assert failure_in(["error: no such box"]) == "error: no such box"
    assert failure_in(lines[:1]) == ""


@pytest.mark.parametrize(
    ("ends", "status", "meaning"),
    [
        ("all", 0, "finish"),
        ("all", 1, "fail"),
        ("all", -9, "fail"),
        ("if failed", 0, "go on"),
        ("if failed", 2, "fail"),
        ("nothing", 1, "go on"),
    ],
)
def test_what_an_end_means(ends: Any, status: int, meaning: str) -> None:
    assert Process("a", "a", ends=ends).end_means(status) == meaning
