"""A subscription read in a thread of its own, for messages whose latency counts.

An executor goes through every timer, service and subscription of its nodes, in Python, each time one of them
has something: measured here, that is half of the time from an image's publication to its callback in another
process, and two thirds of the processor's. A wait set with nothing but the subscription wakes for it alone.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.waitable import Waitable

_FOREVER_NS = -1


class _EventsAlone(CallbackGroup):  # type: ignore[misc]
    """Executors leave alone what is in it, but for events, such as a publisher with an incompatible QoS."""

    def can_execute(self, entity: Any) -> bool:
        return isinstance(entity, Waitable)

    def beginning_execution(self, entity: Any) -> bool:
        return isinstance(entity, Waitable)

    def ending_execution(self, entity: Any) -> None:
        pass


class PromptSubscription:
    """Calls `callback` with each message, in a thread that does nothing else, until it is closed."""

    def __init__(
        self, node: Node, type_: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> None:
        self._node, self._type, self._callback = node, type_, callback
        group = _EventsAlone()
        self._subscription = node.create_subscription(type_, topic, callback, qos, callback_group=group)
        self._wake = node.create_guard_condition(lambda: None, callback_group=group)
        self._closed = False
        self._thread = threading.Thread(target=self._read, name=f"{topic} reader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No callback is called any more, nor under way, after this. Not to be called in one."""
        self._closed = True
        self._wake.trigger()
        self._thread.join()
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_guard_condition(self._wake)

    def _read(self) -> None:
        context = self._node.context
        with context.handle, self._subscription.handle, self._wake.handle:
            wait_set = _rclpy.WaitSet(1, 1, 0, 0, 0, 0, context.handle)
            while not self._closed and context.ok():
                wait_set.clear_entities()
                wait_set.add_subscription(self._subscription.handle)
                wait_set.add_guard_condition(self._wake.handle)
                wait_set.wait(_FOREVER_NS)
                # None: it was taken back, or the wake was for the end.
                taken = None if self._closed else self._subscription.handle.take_message(self._type, False)
                if taken is not None:
                    self._call(taken[0])

    def _call(self, message: Any) -> None:
        try:
            self._callback(message)
        except Exception:
            # One failed callback is no reason to miss what comes after it.
            self._node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
