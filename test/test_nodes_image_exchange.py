"""Images handed over between nodes of one process, on a real graph."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from graph_process import DEADLINE_S, Listener
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImagePublisher, ImageSubscription
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.nodes.image_topic import ImageTopic
from siam_tracker_ros.nodes.prompt_subscription import PromptSubscription

TOPIC = ImageTopic("/image", Image, qos_profile_sensor_data)
FRAME = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def publisher(one: Listener, exchange: ImageExchange | None) -> ImagePublisher:
    return ImagePublisher(one.node, Image, "image", qos_profile_sensor_data, exchange)


def image(number: int) -> Image:
    return image_message(Header(frame_id=str(number)), "bgr8", FRAME)


def test_a_reader_of_the_process_gets_the_message_itself_in_the_publishers_thread(ros_domain: int) -> None:
    with Listener() as one:
        exchange = ImageExchange()
        camera = publisher(one, exchange)
        heard: list[tuple[Any, int]] = []

        def take(message: Any) -> None:
            heard.append((message, threading.get_ident()))

        subscription = ImageSubscription(one.node, TOPIC, take, exchange, any_thread=True)
        assert subscription.handed_over
        assert camera.get_subscription_count() == 1
        sent = image(1)
        camera.publish(sent)
        ((message, thread),) = heard
        assert message is sent
        assert thread == threading.get_ident()
        assert np.shares_memory(np.frombuffer(message.data, np.uint8), np.frombuffer(sent.data, np.uint8))
        subscription.close()
        camera.publish(image(2))
        assert len(heard) == 1
        assert camera.get_subscription_count() == 0


def test_a_reader_with_a_thread_of_its_own_gets_the_newest(ros_domain: int) -> None:
    with Listener() as one:
        exchange = ImageExchange()
        camera = publisher(one, exchange)
        heard: list[Any] = []
        subscription = ImageSubscription(one.node, TOPIC, heard.append, exchange)
        depth = qos_profile_sensor_data.depth
        for number in range(depth + 3):
            camera.publish(image(number))
        assert not heard
        one.wait(lambda: len(heard) >= depth, "images")
        assert [message.header.frame_id for message in heard] == [str(3 + index) for index in range(depth)]
        camera.publish(image(99))
        subscription.close()
        one.spin(3)
        assert len(heard) == depth


def test_others_are_served_by_the_middleware(ros_domain: int) -> None:
    """A subscription to a topic of another process, and one of another process to ours."""
    with Listener("inside") as one, Listener("outside") as other:
        exchange = ImageExchange()
        heard: list[Any] = []
        # Nobody in this process publishes it yet.
        subscription = ImageSubscription(one.node, TOPIC, heard.append, exchange, any_thread=True)
        assert not subscription.handed_over
        outside = other.node.create_publisher(Image, "image", qos_profile_sensor_data)
        one.wait(lambda: heard, "an image from outside", lambda: outside.publish(image(1)))
        subscription.close()
        camera = publisher(one, exchange)
        far = other.hear(Image, "image", qos_profile_sensor_data)
        other.wait(lambda: far, "an image outside", lambda: camera.publish(image(2)))
        assert far[0].header.frame_id == "2"


def test_a_prompt_subscription_needs_no_executor(ros_domain: int, capfd: pytest.CaptureFixture[str]) -> None:
    """It hears in a thread of its own, also after a callback failed, until it is closed."""
    with Listener() as one:
        heard: list[str] = []
        threads: set[str] = set()
        arrived = threading.Condition()

        def take(message: Image) -> None:
            with arrived:
                heard.append(message.header.frame_id)
                threads.add(threading.current_thread().name)
                arrived.notify_all()
            if message.header.frame_id == "1":
                raise ValueError("an image it does not like")

        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        subscription = PromptSubscription(one.node, Image, "image", take, qos)
        camera = one.node.create_publisher(Image, "image", qos)
        one.wait(camera.get_subscription_count, "the subscription")
        with arrived:
            for number in range(3):
                camera.publish(image(number))
            assert arrived.wait_for(lambda: len(heard) == 3, DEADLINE_S)
        assert heard == ["0", "1", "2"]
        assert threads == {"image reader"}
        # What only an executor can hear of: a publisher that cannot be heard.
        one.node.create_publisher(Image, "image", qos_profile_sensor_data)
        one.wait(lambda: "incompatible QoS" in capfd.readouterr().err, "the warning")
        subscription.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "image reader"]
        camera.publish(image(3))
        one.spin(3)
        assert len(heard) == 3


def test_without_an_exchange_all_is_the_middleware(ros_domain: int) -> None:
    with Listener() as one:
        camera = publisher(one, None)
        heard: list[Any] = []
        subscription = ImageSubscription(one.node, TOPIC, heard.append, None, any_thread=True)
        assert not subscription.handed_over
        sent = image(1)
        one.wait(lambda: heard, "an image", lambda: camera.publish(sent))
        assert heard[0] == sent
        assert heard[0] is not sent
