"""Records topics into a bag, as they are found on the graph."""

from __future__ import annotations

import math
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.bag_writer import BagTopic, BagWriter
from siam_tracker_ros.nodes.message_definitions import MessageDefinitions, message_class

# How often the graph is looked at, s.
_LOOK_S = 0.1
# Messages of a topic that the middleware keeps while they are handed over.
_DEPTH = 100
_NS = 1_000_000_000


@dataclass(frozen=True)
class Selection:
    """Which topics to record: `topics` by name, or `everything`, but none that `exclude` is found in."""

    topics: tuple[str, ...] = ()
    everything: bool = False
    exclude: re.Pattern[str] | None = None

    def wants(self, topic: str) -> bool:
        """Whether a topic, by its full name, is to be recorded."""
        if self.exclude is not None and self.exclude.search(topic):
            return False
        hidden = any(part.startswith("_") for part in topic.split("/"))
        return topic in self.topics or (self.everything and not hidden)


@dataclass
class _Recorded:
    subscription: Any
    qos: QoSProfile


class Recorder(Node):  # type: ignore[misc]
    """Subscribes what `selection` wants, whenever it appears, and hands it to `bag` in a thread of its own.

    Messages are kept as they came, and stamped with the time at which they came. Where the disk is too slow,
    up to `cache_bytes` wait; more are dropped and counted.
    """

    def __init__(self, bag: BagWriter, selection: Selection, cache_bytes: int, **options: Any) -> None:
        super().__init__("recorder_node", **options)
        self.failure: SiamTrackerError | None = None
        self.dropped = 0
        self._bag = bag
        self._selection = selection
        self._cache_bytes = cache_bytes
        self._definitions = MessageDefinitions()
        self._recorded: dict[str, _Recorded] = {}
        self._refused: dict[str, str] = {}
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._writing = threading.Thread(target=self._write, name="bag", daemon=True)
        self._writing.start()
        # The graph is looked at also where simulated time stands still.
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def topics(self) -> list[str]:
        """Topics that are recorded."""
        return list(self._recorded)

    @property
    def missed(self) -> dict[str, str]:
        """Topics that were named, or found, and are not recorded, each with the reason."""
        absent = (topic for topic in self._selection.topics if topic not in self._recorded)
        return {**dict.fromkeys(absent, "nobody published it"), **self._refused}

    def record(self, stop: threading.Event, seconds: float = math.inf) -> None:
        """Record until `stop`, for `seconds`, or until it fails; then write what has come and finish the bag.

        That may take long on a slow disk, and is waited for. What went wrong is in `failure`.
        """
        deadline = time.monotonic() + seconds
        while self._writing.is_alive() and (left := deadline - time.monotonic()) > 0:
            if stop.wait(min(left, 0.1)):
                break
        self._queue.put(None)
        self._writing.join()

    def close(self) -> None:
        """Let go of the subscriptions."""
        for recorded in self._recorded.values():
            self.destroy_subscription(recorded.subscription)

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent."""
        return False

    def _look(self) -> None:
        """Subscribe what has appeared, and anew where the present publishers would not be heard."""
        for topic, types in self.get_topic_names_and_types():
            if not self._selection.wants(topic) or topic in self._refused:
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            try:
                self._subscribe(topic, types, publishers)
            except SiamTrackerError as error:
                self._refused[topic] = str(error)
                self.get_logger().warning(f"{topic} is not recorded: {error}")

    def _subscribe(self, topic: str, types: Sequence[str], publishers: Sequence[Any]) -> None:
        qos = adapted_qos([publisher.qos_profile for publisher in publishers])
        before = self._recorded.get(topic)
        if before is not None and (before.qos.reliability, before.qos.durability) == (
            qos.reliability,
            qos.durability,
        ):
            return
        if len(types) > 1:
            raise SiamTrackerError(f"it has several types, {', '.join(types)}")
        (type_name,) = types
        type_ = message_class(type_name)
        if before is None:
            found = BagTopic(
                topic,
                type_name,
                self._definitions.definition(type_name),
                self._definitions.hash(type_name),
                tuple(offered_qos(publisher.qos_profile) for publisher in publishers),
            )
            self._queue.put(lambda: self._bag.add_topic(found))
            self.get_logger().info(f"recording {topic} ({type_name})")
        else:
            self.destroy_subscription(before.subscription)

        def take(data: bytes, info: dict[str, int]) -> None:
            self._take(topic, data, info)

        self._recorded[topic] = _Recorded(self.create_subscription(type_, topic, take, qos, raw=True), qos)

    def _take(self, topic: str, data: bytes, info: dict[str, int]) -> None:
        time_ns = int(self.get_clock().now().nanoseconds)
        if not self.get_clock().ros_time_is_active:
            # When it arrived, not when it was its turn.
            time_ns = info.get("received_timestamp") or time_ns
        elif not time_ns:
            self.get_logger().warning("no /clock yet: messages before it are left out", once=True)
            return
        with self._lock:
            # One larger than all that may wait is taken too, alone.
            if self._waiting and self._waiting + len(data) > self._cache_bytes:
                self.dropped += 1
                self.get_logger().warning(
                    f"the disk is too slow: {self.dropped} messages dropped until now",
                    throttle_duration_sec=5.0,
                )
                return
            self._waiting += len(data)

        def write() -> None:
            try:
                self._bag.write(topic, time_ns, data)
            finally:
                with self._lock:
                    self._waiting -= len(data)

        self._queue.put(write)

    def _write(self) -> None:
        while self.failure is None and (step := self._queue.get()) is not None:
            self._guarded(step)
        self._guarded(self._bag.close)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except SiamTrackerError as error:
            self.failure = self.failure or error
        except Exception as error:
            self.failure = self.failure or SiamTrackerError(f"{type(error).__name__}: {error}")


def adapted_qos(offered: Sequence[QoSProfile]) -> QoSProfile:
    """The strictest quality of service that hears every one of these publishers."""
    reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in offered)
    latched = all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in offered)
    return QoSProfile(
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered_qos(profile: QoSProfile) -> Qos:
    """A publisher's quality of service as bags keep it."""

    def duration(value: Any) -> QosTime:
        return QosTime(*divmod(value.nanoseconds, _NS))

    return Qos(
        QosHistory(int(profile.history)),
        int(profile.depth),
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        duration(profile.deadline),
        duration(profile.lifespan),
        QosLiveliness(int(profile.liveliness)),
        duration(profile.liveliness_lease_duration),
        bool(profile.avoid_ros_namespace_conventions),
    )
