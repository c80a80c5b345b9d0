"""One node in one process: started, spun, and ended in order by Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from siam_tracker_ros.dds_profile import use_shipped_profile
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.ros_distro import ros_distro

# How long the node may take to let go of what it holds, s.
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
    use_shipped_profile(ros_distro())
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        try:
            rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
            node = make()
        # rcl's own errors, about arguments and parameter files, are RuntimeErrors.
        except (ParameterException, SiamTrackerError, RuntimeError) as error:
            return _failed(error)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinning = threading.Thread(target=_spin, args=(executor, node, stop), name="executor", daemon=True)
        spinning.start()
        try:
            status = meanwhile(node, stop)
        except SiamTrackerError as error:
            status = _failed(error)
        # A second signal ends what does not end by itself.
        for number, handler in before.items():
            signal.signal(number, handler)
        if spinning.is_alive() and not _close(executor, node):
            print("error: the node did not stop in time; ending without it", file=sys.stderr)
            os._exit(1)
        executor.shutdown()
        spinning.join(_CLOSE_S)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return status


def _failed(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


def _spin(executor: SingleThreadedExecutor, node: Node, stop: threading.Event) -> None:
    while True:
        try:
            executor.spin()
            return
        except (ExternalShutdownException, ShutdownException):
            return
        except Exception:
            # One failed callback is no reason to stop the others.
            node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
            if not executor.context.ok():
                stop.set()
                return


def _close(executor: SingleThreadedExecutor, node: ClosableNode) -> bool:
    """Close the node in the executor's thread, then let its open answers out; False if it takes too long."""
    closed, answered = threading.Event(), threading.Event()

    def close() -> None:
        try:
            node.close()
        finally:
            closed.set()

    def look() -> None:
        if not node.has_open_requests():
            answered.set()

    executor.create_task(close)
    executor.wake()
    if not closed.wait(_CLOSE_S):
        return False
    for _ in range(20):
        executor.create_task(look)
        executor.wake()
        if answered.wait(_ANSWERS_S / 20):
            break
    return True
