"""A node that asks others for something, and waits for the answer as long as it may take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from siam_tracker_ros.errors import SiamTrackerError

_TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}
CONFIGURE_S = 180.0
"""How long a node may take to load and warm up its network."""
ACTIVATE_S = 30.0
_POLL_S = 0.05


class TransitionFailedError(SiamTrackerError):
    """A node that refused a transition, or did not answer in time."""


class NoAnswerError(SiamTrackerError):
    """A service that is not there, or does not answer in time."""


class ClientNode:
    """A node in a context of its own, spun only while something is waited for. Use as a context manager.

    `arguments` are ROS arguments. `going_on` is called while waiting: what it raises ends the wait.
    """

    def __init__(
        self, name: str, arguments: Sequence[str] = (), going_on: Callable[[], None] = lambda: None
    ) -> None:
        self._going_on = going_on
        self._context = rclpy.Context()
        rclpy.init(
            context=self._context, args=list(arguments), signal_handler_options=SignalHandlerOptions.NO
        )
        self.node = rclpy.create_node(
            name, context=self._context, enable_rosout=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def __enter__(self) -> ClientNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait(self, until: Callable[[], Any], within_s: float) -> bool:
        """Spin until `until()` is true; whether that was in time."""
        deadline = time.monotonic() + within_s
        while not until():
            if time.monotonic() > deadline:
                return False
            self._going_on()
            self._executor.spin_once(timeout_sec=_POLL_S)
        return True

    def send(self, type_: Any, service: str, request: Any, within_s: float) -> Any:
        """Call a service, which may yet have to appear; the future of its answer, None if it does not."""
        client = self.node.create_client(type_, service)
        return client.call_async(request) if self.wait(client.service_is_ready, within_s) else None

    def ask(self, type_: Any, service: str, request: Any, within_s: float) -> Any:
        """Call a service and wait; its answer. Raises NoAnswerError where there is none in time."""
        deadline = time.monotonic() + within_s
        future = self.send(type_, service, request, within_s)
        if future is None or not self.wait(future.done, deadline - time.monotonic()):
            raise NoAnswerError(f"{service} does not answer within {within_s:g} s")
        return future.result()

    def change_state(self, node: str, transition: str, within_s: float) -> None:
        """Ask lifecycle node `node` for a transition by name. Raises TransitionFailedError."""
        request = ChangeState.Request(transition=Transition(id=_TRANSITIONS[transition], label=transition))
        try:
            answer = self.ask(ChangeState, f"{node}/change_state", request, within_s)
        except NoAnswerError:
            raise TransitionFailedError(f"{node} did not {transition} within {within_s:g} s") from None
        if not answer.success:
            raise TransitionFailedError(f"{node} refused to {transition}")


def run_client(name: str, arguments: Sequence[str], act: Callable[[ClientNode], None]) -> int:
    """A process that does one thing as a node, and ends; the exit status."""
    try:
        with ClientNode(name, arguments) as client:
            act(client)
    except SiamTrackerError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
