"""Which processes the arguments of bring-up ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from siam_tracker_ros.bringup.arguments import TrackerArguments
from siam_tracker_ros.bringup.process import (
    BringUpError,
    Ends,
    Plan,
    Process,
    Value,
    absolute_name,
    find_executable,
    installed_executable,
    shipped_parameters,
    shipped_rviz,
)

TRACKER = "tracker_node"
SERVO_TOPICS = (
    "servo_state",
    "joint_states",
    "attitude",
    "cmd_rate",
    "cmd_position",
    "cmd_trajectory",
    "cmd_vel",
)


def plan_tracker(
    arguments: TrackerArguments,
    source: tuple[Process, ...] = (),
    beside: tuple[Process, ...] = (),
    recorded: tuple[str, ...] = (),
) -> Plan:
    """The tracker and what was asked for around it.

    `source` are processes that make the images, started once the tracker is active; `beside` are more,
    started at once; `recorded` are more topics for the recording. Raises BringUpError for files and programs
    that are not there.
    """
    parts = Parts(arguments)
    tracker = Process(
        TRACKER,
        TRACKER,
        parameter_files=parts.parameter_files("tracker"),
        parameters={
            **parts.image_parameters(),
            **parts.given("model", "weights", "device", "engine", "precision"),
        },
        remappings=parts.image_remapping(),
        lifecycle=True,
        composable=True,
    )
    processes = []
    # Who listens starts before, and stops after, those it listens to: last words are heard.
    if arguments.record:
        processes.append(parts.recorder(recorded))
    if arguments.rviz:
        processes.append(parts.rviz())
    if arguments.overlay or arguments.rviz:
        processes.append(parts.image_reader("overlay_node", "overlay", composable=True))
    if arguments.selector:
        processes.append(parts.image_reader("select_target_node", "select_target", ends="nothing"))
    # The servo is configured when images flow already, as it waits for camera_info.
    processes += [tracker, *(replace(process, after=TRACKER) for process in source), *beside]
    if arguments.servo:
        processes.append(parts.servo())
    return Plan(
        tuple(processes),
        arguments.namespace,
        arguments.autostart,
        arguments.log_level,
        arguments.composed,
    )


class Parts:
    """Processes around the tracker, with the names and files that they share."""

    def __init__(self, arguments: TrackerArguments) -> None:
        self._arguments = arguments
        self._params_file: Path | None = None
        if arguments.params_file:
            self._params_file = Path(arguments.params_file).expanduser().absolute()
            if not self._params_file.is_file():
                raise BringUpError(f"params_file {self._params_file} is not there")

    def parameter_files(self, name: str) -> tuple[Path, ...]:
        """The shipped file of a node, then the user's."""
        return (shipped_parameters(name), *([self._params_file] if self._params_file else ()))

    def given(self, *names: str) -> dict[str, Value]:
        """The arguments of these names that are not empty, and the clock to take."""
        values: dict[str, Value] = {
            name: value for name in names if (value := getattr(self._arguments, name)) != ""
        }
        if self._arguments.use_sim_time:
            values["use_sim_time"] = True
        return values

    def image_parameters(self) -> dict[str, Value]:
        """How images are subscribed to."""
        values = self.given("image_transport")
        if self._arguments.image_qos:
            values["image_reliability"] = self._arguments.image_qos
        return values

    def image_remapping(self) -> dict[str, str]:
        return {"image": self._arguments.image_topic}

    @property
    def camera_info_topic(self) -> str:
        beside, _, _ = self._arguments.image_topic.rpartition("/")
        default = f"{beside}/camera_info" if "/" in self._arguments.image_topic else "camera_info"
        return self._arguments.camera_info_topic or default

    def image_reader(self, node: str, file: str, ends: Ends = "all", composable: bool = False) -> Process:
        """A node that shows or draws images."""
        return Process(
            node,
            node,
            parameter_files=self.parameter_files(file),
            parameters=self.image_parameters(),
            remappings=self.image_remapping(),
            # Before there is anything to see it would only warn that there is nothing.
            after=TRACKER,
            ends=ends,
            composable=composable,
        )

    def servo(self) -> Process:
        return Process(
            "servo_node",
            "servo_node",
            parameter_files=self.parameter_files("servo"),
            parameters=self.given(),
            remappings={"camera_info": self.camera_info_topic},
            lifecycle=True,
            composable=True,
        )

    def rviz(self) -> Process:
        find_executable("rviz2", "rviz2")
        return Process(
            "rviz2",
            "rviz2",
            "rviz2",
            arguments=("-d", str(shipped_rviz())),
            parameters=self.given(),
            ends="nothing",
        )

    def recorder(self, more: tuple[str, ...]) -> Process:
        bag = self._arguments.bag or f"siam_tracker_{datetime.now():%Y%m%d_%H%M%S}"
        folder = Path(bag).expanduser().absolute()
        if folder.exists():
            raise BringUpError(f"bag {folder} is there already: name another folder, or move it away")
        topics = tuple(
            absolute_name(self._arguments.namespace, topic) for topic in (*self._recorded(), *more)
        )
        clock = ("--use-sim-time",) if self._arguments.use_sim_time else ()
        if installed_executable("", "ros2") and _has_rosbag2():
            arguments = ("bag", "record", "--storage", "mcap", "--output", str(folder), *clock, *topics)
            return Process("recorder", "ros2", "", arguments)
        return Process("recorder", "siam-tracker", "", ("record", "--out", str(folder), *clock, *topics))

    def _recorded(self) -> tuple[str, ...]:
        image = self._arguments.image_topic
        if (self._arguments.record_image or self.effective("image_transport")) == "compressed":
            image = f"{image}/compressed"
        servo = SERVO_TOPICS if self._arguments.servo else ()
        return (image, self.camera_info_topic, "tracks", "status", *servo)

    def effective(self, name: str) -> Any:
        """A parameter of the tracker's as it will be: by argument, the user's file, or the shipped one."""
        node = absolute_name(self._arguments.namespace, TRACKER)
        value = self.image_parameters().get(name)
        for file in self.parameter_files("tracker"):
            if name not in self.image_parameters():
                value = _value_in(file, node, name, value)
        return value


def _value_in(file: Path, node: str, name: str, default: Any) -> Any:
    """What a parameter file says of a node's parameter; `default` if it says nothing. Raises BringUpError."""
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BringUpError(f"params_file {file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(sections, Mapping):
        raise BringUpError(f"params_file {file} has no section for a node, as /**: ros__parameters: ... is")
    value = default
    for pattern, section in sections.items():
        absolute = pattern if str(pattern).startswith("/") else f"/{pattern}"
        # ** stands for any number of names, none too; fnmatch's * already passes over a slash.
        fits = fnmatchcase(node, absolute.replace("/**", "*"))
        if fits and isinstance(section, Mapping):
            value = (section.get("ros__parameters") or {}).get(name, value)
    return value


def _has_rosbag2() -> bool:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return bool(get_package_prefix("ros2bag")) and bool(get_package_prefix("rosbag2_storage_mcap"))
    except PackageNotFoundError:
        return False
