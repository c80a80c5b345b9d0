"""Images from one node to others of the same process: the message itself, not serialised, not copied.

rclpy sends a message through the middleware even to a subscription of its own process. Composed nodes
share an `ImageExchange`: what one publishes reaches the others through it, and goes to the middleware only
where somebody outside listens. Without an exchange, publishers and subscriptions are rclpy's alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from siam_tracker_ros.nodes.image_topic import ImageTopic
from siam_tracker_ros.nodes.prompt_subscription import PromptSubscription

_Key = tuple[str, type]


class ImageExchange:
    """Who publishes and who reads which topic in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._published: set[_Key] = set()
        self._readers: dict[_Key, tuple[_Reader, ...]] = {}

    def announce(self, key: _Key) -> None:
        """A node of this process publishes the topic: those who subscribe from now on read it from there."""
        with self._lock:
            self._published.add(key)

    def publishes(self, key: _Key) -> bool:
        """Whether a node of this process publishes the topic."""
        with self._lock:
            return key in self._published

    def readers(self, key: _Key) -> tuple[_Reader, ...]:
        """Who reads the topic in this process."""
        return self._readers.get(key, ())

    def add(self, key: _Key, reader: _Reader) -> None:
        """Somebody reads the topic."""
        with self._lock:
            self._readers[key] = (*self.readers(key), reader)

    def remove(self, key: _Key, reader: _Reader) -> None:
        """And no longer does."""
        with self._lock:
            self._readers[key] = tuple(one for one in self.readers(key) if one is not reader)


class ImagePublisher:
    """Publishes a topic of images, to this process's readers first. As rclpy's publishers otherwise."""

    def __init__(
        self, node: Node, type_: type, topic: str, qos: QoSProfile, exchange: ImageExchange | None
    ) -> None:
        self._publisher = node.create_publisher(type_, topic, qos)
        self._exchange = exchange
        self._key = (self._publisher.topic_name, type_)
        if exchange is not None:
            exchange.announce(self._key)

    def publish(self, message: Any) -> None:
        """Hand `message` over; it must not be changed any more."""
        for reader in self._local_readers():
            reader.take(message)
        # Nobody outside: nothing to be serialised.
        if self._exchange is None or self._publisher.get_subscription_count():
            self._publisher.publish(message)

    def get_subscription_count(self) -> int:
        """Subscriptions in this process and in others."""
        return int(self._publisher.get_subscription_count()) + len(self._local_readers())

    def wait_for_all_acked(self, timeout: Any) -> bool:
        """Until reliable subscriptions of other processes have all messages; False after `timeout`."""
        return bool(self._publisher.wait_for_all_acked(timeout))

    def _local_readers(self) -> tuple[_Reader, ...]:
        return self._exchange.readers(self._key) if self._exchange is not None else ()


class ImageSubscription:
    """Calls `callback` with each image of `topic` until it is closed.

    In the thread of the node's executor; or, with `any_thread`, where it is soonest: in the publisher's, or
    one of its own where images come from another process.
    """

    def __init__(
        self,
        node: Node,
        topic: ImageTopic,
        callback: Callable[[Any], None],
        exchange: ImageExchange | None,
        any_thread: bool = False,
    ) -> None:
        self._node, self._exchange = node, exchange
        self._key = (topic.name, topic.type)
        self._subscription: Any = None
        self._prompt: PromptSubscription | None = None
        self._reader: _Reader | None = None
        if exchange is None or not exchange.publishes(self._key):
            what = topic.type, topic.name, callback, topic.qos
            if any_thread:
                self._prompt = PromptSubscription(node, *what)
            else:
                self._subscription = node.create_subscription(*what)
            return
        self._reader = _Reader(callback) if any_thread else _QueuedReader(node, callback, topic.qos.depth)
        exchange.add(self._key, self._reader)

    @property
    def handed_over(self) -> bool:
        """Whether images come from a node of this process."""
        return self._reader is not None

    def close(self) -> None:
        """No callback is called any more, nor under way, after this."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        if self._prompt is not None:
            self._prompt.close()
        if self._reader is not None and self._exchange is not None:
            self._exchange.remove(self._key, self._reader)
            self._reader.close()
        self._subscription = self._prompt = self._reader = None


class _Reader:
    """Takes images in the publisher's thread."""

    def __init__(self, callback: Callable[[Any], None]) -> None:
        self._callback = callback
        self._open = True
        self._lock = threading.Lock()

    def take(self, message: Any) -> None:
        with self._lock:
            if self._open:
                self._callback(message)

    def close(self) -> None:
        with self._lock:
            self._open = False


class _QueuedReader(_Reader):
    """Takes them in the thread of the node's executor."""

    def __init__(self, node: Node, callback: Callable[[Any], None], depth: int) -> None:
        super().__init__(self._queue)
        self._node, self._hear = node, callback
        self._messages: deque[Any] = deque(maxlen=depth)
        self._arrived = node.create_guard_condition(self._hear_all)

    def _queue(self, message: Any) -> None:
        self._messages.append(message)
        self._arrived.trigger()

    def _hear_all(self) -> None:
        while self._messages:
            self._hear(self._messages.popleft())

    def close(self) -> None:
        super().close()
        self._messages.clear()
        self._node.destroy_guard_condition(self._arrived)
