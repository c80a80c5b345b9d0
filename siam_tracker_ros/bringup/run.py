"""A plan carried out without launch_ros: start the processes, activate their nodes, stop all in order."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from siam_tracker_ros.bringup.process import (
    BringUpError,
    Plan,
    Process,
    dds_environment,
    full_command,
)
from siam_tracker_ros.bringup.supervisor import Supervisor, failure_in
from siam_tracker_ros.footage.interrupt import Interrupt

_POLL_S = 0.05
# A node's word on why it failed comes through a pipe, its answer through DDS.
_REASON_S = 2.0


class RunOver(Exception):  # noqa: N818
    """The run ends without a failure: what it was for is done, or the user has said so."""

    def __init__(self, exit_status: int) -> None:
        super().__init__(f"over, exit status {exit_status}")
        self.exit_status = exit_status


class RunningGraph:
    """The processes of a plan, as a context manager: on the way out all are stopped, the last of it first.

    SIGINT and SIGTERM are noted meanwhile; a second one makes haste. `say` gets each line of output, the
    name of its process before it.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None] = print) -> None:
        self.plan = plan.composition()
        self.interrupt = Interrupt()
        self._supervisor = Supervisor(say, lambda: self.interrupt.count > 1)
        self._stack = ExitStack()
        self._environment = {**os.environ, **dds_environment(os.environ)}
        self._folder = Path()

    def __enter__(self) -> RunningGraph:
        # Commands are resolved first, so that nothing is started where one is missing.
        for process in self.plan.processes:
            process.command()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="siam_tracker_"))
            self._folder = Path(folder)
            stack.enter_context(self.interrupt)
            stack.enter_context(self._supervisor)
            for process in self.plan.processes:
                if self.plan.starts_at_once(process):
                    self._start(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def activate(self) -> None:
        """Bring the lifecycle nodes to active, in order, and start what waits for each.

        Raises BringUpError with the reason where one fails or does not answer in time, RunOver.
        """
        from siam_tracker_ros.nodes.client_node import (
            ACTIVATE_S,
            CONFIGURE_S,
            ClientNode,
            TransitionFailedError,
        )

        if not self.plan.lifecycle_nodes:
            return
        with ClientNode("bringup", going_on=self.check) as client:
            for name in self.plan.lifecycle_nodes:
                node = self.plan.full_name(name)
                try:
                    client.change_state(node, "configure", CONFIGURE_S)
                    client.change_state(node, "activate", ACTIVATE_S)
                except TransitionFailedError as error:
                    raise BringUpError(f"{name}: {self._reason(name) or error}") from None
                self.say(f"{node} is active")
                for process in self.plan.processes:
                    if process.after == name:
                        self._start(process)

    def check(self) -> None:
        """Raises BringUpError if a process has failed, RunOver if the last one has done its work.

        After Ctrl-C or SIGTERM too RunOver.
        """
        if self.interrupt.asked():
            raise RunOver(self.interrupt.exit_status)
        for child in self._supervisor.ended():
            process = next(one for one in self.plan.processes if one.name == child.name)
            meaning = process.end_means(child.process.returncode)
            if meaning == "finish":
                self.say(child.end_text())
                raise RunOver(0)
            if meaning == "fail":
                reason = failure_in(child.lines)
                raise BringUpError(child.end_text() + (f": {reason}" if reason else ""))
            self.say(child.end_text())

    def wait(self, within_s: float = math.inf) -> NoReturn:
        """Until something ends: raises what `check` does, and BringUpError where that takes too long."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_S)
        raise BringUpError(f"not over after {within_s:.0f} s: stopped")

    def say(self, text: str) -> None:
        """A line of our own between those of the processes."""
        self._supervisor.say(text)

    def lines(self, name: str) -> list[str]:
        """The last lines that a process wrote."""
        return [line for child in self._supervisor.children if child.name == name for line in child.lines]

    def process_id(self, name: str) -> int:
        """The id of a process that runs, by its name. Raises BringUpError if none does."""
        for child in self._supervisor.children:
            if child.name == name:
                return child.process.pid
        raise BringUpError(f"no process {name} is running")

    def _start(self, process: Process) -> None:
        command = full_command(process, self.plan, self._folder)
        self._supervisor.start(process.name, command, self._environment)
        order = [one.name for one in self.plan.processes]
        self._supervisor.children.sort(key=lambda child: order.index(child.name))

    def _reason(self, name: str) -> str:
        deadline = time.monotonic() + _REASON_S
        while time.monotonic() < deadline:
            reason = failure_in(self.lines(name))
            if reason:
                return reason
            time.sleep(_POLL_S)
        return ""
