"""One node in one process, or several: started, spun, and ended in order by Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Queue
from typing import Any, Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from siam_tracker_ros.dds_profile import use_shipped_profile
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.ros_distro import ros_distro

# How long nodes may take to let go of what they hold, all together, s.
_CLOSE_S = 20.0
_ANSWERS_S = 1.0


class ClosableNode(Protocol):
    """What a node has besides being one."""

    def close(self) -> None:
        """Stop and say goodbye; called in the executor's thread."""

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent."""


def until_told(node: Node, stop: threading.Event) -> int:
    """What most nodes' main thread does: wait for a signal."""
    stop.wait()
    return 0


@dataclass(frozen=True)
class Member:
    """A node to run: how it is made, and what waits for its end (see `run_node`)."""

    make: Callable[[], Node]
    meanwhile: Callable[[Any, threading.Event], int] = until_told


def run_node(
    make: Callable[[], Node],
    argv: Sequence[str] | None = None,
    meanwhile: Callable[[Any, threading.Event], int] = until_told,
) -> int:
    """Spin the node that `make` makes until SIGINT or SIGTERM; the exit status.

    Callbacks run in a thread of the executor's, so that the main thread hears signals whatever they do. The
    node's `close` publishes its last messages while publishing is still possible. The main thread runs
    `meanwhile(node, stop)`, which returns soon after `stop` is set; the node ends when it returns, with the
    exit status that it returns. Large images get through (see `dds_profile`).
    """
    return run_nodes([Member(make, meanwhile)], argv)


def run_nodes(
    members: Sequence[Member],
    argv: Sequence[str] | None = None,
    beside: Callable[[list[Any], threading.Event], int] | None = None,
) -> int:
    """The same with several nodes, each with an executor and a thread of its own; the last is closed first.

    All are made before any is spun. `beside(nodes, stop)` runs while they do. The first of it and members'
    `meanwhile` to return ends all, with the exit status that it returns.
    """
    use_shipped_profile(ros_distro())
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    nodes: list[Any] = []
    try:
        try:
            rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
            for member in members:
                nodes.append(member.make())
        # rcl's own errors, about arguments and parameter files, are RuntimeErrors.
        except (ParameterException, SiamTrackerError, RuntimeError) as error:
            return _failed(error)
        spun = [_Spun(node, stop) for node in nodes]
        waits = [partial(member.meanwhile, node) for member, node in zip(members, nodes, strict=True)]
        if beside is not None:
            waits.append(partial(beside, nodes))
        try:
            status = waits[0](stop) if len(waits) == 1 else _first_end(waits, stop)
        except SiamTrackerError as error:
            status = _failed(error)
        # A second signal ends what does not end by itself.
        for number, handler in before.items():
            signal.signal(number, handler)
        deadline = time.monotonic() + _CLOSE_S
        for one in reversed(spun):
            if not one.close(deadline):
                print(f"error: {one.name} did not stop in time; ending without it", file=sys.stderr)
                os._exit(1)
        for one in reversed(spun):
            one.end()
    finally:
        rclpy.try_shutdown()
    return status


def _first_end(waits: Sequence[Callable[[threading.Event], int]], stop: threading.Event) -> int:
    """Wait in all these ways at once; what the first to end returns, or raises."""
    ends: Queue[int | Exception] = Queue()

    def run(wait: Callable[[threading.Event], int]) -> None:
        try:
            ends.put(wait(stop))
        except Exception as error:
            ends.put(error)
        stop.set()

    for wait in waits:
        threading.Thread(target=run, args=(wait,), daemon=True).start()
    end = ends.get()
    if isinstance(end, Exception):
        raise end
    return end


def _failed(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


class _Spun:
    """A node in a thread of its own, until it is closed."""

    def __init__(self, node: Any, stop: threading.Event) -> None:
        self.name = node.get_name()
        self._node = node
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(
            target=self._spin, args=(stop,), name=f"{self.name} executor", daemon=True
        )
        self._thread.start()

    def _spin(self, stop: threading.Event) -> None:
        while True:
            try:
                self._executor.spin()
                return
            except (ExternalShutdownException, ShutdownException):
                return
            except Exception:
                # One failed callback is no reason to stop the others.
                self._node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
                if not self._executor.context.ok():
                    stop.set()
                    return

    def close(self, deadline: float) -> bool:
        """Close the node in its thread, then let its open answers out; False if it takes too long."""
        if not self._thread.is_alive():
            return True
        closed, answered = threading.Event(), threading.Event()

        def close() -> None:
            try:
                self._node.close()
            finally:
                closed.set()

        def look() -> None:
            if not self._node.has_open_requests():
                answered.set()

        self._executor.create_task(close)
        self._executor.wake()
        if not closed.wait(max(0.0, deadline - time.monotonic())):
            return False
        for _ in range(20):
            self._executor.create_task(look)
            self._executor.wake()
            if answered.wait(_ANSWERS_S / 20):
                break
        return True

    def end(self) -> None:
        """Stop spinning, and let go of the node."""
        self._executor.shutdown()
        self._thread.join(_CLOSE_S)
        self._node.destroy_node()
