"""The overlay node on a DDS graph: what is drawn, into which image, and when."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from graph_process import end, node_process
from graph_tracker import FRAME_NS, HEIGHT, WIDTH, Graph, image_message, scene, stamp_ns
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.footage.annotate import STATE_COLOURS, draw_results
from siam_tracker_ros.nodes.overlay_node import heading
from siam_tracker_ros.tracking.state import TrackState

NODE = "overlay_node"


class Stage:
    """Camera, tracker and onlooker of an overlay node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.seen: list[Image] = []
        self.tracks = graph.node.create_publisher(TrackArray, "tracks", 10)
        self.overlay = graph.node.create_subscription(Image, "overlay", self.seen.append, 10)

    def close(self) -> None:
        self.graph.node.destroy_subscription(self.overlay)
        self.graph.node.destroy_publisher(self.tracks)

    def header(self, number: int) -> Header:
        return image_message(scene(number), number * FRAME_NS).header

    def image(self, number: int) -> None:
        self.graph.camera.publish(image_message(scene(number), number * FRAME_NS))

    def track(self, number: int, state: int = Track.TRACKING) -> None:
        """The tracks of an image: one target, 20 px wide, whose centre is (80, 60)."""
        box = BoundingBox2D(center_x=80.0, center_y=60.0, size_x=20.0, size_y=20.0)
        track = Track(id="1", generation=1, state=state, bbox=box, confidence=0.5)
        message = TrackArray(
            header=self.header(number), image_width=WIDTH, image_height=HEIGHT, tracks=[track]
        )
        self.tracks.publish(message)

    def wait_for(self, number: int, each=None) -> Image:
        """The overlay of that image."""

        def found() -> Image | None:
            return next((m for m in self.seen if m.header == self.header(number)), None)

        return self.graph.wait(found, f"the overlay of image {number}", each)

    def connect(self) -> int:
        """Publish images until they are shown; the number of the next."""
        numbers = iter(range(1, 10_000))

        def publish() -> None:
            number = next(numbers)
            self.image(number)
            self.track(number)

        self.graph.wait(lambda: self.seen, "any overlay", publish)
        number = next(numbers) + 100
        self.image(number)
        self.track(number)
        self.wait_for(number)
        self.seen.clear()
        return number + 1


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def has_colour(frame: np.ndarray, state: TrackState) -> bool:
    return bool((frame == np.array(STATE_COLOURS[state], np.uint8)).all(axis=2).any())


@pytest.fixture
def stage(ros_domain: int) -> Iterator[Stage]:
    with node_process(NODE, "-p", "max_wait:=5.0") as process:
        graph = Graph(process=process)
        graph.use_camera(ReliabilityPolicy.RELIABLE)
        stage = Stage(graph)
        yield stage
        stage.close()
        graph.close()
        assert end(process) == 0


def test_tracks_are_drawn_into_the_image_of_their_stamp(stage: Stage) -> None:
    number = stage.connect()
    # Two images wait; the tracks of the second come, with another state than before.
    stage.image(number)
    stage.image(number + 1)
    stage.track(number + 1, Track.UNCERTAIN)
    shown = stage.wait_for(number + 1)
    assert (shown.encoding, shown.width, shown.height, shown.step) == ("bgr8", WIDTH, HEIGHT, 3 * WIDTH)
    frame, plain = pixels(shown), scene(number + 1)
    assert has_colour(frame, TrackState.UNCERTAIN)
    assert not has_colour(frame, TrackState.TRACKING)
    # Inside of the target nothing is drawn, around it there is.
    assert (frame[51:70, 71:90] == plain[51:70, 71:90]).all()
    assert (frame[40:51] != plain[40:51]).any()
    assert stamp_ns(shown.header) == (number + 1) * FRAME_NS
    assert [m for m in stage.seen if m.header == stage.header(number)] == []


def test_image_that_gets_no_tracks_is_shown_and_says_so(stage: Stage) -> None:
    number = stage.connect()
    assert stage.graph.set_parameter("max_wait", 0.1, NODE) == ""
    assert "max_wait" in stage.graph.set_parameter("max_wait", 0.0, NODE)
    shown = None

    def publish() -> None:
        nonlocal number
        stage.image(number)
        number += 1

    stage.graph.wait(lambda: len(stage.seen) > 3, "images without tracks", publish)
    shown = stage.seen[-1]
    published = stamp_ns(shown.header) // FRAME_NS
    assert (pixels(shown) == draw_results(scene(published), {}, "no tracks")).all()
    stamps = [stamp_ns(message.header) for message in stage.seen]
    assert stamps == sorted(set(stamps))


def test_compressed_in_and_out_while_somebody_looks(stage: Stage) -> None:
    graph = stage.graph
    number = stage.connect()
    graph.node.destroy_subscription(stage.overlay)
    # Nobody looks: nothing is read.
    graph.wait(lambda: not graph.camera.get_subscription_count(), "the end of the subscription")
    assert graph.set_parameter("image_transport", "compressed", NODE) == ""
    graph.use_camera(ReliabilityPolicy.RELIABLE, CompressedImage, "image/compressed")
    jpegs: list[CompressedImage] = []
    looking = graph.node.create_subscription(CompressedImage, "overlay/compressed", jpegs.append, 10)

    def publish() -> None:
        nonlocal number
        data = array("B", cv2.imencode(".png", scene(number))[1].tobytes())
        graph.camera.publish(CompressedImage(header=stage.header(number), format="png", data=data))
        stage.track(number)
        number += 1

    graph.wait(lambda: jpegs, "a compressed overlay", publish)
    (jpeg, *_) = jpegs
    assert "jpeg" in jpeg.format
    frame = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    shown_number = stamp_ns(jpeg.header) // FRAME_NS
    plain = scene(shown_number)
    assert frame.shape == plain.shape
    # Lines and plates lie around the target; where none is the picture is as it was, but for compression.
    assert np.abs(frame[104:].astype(int) - plain[104:]).mean() < 8
    assert np.abs(frame[:51].astype(int) - plain[:51]).mean() > 8
    graph.node.destroy_subscription(looking)
    stage.overlay = graph.node.create_subscription(Image, "overlay", stage.seen.append, 10)


def test_broken_images_and_tracks_do_not_stop_it(stage: Stage) -> None:
    number = stage.connect()
    broken = image_message(scene(0), number * FRAME_NS)
    broken.step = 1
    stage.graph.camera.publish(broken)
    stage.track(number)
    message = TrackArray(header=stage.header(number + 1))
    message.tracks = [Track(id="1", bbox=BoundingBox2D(center_x=float("nan"))), Track(state=77)]
    stage.image(number + 1)
    stage.tracks.publish(message)
    assert (pixels(stage.wait_for(number + 1)) != scene(number + 1)).any()
    stage.image(number + 2)
    stage.track(number + 2)
    assert has_colour(pixels(stage.wait_for(number + 2)), TrackState.TRACKING)


def test_heading_says_how_long_it_took_and_what_is_amiss() -> None:
    assert heading(None) == "no tracks"
    message = TrackArray(dropped_frames=3)
    message.received.sec, message.received.nanosec = 4, 990_000_000
    message.published.sec, message.published.nanosec = 5, 32_400_000
    assert heading(message) == "latency 42 ms   3 dropped   no target"
    message.tracks, message.dropped_frames = [Track()], 0
    assert heading(message) == "latency 42 ms"
