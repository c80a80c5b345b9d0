"""What message_filters has and this package uses, for where message_filters is not installed.

The same names, arguments and behaviour as in ROS 2's message_filters, so that either can stand in for the
other; the same tests run against both. `find_message_filters` gives the one to use.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from siam_tracker_ros.footage.stamps import stamp_ns


def find_message_filters() -> ModuleType:
    """ROS 2's message_filters where it imports, else this module."""
    try:
        return importlib.import_module("message_filters")
    except ImportError:
        return sys.modules[__name__]


class SimpleFilter:
    """Passes messages on to the callbacks that are registered with it, in the order of their registration."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """Call `cb(*messages, *args)` for every output from now on; a number for this connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:  # noqa: N802
        """Put out `msg`, one message or several that belong together."""
        for callback, arguments in list(self.callbacks.values()):
            callback(*msg, *arguments)


class Subscriber(SimpleFilter):
    """A subscription that puts out its messages: `Subscriber(node, type, topic, **options)`.

    `options` are those of `node.create_subscription`; `qos_profile` is 10 unless given. The subscription is
    `sub`.
    """

    def __init__(self, node: Any, msg_type: type, topic: str, **options: Any) -> None:
        super().__init__()
        self.node, self.topic = node, topic
        options.setdefault("qos_profile", 10)
        self.sub = node.create_subscription(msg_type, topic, self.callback, **options)

    def callback(self, msg: Any) -> None:
        """A message came."""
        self.signalMessage(msg)

    def getTopic(self) -> str:  # noqa: N802
        """The topic, as it was given."""
        return self.topic


class TimeSynchronizer(SimpleFilter):
    """Puts out the messages of several filters together that have exactly the same stamp, oldest first.

    Of each filter the `queue_size` messages with the latest stamps are kept; of two with the same stamp, the
    last. Messages must have a header.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.queues: list[dict[int, Any]] = []
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:  # noqa: N802
        """Take messages from these filters, with nothing kept of others."""
        self.queues = [{} for _ in fs]
        self.input_connections = [
            one.registerCallback(self.add, queue, index)
            for index, (one, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """A message of the filter whose queue this is."""
        with self.lock:
            self._keep(msg, my_queue)
            for stamp in sorted(set.intersection(*map(set, self.queues))):
                # Taken out first: what a callback raises must not put them out twice.
                self.signalMessage(*[queue.pop(stamp) for queue in self.queues])

    def _keep(self, message: Any, queue: dict[int, Any]) -> int:
        stamp = stamp_ns(message.header.stamp)
        queue[stamp] = message
        for too_old in sorted(queue)[: -self.queue_size]:
            del queue[too_old]
        return stamp


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Puts out the messages of several filters together whose stamps lie less than `slop` seconds apart.

    A new message is put out with those nearest to its stamp, as soon as every other filter has one.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int, slop: float) -> None:
        self._slop_ns = round(slop * 1e9)
        super().__init__(fs, queue_size)

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """A message of the filter whose queue this is."""
        with self.lock:
            stamp = self._keep(msg, my_queue)
            if stamp not in my_queue:
                return
            candidates = [[stamp] if queue is my_queue else self._near(stamp, queue) for queue in self.queues]
            for stamps in itertools.product(*candidates):
                if max(stamps) - min(stamps) < self._slop_ns:
                    together = [queue.pop(at) for queue, at in zip(self.queues, stamps, strict=True)]
                    self.signalMessage(*together)
                    return

    def _near(self, stamp: int, queue: dict[int, Any]) -> list[int]:
        """Stamps within the slop, nearest first."""
        return sorted(
            (at for at in queue if abs(at - stamp) <= self._slop_ns), key=lambda at: abs(at - stamp)
        )
