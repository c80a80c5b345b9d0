"""Joining messages by stamp: ROS 2's message_filters, where it is installed, and our own do the same."""

from __future__ import annotations

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from siam_tracker_ros.nodes import message_filters_fallback


@pytest.fixture(params=["message_filters", "siam_tracker_ros.nodes.message_filters_fallback"])
def filters(request: pytest.FixtureRequest) -> ModuleType:
    try:
        return importlib.import_module(request.param)
    except ImportError as error:
        pytest.skip(f"NOT TESTED: {request.param} does not import here ({error}); our own stands in for it")


class Heard(list[tuple[Any, ...]]):
    """What was put out, by name."""

    def __call__(self, *messages: Any) -> None:
        self.append(tuple(getattr(message, "name", message) for message in messages))


def message(name: str, milliseconds: int) -> Any:
    pytest.importorskip("std_msgs.msg", reason="NOT TESTED: no ROS 2 here")
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    seconds, rest = divmod(milliseconds, 1000)
    stamp = Time(sec=seconds, nanosec=rest * 1_000_000)
    return SimpleNamespace(name=name, header=Header(stamp=stamp))


def test_the_real_one_is_used_where_it_is_installed() -> None:
    try:
        real = importlib.import_module("message_filters")
    except ImportError:
        assert message_filters_fallback.find_message_filters() is message_filters_fallback
    else:
        assert message_filters_fallback.find_message_filters() is real


def test_a_filter_tells_everybody_in_the_order_they_came(filters: ModuleType) -> None:
    source, order = filters.SimpleFilter(), []
    source.registerCallback(lambda *given: order.append(("first", *given)), "extra")
    source.registerCallback(lambda *given: order.append(("second", *given)))
    source.signalMessage("message")
    assert order == [("first", "message", "extra"), ("second", "message")]


def test_a_subscriber_passes_on_what_its_subscription_hears(filters: ModuleType) -> None:
    made: dict[str, Any] = {}

    class Node:
        def create_subscription(self, type_: type, topic: str, callback: Any, **options: Any) -> str:
            made.update(type=type_, topic=topic, callback=callback, **options)
            return "subscription"

    subscriber, heard = filters.Subscriber(Node(), int, "numbers", qos_profile=3), Heard()
    subscriber.registerCallback(heard)
    made["callback"](7)
    assert heard == [(7,)]
    assert (made["type"], made["topic"], made["qos_profile"]) == (int, "numbers", 3)
    assert (subscriber.sub, subscriber.getTopic()) == ("subscription", "numbers")
    filters.Subscriber(Node(), int, "numbers")
    assert made["qos_profile"] == 10


class Joined:
    """Two filters and what comes out of the synchronizer of them."""

    def __init__(self, filters: ModuleType, synchronizer: str, *arguments: Any) -> None:
        self.left, self.right, self.heard = filters.SimpleFilter(), filters.SimpleFilter(), Heard()
        joined = getattr(filters, synchronizer)([self.left, self.right], *arguments)
        joined.registerCallback(self.heard)

    def send(self, *names: str) -> Heard:
        """Messages "L40" (left, 40 ms), "R40", with anything after a dot to tell two apart."""
        for name in names:
            source = self.left if name[0] == "L" else self.right
            source.signalMessage(message(name, int(name[1:].split(".")[0])))
        return self.heard


def test_messages_of_the_same_stamp_come_out_together(filters: ModuleType) -> None:
    joined = Joined(filters, "TimeSynchronizer", 10)
    assert joined.send("L10", "R11", "L20") == []
    assert joined.send("R20") == [("L20", "R20")]
    assert joined.send("R10")[1:] == [("L10", "R10")]
    # What came out is gone.
    assert joined.send("R20", "L10")[2:] == []


def test_stamps_are_compared_to_the_nanosecond(filters: ModuleType) -> None:
    joined = Joined(filters, "TimeSynchronizer", 10)
    left, right = message("L", 1000), message("R", 1000)
    right.header.stamp.nanosec += 1
    joined.left.signalMessage(left)
    joined.right.signalMessage(right)
    assert joined.heard == []


def test_only_the_latest_stamps_are_kept(filters: ModuleType) -> None:
    joined = Joined(filters, "TimeSynchronizer", 2)
    assert joined.send("L10", "L20", "L30", "R10", "R20") == [("L20", "R20")]
    # An older one than all that are kept does not push one of them out.
    assert joined.send("L40", "L5", "R5", "R30")[1:] == [("L30", "R30")]


def test_the_last_of_several_with_one_stamp_counts(filters: ModuleType) -> None:
    assert Joined(filters, "TimeSynchronizer", 2).send("L10.a", "L10.b", "R10") == [("L10.b", "R10")]


def test_three_filters(filters: ModuleType) -> None:
    sources, heard = [filters.SimpleFilter() for _ in range(3)], Heard()
    filters.TimeSynchronizer(sources, 5).registerCallback(heard)
    for index, source in enumerate(sources):
        assert heard == []
        source.signalMessage(message(str(index), 10))
    assert heard == [("0", "1", "2")]


def test_stamps_within_the_slop_come_out_together(filters: ModuleType) -> None:
    joined = Joined(filters, "ApproximateTimeSynchronizer", 10, 0.010)
    assert joined.send("L100", "R111", "R89") == []
    assert joined.send("R109") == [("L100", "R109")]
    assert joined.send("L108")[1:] == [("L108", "R111")]


def test_the_nearest_within_the_slop_is_taken(filters: ModuleType) -> None:
    joined = Joined(filters, "ApproximateTimeSynchronizer", 10, 0.050)
    assert joined.send("L100", "L120", "L140", "R124") == [("L120", "R124")]
    assert joined.send("R124.again")[1:] == [("L140", "R124.again")]


def test_the_slop_holds_between_all(filters: ModuleType) -> None:
    """Each within the slop of the new one is not enough: the first and the last are too far apart."""
    sources, heard = [filters.SimpleFilter() for _ in range(3)], Heard()
    filters.ApproximateTimeSynchronizer(sources, 5, 0.010).registerCallback(heard)
    for source, milliseconds in zip(sources, (100, 114, 107), strict=True):
        source.signalMessage(message(str(milliseconds), milliseconds))
    assert heard == []
    sources[0].signalMessage(message("109", 109))
    assert heard == [("109", "114", "107")]
