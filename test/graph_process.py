"""Nodes of this package in processes of their own, and the test's own node beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

DEADLINE_S = 60.0
ASK_AGAIN_S = 5.0


@contextmanager
def node_process(
    module: str | Path, *arguments: str, environment: dict[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """`python -m siam_tracker_ros.nodes.MODULE`, or a script, in a process group of its own until the end.

    `arguments` are ROS arguments. `options` go to Popen.
    """
    program = [str(module)] if isinstance(module, Path) else ["-m", f"siam_tracker_ros.nodes.{module}"]
    command = [sys.executable, *program, "--ros-args", *arguments]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    process = subprocess.Popen(command, env=variables, start_new_session=True, text=True, **options)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> int:
    """Send a signal and wait for the end; the exit status. What leads a process group is killed with it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode


def parameters(**values: Any) -> list[str]:
    """Values as ROS arguments."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return [part for name, text in texts.items() for part in ("-p", f"{name}:={text}")]


class Listener:
    """A node of the test's own, in a context of its own; `process` is what it waits for, if it is one."""

    def __init__(
        self, name: str = "listener", namespace: str = "", process: subprocess.Popen[str] | None = None
    ) -> None:
        self._process = process
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node(name, namespace=namespace or None, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def hear(self, type_: Any, topic: str, qos: Any = 100) -> list[Any]:
        """A list that the messages of a topic are appended to."""
        heard: list[Any] = []
        self.node.create_subscription(type_, topic, heard.append, qos)
        return heard

    def wait(self, until: Callable[[], Any], what: str, each: Callable[[], None] | None = None) -> Any:
        """Spin until `until()` is true, and return it; `each` runs between. Fails after DEADLINE_S."""
        deadline = time.monotonic() + DEADLINE_S
        while not (result := until()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            assert self._process is None or self._process.poll() is None, "the node has ended"
            if each is not None:
                each()
            self._executor.spin_once(timeout_sec=0.03)
        return result

    def spin(self, times: int) -> None:
        """Hear what comes, if anything does."""
        for _ in range(times):
            self._executor.spin_once(timeout_sec=0.03)

    def send(self, type_: Any, name: str, **fields: Any) -> Any:
        """Call a service; the future of its answer."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(type_, name)
        client = self._clients[name]
        self.wait(client.service_is_ready, f"service {name}")
        return client.call_async(type_.Request(**fields))

    def answer(self, future: Any, what: str, each: Callable[[], None] | None = None) -> Any:
        """Wait for what `send` gave."""
        self.wait(future.done, f"the answer of {what}", each)
        return future.result()

    def ask(self, type_: Any, name: str, each: Callable[[], None] | None = None, **fields: Any) -> Any:
        """Call a service and wait for its answer."""
        return self.answer(self.send(type_, name, **fields), name, each)

    def set_parameter(self, name: str, value: Any, node: str) -> str:
        """Set a parameter of a node; the reason where it was refused."""
        changes = [Parameter(name, value=value).to_parameter_msg()]
        (result,) = self.ask(SetParameters, f"{node}/set_parameters", parameters=changes).results
        return "" if result.successful else result.reason


class Operator(Listener):
    """The same, for tests of one lifecycle node above all, `operated`."""

    operated: str

    def change_state(self, name: str) -> bool:
        """A lifecycle transition by name."""
        transition = Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
        return self.ask(ChangeState, f"{self.operated}/change_state", transition=transition).success

    def state(self) -> str:
        """What the operated node says it is in; asked again after a while.

        A service that has only just been discovered may answer before it knows the way back.
        """
        name = f"{self.operated}/get_state"
        answers = [self.send(GetState, name)]
        asked = time.monotonic()

        def answered() -> Any:
            nonlocal asked
            if time.monotonic() - asked > ASK_AGAIN_S:
                answers.append(self.send(GetState, name))
                asked = time.monotonic()
            return next((future for future in answers if future.done()), None)

        return self.wait(answered, f"the answer of {name}").result().current_state.label

    def set_parameter(self, name: str, value: Any, node: str = "") -> str:
        """Set a parameter, of the operated node unless another is named; the reason where it was refused."""
        return super().set_parameter(name, value, node or self.operated)
