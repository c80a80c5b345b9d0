"""One node of this package in a process of its own, and a listener beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from graph_tracker import DEADLINE_S, end
from rclpy.executors import SingleThreadedExecutor


@contextmanager
def node_process(module: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`python -m siam_tracker_ros.nodes.MODULE` in a process group of its own; ended at the end."""
    command = [sys.executable, "-m", f"siam_tracker_ros.nodes.{module}", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("environment", {})}
    process = subprocess.Popen(command, env=environment, start_new_session=True, text=True, **options)
    try:
        yield process
    finally:
        end(process)


def parameters(**values: Any) -> list[str]:
    """Values as ROS arguments."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return ["--ros-args", *(part for name, text in texts.items() for part in ("-p", f"{name}:={text}"))]


class Listener:
    """A node of the test's own, in a context of its own."""

    def __init__(self, name: str = "listener") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def hear(self, type_: Any, topic: str, qos: Any = 100) -> list[Any]:
        """A list that the messages of a topic are appended to."""
        heard: list[Any] = []
        self.node.create_subscription(type_, topic, heard.append, qos)
        return heard

    def wait(self, until: Callable[[], Any], what: str) -> Any:
        """Spin until `until()` is true, and return it. Fails after DEADLINE_S."""
        deadline = time.monotonic() + DEADLINE_S
        while not (result := until()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self._executor.spin_once(timeout_sec=0.03)
        return result

    def spin(self, times: int) -> None:
        """Hear what comes, if anything does."""
        for _ in range(times):
            self._executor.spin_once(timeout_sec=0.03)

    def ask(self, type_: Any, name: str, **fields: Any) -> Any:
        """Call a service and wait for its answer."""
        client = self.node.create_client(type_, name)
        self.wait(client.service_is_ready, f"service {name}")
        future = client.call_async(type_.Request(**fields))
        self.wait(future.done, f"the answer of {name}")
        return future.result()
