"""Lifecycle transitions that say why they failed, and never leave who asked for one without an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from siam_tracker_ros.errors import SiamTrackerError


class FailableNode(Protocol):
    """What a lifecycle node has besides being one, for its transitions to be made with `transition`."""

    def failed(self, message: str) -> None:
        """A transition failed: log `message` as an error and let go of what the transition had opened."""

    def get_logger(self) -> Any:
        """The node's logger."""


Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(body: Callable[[Any], None]) -> Transition:
    """A transition that succeeds unless `body` raises: then one line says why, and the state stays as it was.

    rclpy swallows what a transition raises.
    """

    @wraps(body)
    def callback(node: FailableNode, state: LifecycleState) -> TransitionCallbackReturn:
        name = body.__name__.removeprefix("on_")
        try:
            body(node)
        except SiamTrackerError as error:
            node.failed(f"{name} failed: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            node.failed(f"{name} failed: {type(error).__name__}: {error}")
            node.get_logger().debug(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    return callback


def lifecycle_state(node: LifecycleNode) -> str:
    """The label of the state that the node is in: "inactive", or "configuring" within a transition."""
    return str(node._state_machine.current_state[1])


def answer_impossible_transitions(node: LifecycleNode) -> None:
    """Refuse what does not start in the present state: rclpy raises, and leaves the caller waiting."""
    service = node._service_change_state
    change_state = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except Exception as error:
            asked = request.transition.label or request.transition.id
            node.get_logger().warning(f"transition {asked} refused while {lifecycle_state(node)}: {error}")
            response.success = False
            return response

    service.callback = answer
