"""Lifecycle transitions that say why they failed, and never leave who asked for one without an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from siam_tracker_ros.errors import SiamTrackerError

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(body: Callable[[Any], None]) -> Transition:
    """A transition that succeeds unless `body` raises: then one line says why, and the state stays as it was.

    rclpy swallows what a transition raises.
    """

    @wraps(body)
    def callback(node: OrderlyLifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
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


class OrderlyLifecycleNode(LifecycleNode):  # type: ignore[misc]
    """A lifecycle node that lets go of everything in whichever way it leaves a state, failures included.

    `on_configure` and `on_activate` are made with `transition` by the node itself.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._trouble = ""
        _answer_impossible_transitions(self)

    @property
    def trouble(self) -> str:
        """Why the last transition failed; empty if it did not."""
        return self._trouble

    def _deactivate(self) -> None:
        """Undo what `on_activate` has done, all or part of it, or nothing."""
        raise NotImplementedError

    def _clean_up(self) -> None:
        """Undo what `on_configure` has done, all or part of it, or nothing."""
        raise NotImplementedError

    def on_change(self) -> None:
        """Called when the state has changed, or could not be."""

    @transition
    def on_deactivate(self) -> None:
        """Stop; what configure has opened stays open."""
        self._deactivate()
        self.on_change()

    @transition
    def on_cleanup(self) -> None:
        """Let go of what configure has opened."""
        self._clean_up()
        self.on_change()

    @transition
    def on_shutdown(self) -> None:
        """From any state: what deactivate and cleanup do."""
        self._deactivate()
        self._clean_up()
        self.on_change()

    @transition
    def on_error(self) -> None:
        """Back to unconfigured, with nothing half open."""
        self._deactivate()
        self._clean_up()

    def failed(self, message: str) -> None:
        """A transition failed: say it once in the log, keep it for diagnostics, close what it had opened."""
        self._trouble = message
        self.get_logger().error(message)
        state = lifecycle_state(self)
        if state == "activating":
            self._deactivate()
        elif state == "configuring":
            self._clean_up()
        self.on_change()

    def _is_unconfigured(self) -> bool:
        return lifecycle_state(self) == "unconfigured"


def _answer_impossible_transitions(node: LifecycleNode) -> None:
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
