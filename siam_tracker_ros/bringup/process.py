"""What a graph is made of: processes, described once for launch_ros and for `siam-tracker bringup`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from siam_tracker_ros.dds_profile import profile_variable, shipped_profile
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.ros_distro import ros_distro
from siam_tracker_ros.shipped_files import shipped_file

PACKAGE = "siam_tracker_ros"
COMPOSITION = "composed_nodes"

Value = bool | int | float | str
Ends = Literal["all", "if failed", "nothing"]


class BringUpError(SiamTrackerError):
    """Nodes that cannot be started together, or that did not come up; the message says why."""


@dataclass(frozen=True)
class Process:
    """One process.

    `name` is the node's name too; `executable` is one of `package`'s, or a program on the PATH without one.
    Values in `parameters` go over those in `parameter_files`, of which later ones go over earlier ones.
    `after`: the lifecycle node that has to be active before it starts. `ends`: what its own end means for the
    others: everything ends; or they go on unless it failed; or they go on. `composable`: it can share a
    process; `composed`: the nodes of such a process, in order, whose lifecycle nodes it activates itself.
    """

    name: str
    executable: str
    package: str = PACKAGE
    arguments: tuple[str, ...] = ()
    parameter_files: tuple[Path, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    lifecycle: bool = False
    after: str = ""
    ends: Ends = "all"
    composable: bool = False
    composed: tuple[Process, ...] = ()

    @property
    def is_node(self) -> bool:
        """Whether it takes ROS arguments."""
        return bool(self.package)

    def end_means(self, status: int) -> Literal["go on", "finish", "fail"]:
        """What it means that the process has ended by itself with this exit status (negative: a signal's)."""
        if self.ends == "nothing" or (self.ends == "if failed" and status == 0):
            return "go on"
        return "fail" if status else "finish"

    def command(self) -> list[str]:
        """The program and its own arguments, ROS arguments left out. Raises BringUpError."""
        if self.package == PACKAGE:
            return [sys.executable, "-m", f"{PACKAGE}.nodes.{self.executable}", *self.arguments]
        if not self.package and self.executable == "siam-tracker":
            return [sys.executable, "-m", f"{PACKAGE}.cli", *self.arguments]
        return [str(find_executable(self.package, self.executable)), *self.arguments]


@dataclass(frozen=True)
class Plan:
    """Processes in the order in which they start, but for those that wait; stopped in the reverse one.

    Lifecycle nodes are configured and activated in that order, if `autostart`, each when those before it are
    active. `namespace` is all nodes'. `composed` puts all composable nodes into one process.
    """

    processes: tuple[Process, ...]
    namespace: str = ""
    autostart: bool = True
    log_level: str = "info"
    composed: bool = False

    def composition(self) -> Plan:
        """The same plan, with one process for all composable nodes if it is `composed`."""
        members = tuple(one for one in self.processes if one.composable)
        if not self.composed or not members:
            return self
        together = Process(COMPOSITION, COMPOSITION, composed=members)
        at = self.processes.index(members[0])
        others = [one for one in self.processes if not one.composable]
        return replace(self, processes=(*others[:at], together, *others[at:]), composed=False)

    @property
    def lifecycle_nodes(self) -> list[str]:
        """Names of the nodes to be brought to active, in order."""
        return [process.name for process in self.processes if process.lifecycle and self.autostart]

    def with_parameters(self, name: str, values: Mapping[str, Value]) -> Plan:
        """The same plan with more parameters for one of its nodes, if it has that node."""
        processes = (
            replace(one, parameters={**one.parameters, **values}) if one.name == name else one
            for one in self.processes
        )
        return replace(self, processes=tuple(processes))

    def starts_at_once(self, process: Process) -> bool:
        """Whether nothing has to be active before it."""
        return process.after not in self.lifecycle_nodes

    def full_name(self, name: str) -> str:
        """The name of a node or topic from the root."""
        return absolute_name(self.namespace, name)


def absolute_name(namespace: str, name: str) -> str:
    """A node's or topic's name from the root; one that begins with / is that already."""
    return name if name.startswith("/") else f"/{namespace.strip('/')}/{name}".replace("//", "/")


def shipped_parameters(name: str) -> Path:
    """The shipped parameter file of that name (`tracker`). Raises BringUpError."""
    return _shipped(f"config/{name}.yaml")


def shipped_rviz() -> Path:
    """The shipped RViz configuration. Raises BringUpError."""
    return _shipped("config/siam_tracker.rviz")


def _shipped(name: str) -> Path:
    path = shipped_file(name)
    if path is None:
        raise BringUpError(f"{name} of {PACKAGE} is not installed: build the package again")
    return path


def find_executable(package: str, executable: str) -> Path:
    """A program of a ROS 2 package, or on the PATH if `package` is empty. Raises BringUpError."""
    found = installed_executable(package, executable)
    if found is None:
        where = (
            f"the ROS 2 package {package} is not installed or not sourced" if package else "not on the PATH"
        )
        raise BringUpError(f"{executable} is not there: {where}")
    return found


def installed_executable(package: str, executable: str) -> Path | None:
    """Like `find_executable`; None where there is none."""
    if not package:
        found = shutil.which(executable)
        return Path(found) if found else None
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    files = (Path(prefix) / "lib" / package / executable for prefix in prefixes)
    return next((file for file in files if file.is_file() and os.access(file, os.X_OK)), None)


def dds_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What `environment` lacks for large images to arrive: nothing where the user has chosen a profile."""
    variable, profile = profile_variable(ros_distro()), shipped_profile()
    return {variable: str(profile)} if profile is not None and not environment.get(variable) else {}


def ros_arguments(process: Process, plan: Plan, overrides: Path | None) -> list[str]:
    """The ROS arguments of a node; `overrides` is the file of its `parameters`."""
    if not process.is_node:
        return []
    arguments = ["--ros-args", "-r", f"__node:={process.name}"]
    if plan.namespace.strip("/"):
        arguments += ["-r", f"__ns:=/{plan.namespace.strip('/')}"]
    for name, target in process.remappings.items():
        arguments += ["-r", f"{name}:={target}"]
    for file in [*process.parameter_files, *([overrides] if overrides else [])]:
        arguments += ["--params-file", str(file)]
    return [*arguments, "--log-level", plan.log_level]


def write_overrides(process: Process, plan: Plan, folder: Path) -> Path | None:
    """A parameter file of the process's `parameters` that wins against those before it; None without any.

    rcl takes sections in the order in which their names first appear in any file, exact names and patterns
    alike, so that a single one could be beaten by a later name of the user's.
    """
    if not process.parameters:
        return None
    import yaml

    values = {"ros__parameters": dict(process.parameters)}
    sections: Sequence[str] = ("/**", plan.full_name(process.name), f"/**/{process.name}")
    path = folder / f"{process.name}.yaml"
    path.write_text("".join(yaml.safe_dump({name: values}, allow_unicode=True) for name in sections))
    return path


def full_command(process: Process, plan: Plan, folder: Path) -> list[str]:
    """Program and all arguments; the parameter files that they name are written to `folder`.

    Raises BringUpError.
    """

    def arguments_of(one: Process) -> list[str]:
        return ros_arguments(one, plan, write_overrides(one, plan, folder))

    if not process.composed:
        return [*process.command(), *arguments_of(process)]
    words = [*process.command(), "--log-level", plan.log_level]
    lifecycle = [one.name for one in process.composed if one.lifecycle]
    if lifecycle and plan.autostart:
        words += ["--activate", *lifecycle]
    for one in process.composed:
        words += ["--node", one.executable, *arguments_of(one)]
    return words
