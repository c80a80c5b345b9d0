"""The same plans under launch_ros: what the files in launch/ are made of."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessIO, OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from siam_tracker_ros.bringup.arguments import FALSE, TRUE, as_text, from_text
from siam_tracker_ros.bringup.process import (
    BringUpError,
    Plan,
    Process,
    dds_environment,
    full_command,
    installed_executable,
    write_overrides,
)
from siam_tracker_ros.bringup.supervisor import INTERRUPT_S, TERMINATE_S, failure_in
from siam_tracker_ros.nodes.client_node import ACTIVATE_S, CONFIGURE_S
from siam_tracker_ros.nodes.parameter_struct import described

T = TypeVar("T")

# How long launch_ros takes to give up on a transition that nobody will answer, and to say so.
_ABANDONED_S = 1.5


def launch_description(struct: type[T], plan_of: Callable[[T], Plan]) -> LaunchDescription:
    """Launch arguments from the fields of `struct`, then the processes of the plan made of their values."""

    def start(context: LaunchContext) -> list[Any]:
        names = [one.name for one in described(struct)]
        texts = {name: LaunchConfiguration(name).perform(context) for name in names}
        return actions(plan_of(from_text(struct, texts)))

    return LaunchDescription([*_declarations(struct), OpaqueFunction(function=start)])


def _declarations(struct: type) -> list[DeclareLaunchArgument]:
    declared = []
    for one in described(struct):
        choices = [*TRUE, *FALSE] if isinstance(one.default, bool) else list(one.choices) or None
        declared.append(
            DeclareLaunchArgument(
                one.name, default_value=as_text(one.default), description=one.description, choices=choices
            )
        )
    return declared


def actions(plan: Plan) -> list[Any]:
    """The launch actions that carry out a plan."""
    plan = plan.composition()
    folder = Path(tempfile.mkdtemp(prefix="siam_tracker_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ending = _Ending()
    made = {process.name: _action(process, plan, folder) for process in plan.processes}
    lifecycle = [process for process in plan.processes if process.name in plan.lifecycle_nodes]
    # The last to be registered is the first to be called: a process's last words are out before ours.
    handlers: list[Any] = [*ending.handlers()]
    for process in plan.processes:
        handlers.append(ending.with_process(process, made[process.name]))
        if process.composed:
            # It ends by itself, and its own last word is the better one.
            handlers.append(ending.with_reasons(process.name, made[process.name], ends=False))
    for number, process in enumerate(lifecycle):
        following = lifecycle[number + 1 :][:1]
        started = [made[other.name] for other in plan.processes if other.after == process.name]
        begin = [_transition(made[other.name], Transition.TRANSITION_CONFIGURE) for other in following]
        handlers += _to_active(process.name, made[process.name], ending, [*started, *begin])
    if lifecycle:
        first = made[lifecycle[0].name]
        configure = _transition(first, Transition.TRANSITION_CONFIGURE)
        handlers.append(RegisterEventHandler(OnProcessStart(target_action=first, on_start=[configure])))
    variables = [SetEnvironmentVariable(*item) for item in dds_environment(os.environ).items()]
    at_once = [made[process.name] for process in plan.processes if plan.starts_at_once(process)]
    return [*variables, *handlers, *at_once]


def _action(process: Process, plan: Plan, folder: Path) -> Any:
    if process.composed or not process.is_node:
        command = full_command(process, plan, folder)
        return ExecuteProcess(cmd=command, name=process.name, output="screen", **_deadlines())
    overrides = write_overrides(process, plan, folder)
    files = [str(file) for file in [*process.parameter_files, *([overrides] if overrides else [])]]
    where: dict[str, Any] = {"package": process.package, "executable": process.executable}
    words = list(process.arguments)
    if installed_executable(process.package, process.executable) is None:
        # A checkout that was never installed; rviz2 and the like raise what launch_ros says of it.
        where = {"executable": sys.executable}
        words = process.command()[1:]
    return (LifecycleNode if process.lifecycle else Node)(
        **where,
        name=process.name,
        namespace=plan.namespace.strip("/"),
        arguments=words,
        parameters=files,
        remappings=list(process.remappings.items()),
        ros_arguments=["--log-level", plan.log_level],
        output="screen",
        **_deadlines(),
    )


def _deadlines() -> dict[str, Any]:
    """How long a process may take to end; launch's own 5 s cut off the last words of one under load."""
    return {
        "sigterm_timeout": LaunchConfiguration("sigterm_timeout", default=str(INTERRUPT_S)),
        "sigkill_timeout": LaunchConfiguration("sigkill_timeout", default=str(TERMINATE_S)),
    }


def _transition(action: Any, transition: int) -> EmitEvent:
    return EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(action), transition_id=transition)
    )


def _to_active(name: str, action: Any, ending: _Ending, then: list[Any]) -> list[Any]:
    """Handlers that lead a node from inactive to active and then do `then`, or end everything."""
    deadline = TimerAction(
        period=CONFIGURE_S + ACTIVATE_S,
        actions=[OpaqueFunction(function=ending.fail, args=[name, "did not become active in time"])],
    )

    def reached(goal: str, start: str, entities: list[Any]) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=action, start_state=start, goal_state=goal, entities=entities
            )
        )

    def refused(goal: str, start: str, what: str) -> RegisterEventHandler:
        return reached(goal, start, [OpaqueFunction(function=ending.fail, args=[name, what])])

    return [
        RegisterEventHandler(OnProcessStart(target_action=action, on_start=[deadline])),
        ending.with_reasons(name, action),
        reached("inactive", "configuring", [_transition(action, Transition.TRANSITION_ACTIVATE)]),
        reached("active", "activating", [OpaqueFunction(function=lambda _: deadline.cancel()), *then]),
        refused("unconfigured", "configuring", "configure failed"),
        refused("inactive", "activating", "activate failed"),
        refused("errorprocessing", "configuring", "configure failed"),
        refused("errorprocessing", "activating", "activate failed"),
    ]


class _Ending:
    """Ends the launch with exit status 1 and the reason as its last line, after every process has ended."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._reasons: dict[str, str] = {}
        self._failed = ""

    def handlers(self) -> list[Any]:
        return [
            RegisterEventHandler(OnProcessStart(on_start=self._on_start)),
            RegisterEventHandler(OnProcessExit(on_exit=self._on_exit)),
        ]

    def with_process(self, process: Process, action: Any) -> RegisterEventHandler:
        """The launch ends with this process, if that is what its end means."""

        def on_exit(event: Any, context: LaunchContext) -> list[Any]:
            meaning = "go on" if context.is_shutdown else process.end_means(event.returncode)
            if meaning == "fail":
                return self.fail(context, process.name, f"ended with exit status {event.returncode}")
            return [Shutdown(reason=f"{process.name} has ended")] if meaning == "finish" else []

        return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=on_exit))

    def with_reasons(self, name: str, action: Any, ends: bool = True) -> RegisterEventHandler:
        """What a process says of its failure is kept, and `ends` the launch."""

        def heard(event: Any) -> list[Any]:
            then = self.heard(name, event.text.decode(errors="replace"))
            return then if ends else []

        return RegisterEventHandler(OnProcessIO(target_action=action, on_stdout=heard, on_stderr=heard))

    def fail(self, context: LaunchContext, name: str, what: str) -> list[Any]:
        """End everything, for this reason unless there is one already."""
        if self._failed or context.is_shutdown:
            return []
        self._failed = name
        self._reasons.setdefault(name, what)
        return [Shutdown(reason=f"{name}: {what}")]

    def heard(self, name: str, text: str) -> list[Any]:
        """Keep what a node says of its failure: its transition events have no words, and may be missed."""
        reason = failure_in(text.splitlines())
        if not reason:
            return []
        self._reasons[name] = reason
        return [OpaqueFunction(function=self.fail, args=[name, reason])]

    def _on_start(self, event: Any, context: LaunchContext) -> None:
        self._running.add(event.pid)

    def _on_exit(self, event: Any, context: LaunchContext) -> list[Any]:
        self._running.discard(event.pid)
        if not self._failed or self._running:
            return []
        last_word = OpaqueFunction(function=self._raise)
        return [TimerAction(period=_ABANDONED_S, actions=[last_word], cancel_on_shutdown=False)]

    def _raise(self, context: LaunchContext) -> None:
        # Launch logs what is raised as an error, and takes exit status 1.
        raise BringUpError(f"{self._failed}: {self._reasons[self._failed]}")
