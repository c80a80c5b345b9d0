"""The tracker node on a DDS graph: a process of its own, driven as an operator and a camera do."""

from __future__ import annotations

import math
import os
import random
import signal
from array import array
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

import torch
from builtin_interfaces.msg import Time
from graph_process import DEADLINE_S, end
from graph_tracker import (
    FRAME_NS,
    HEIGHT,
    NODE,
    WIDTH,
    Graph,
    box_in_scene,
    image_message,
    scene,
    stamp_ns,
    tracker_process,
)
from rcl_interfaces.srv import DescribeParameters
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray, TrackerStatus
from siam_tracker_msgs.srv import InitTarget, StopTarget
from siam_tracker_ros.footage.image_conversion import ENCODINGS
from siam_tracker_ros.footage.latency import stages_ms
from siam_tracker_ros.nodes.parameter_struct import described
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters

Refusal = InitTarget.Response
DEFAULTS = TrackerParameters()


@pytest.fixture(scope="module")
def shared_graph(module_ros_domain: int) -> Iterator[Graph]:
    """One node process for all tests that leave it alive."""
    with tracker_process() as process:
        graph = Graph(process=process)
        yield graph
        graph.close()


@pytest.fixture
def graph(shared_graph: Graph) -> Graph:
    """The node unconfigured, with default parameters."""
    reset(shared_graph)
    shared_graph.use_camera(ReliabilityPolicy.BEST_EFFORT)
    return shared_graph


def reset(graph: Graph) -> None:
    for state, transition in (("active", "deactivate"), ("inactive", "cleanup")):
        if graph.state() == state:
            assert graph.change_state(transition)
    for name in (
        "weights",
        "weights_sha256",
        "device",
        "engine",
        "precision",
        "image_transport",
        "image_reliability",
        "max_targets",
        "image_depth",
        "request_timeout",
        "diagnostics_period",
    ):
        assert graph.set_parameter(name, getattr(DEFAULTS, name)) == ""


@pytest.fixture
def active(graph: Graph) -> Graph:
    """The node active, with images arriving and no target."""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.track_one()
    return graph


def square(graph: Graph) -> BoundingBox2D:
    """Where the square will be in a frame or two."""
    return box_in_scene(graph.number + 1)


def only_track(message: TrackArray) -> Track:
    (track,) = message.tracks
    return track


# Lifecycle


def test_every_transition_there_and_back(graph: Graph) -> None:
    for _ in range(2):
        for transition, state in (
            ("configure", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("cleanup", "unconfigured"),
        ):
            assert graph.change_state(transition)
            assert graph.state() == state


def test_impossible_transition_is_refused(graph: Graph) -> None:
    assert not graph.change_state("activate")
    assert not graph.change_state("deactivate")
    assert graph.state() == "unconfigured"


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("weights", "no_such_weights", "no weights called 'no_such_weights'"),
        ("weights_sha256", "0" * 64, f"but weights_sha256 says {'0' * 64}"),
        ("device", "cuda:7", "device 'cuda:7' was asked for"),
        ("device", "gpu", "none of auto, cpu, cuda"),
        ("precision", "int8", "engine 'torch' has no int8"),
    ],
)
def test_failed_configure_says_why_and_leaves_nothing(
    graph: Graph, parameter: str, value: str, words: str
) -> None:
    if value == "cuda:7" and torch.cuda.device_count() > 7:
        pytest.skip("NOT TESTED: this machine has that many GPUs")
    assert graph.set_parameter(parameter, value) == ""
    assert not graph.change_state("configure")
    assert graph.state() == "unconfigured"
    assert words in graph.status(TrackerStatus.ERROR).message
    assert graph.node.count_publishers("tracks") == 0
    assert graph.set_parameter(parameter, getattr(DEFAULTS, parameter)) == ""
    assert graph.change_state("configure")
    assert graph.status(TrackerStatus.INACTIVE).model == DEFAULTS.weights


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_every_engine_tracks_and_is_named(graph: Graph, engine: str) -> None:
    pytest.importorskip(engine, reason=f"NOT TESTED: no {engine} here")
    assert graph.set_parameter("engine", engine) == ""
    assert graph.set_parameter("precision", "fp32") == ""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.track_one()
    assert graph.init(square(graph)).success
    assert only_track(graph.track_one()).state != Track.LOST
    assert graph.diagnosis("tracking", graph.publish)["engine"] == f"{engine} fp32"


def test_requests_to_an_inactive_node_are_refused(graph: Graph) -> None:
    def all_refused() -> None:
        assert graph.init(box_in_scene(0)).error_code == Refusal.INACTIVE
        assert graph.stop().error_code == StopTarget.Response.INACTIVE
        assert not graph.enable(True).success

    all_refused()
    assert graph.change_state("configure")
    all_refused()
    graph.diagnosis("inactive: activate the node")


def test_parameters_are_described_and_say_when_they_change(graph: Graph) -> None:
    names = [one.name for one in described(TrackerParameters)]
    answer = graph.ask(DescribeParameters, f"{NODE}/describe_parameters", names=names)
    assert [one.name for one in answer.descriptors] == names
    assert all(one.description and one.additional_constraints for one in answer.descriptors)
    assert graph.change_state("configure")
    assert "clean up the node first" in graph.set_parameter("weights", "x")
    assert "max_targets" in graph.set_parameter("max_targets", 65)
    assert "Wrong parameter type" in graph.set_parameter("max_targets", "2")
    assert graph.set_parameter("max_targets", 2) == ""
    assert graph.status(TrackerStatus.INACTIVE).model
    graph.wait(lambda: graph.statuses[-1].max_targets == 2, "the new max_targets in the status")


# Targets


def test_target_is_tracked_from_the_next_image_on(active: Graph) -> None:
    answer = active.init(square(active), id="square")
    assert (answer.success, answer.error_code, answer.id) == (True, Refusal.NONE, "square")
    assert answer.header.frame_id == "camera"
    message = active.track_one()
    track = only_track(message)
    assert (track.id, track.state in (Track.ACQUIRING, Track.TRACKING)) == ("square", True)
    assert track.has_rotated_box
    assert track.mask.encoding == track.mask.RLE
    assert sum(memoryview(track.mask.data).cast("I")) == track.mask.roi.width * track.mask.roi.height
    assert (message.image_width, message.image_height) == (WIDTH, HEIGHT)
    assert stamp_ns(message.header) > stamp_ns(answer.header)
    status = active.status(TrackerStatus.TRACKING)
    assert list(status.target_ids) == ["square"]


def test_headers_are_those_of_published_images(active: Graph) -> None:
    published = {active.publish()}
    active.tracks.clear()
    active.wait(lambda: len(active.tracks) > 3, "tracks", lambda: published.add(active.publish()))
    stamps = [stamp_ns(message.header) for message in active.tracks]
    assert set(stamps) - {min(stamps)} <= published
    assert stamps == sorted(set(stamps))


def test_several_targets_by_name(active: Graph) -> None:
    assert active.set_parameter("max_targets", 2) == ""
    ids = [active.init(square(active)).id, active.init(square(active), id="named").id]
    assert ids == ["0", "named"]
    refused = active.init(square(active), id="third")
    assert refused.error_code == Refusal.TOO_MANY_TARGETS
    again = active.init(square(active), id="0")
    assert again.success
    tracks = active.track_one().tracks
    assert [(track.id, track.generation >= 1) for track in tracks] == [("named", True), ("0", True)]
    before = tracks[1].generation
    assert active.init(square(active), id="0").success
    assert {t.id: t.generation for t in active.track_one().tracks}["0"] == before + 1
    assert active.stop("nobody").error_code == StopTarget.Response.UNKNOWN_ID
    assert list(active.stop("named").stopped_ids) == ["named"]
    active.wait(lambda: [t.id for t in active.tracks[-1].tracks] == ["0"], "the other alone", active.publish)
    assert list(active.stop().stopped_ids) == ["0"]
    assert active.stop().success
    active.status(TrackerStatus.IDLE)


def test_stopped_target_is_reported_lost(active: Graph) -> None:
    active.init(square(active), id="gone")
    active.track_one()
    active.stop("gone")
    active.lost("gone")


def test_start_on_a_past_image_catches_up(active: Graph) -> None:
    stamp = stamp_ns(active.track_one().header)
    for _ in range(10):
        active.track_one()
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    drawn_on = (stamp - active.offset_ns) // FRAME_NS
    answer = active.init(box_in_scene(drawn_on), header=header, id="past")
    assert answer.success, answer.message
    assert stamp_ns(answer.header) == stamp
    active.wait(lambda: active.tracks[-1].tracks, "the target in the present", active.publish)
    message = active.tracks[-1]
    number = (stamp_ns(message.header) - active.offset_ns) // FRAME_NS
    assert stamp_ns(message.header) > stamp
    assert abs(only_track(message).bbox.center_y - box_in_scene(number).center_y) < 16


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ((math.nan, 60, 32, 32, 0), Refusal.BOX_INVALID),
        ((80, 60, math.inf, 32, 0), Refusal.BOX_INVALID),
        ((80, 60, 0, 32, 0), Refusal.BOX_INVALID),
        ((80, 60, 32, -5, 0), Refusal.BOX_INVALID),
        ((80, 60, 32, 32, 0.3), Refusal.BOX_INVALID),
        ((80, 60, 2, 2, 0), Refusal.BOX_TOO_SMALL),
        ((400, 60, 32, 32, 0), Refusal.BOX_OUTSIDE_IMAGE),
        ((-14, 60, 32, 32, 0), Refusal.BOX_OUTSIDE_IMAGE),
    ],
)
def test_wrong_boxes_are_refused(shared_active: Graph, box: tuple[float, ...], code: int) -> None:
    names = ("center_x", "center_y", "size_x", "size_y", "theta")
    message = BoundingBox2D(**{name: float(value) for name, value in zip(names, box, strict=True)})
    answer = shared_active.init(message)
    assert (answer.success, answer.error_code) == (False, code)
    assert answer.message


@pytest.fixture(scope="module")
def shared_active(shared_graph: Graph) -> Graph:
    """The node active for tests that change nothing."""
    if shared_graph.state() != "active":
        assert shared_graph.change_state("configure")
        assert shared_graph.change_state("activate")
    return shared_graph


def test_normalized_box_is_in_fractions_of_the_image(active: Graph) -> None:
    box = BoundingBox2D(center_x=0.5, center_y=0.5, size_x=0.25, size_y=0.25)
    answer = active.init(box, normalized=True)
    assert answer.success, answer.message
    first = active.wait(
        lambda: next((m for m in active.tracks if m.header == answer.header), None), "tracks of that image"
    )
    bbox = only_track(first).bbox
    assert (bbox.center_x, bbox.center_y) == ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    assert (bbox.size_x, bbox.size_y) == (WIDTH / 4, HEIGHT / 4)


def test_images_that_are_not_kept_are_named(active: Graph) -> None:
    too_old = Header(frame_id="camera")
    too_old.stamp.nanosec = 1
    answer = active.init(square(active), header=too_old)
    assert answer.error_code == Refusal.FRAME_NOT_BUFFERED
    assert "before the newest" in answer.message
    other = active.init(square(active), header=Header(frame_id="another_camera"))
    assert other.error_code == Refusal.WRONG_FRAME_ID
    assert "'another_camera'" in other.message
    assert "'camera'" in other.message


def test_box_on_the_topic_starts_a_target(active: Graph) -> None:
    boxes = active.node.create_publisher(BoundingBox2D, "init_box", 1)
    active.wait(boxes.get_subscription_count, "the subscription of init_box")
    boxes.publish(square(active))
    active.wait(lambda: active.tracks[-1].tracks, "the target", active.publish)
    assert only_track(active.tracks[-1]).id == "init_box"
    active.node.destroy_publisher(boxes)


def test_masks_are_published_while_somebody_listens(active: Graph) -> None:
    active.init(square(active))
    masks: list[Image] = []
    listener = active.node.create_subscription(Image, "mask", masks.append, 5)
    active.wait(lambda: masks, "a mask", active.publish)
    active.node.destroy_subscription(listener)
    (mask, *_) = masks
    assert (mask.encoding, mask.width, mask.height, mask.step) == ("mono8", WIDTH, HEIGHT, WIDTH)
    assert set(mask.data) <= {0, 255}
    active.wait(lambda: any(m.header == mask.header for m in active.tracks), "its tracks")


def test_targets_are_drawn_while_somebody_looks(active: Graph) -> None:
    active.init(square(active))
    drawn: list[Image] = []
    viewer = active.node.create_subscription(Image, "debug_image", drawn.append, 5)
    active.wait(lambda: drawn, "an image with the target drawn in", active.publish)
    active.node.destroy_subscription(viewer)
    (image, *_) = drawn
    assert (image.encoding, image.width, image.height) == ("bgr8", WIDTH, HEIGHT)
    number = (stamp_ns(image.header) - active.offset_ns) // FRAME_NS
    assert bytes(image.data) != scene(number).tobytes()


# Images


def test_images_of_every_encoding_are_tracked_in(active: Graph) -> None:
    bytes_a_pixel = {"rgba8": 4, "bgra8": 4, "rgb8": 3, "bgr8": 3, "8UC3": 3}
    two_bytes = ("16UC1", "yuv422", "uyvy", "yuv422_yuy2", "yuyv")
    for encoding in ENCODINGS:
        two = encoding in two_bytes or encoding.endswith("16")
        channels = 2 if two else bytes_a_pixel.get(encoding, 1)
        frame = np.full((HEIGHT, WIDTH, channels), 100, np.uint8)

        def publish(frame: np.ndarray = frame, encoding: str = encoding) -> None:
            stamp = active.offset_ns + active.number * FRAME_NS
            active.camera.publish(image_message(frame, stamp, frame_id=encoding, encoding=encoding))
            active.number += 1

        active.wait(
            lambda e=encoding: active.tracks[-1].header.frame_id == e, f"tracks in {encoding}", publish
        )
        assert (active.tracks[-1].image_width, active.tracks[-1].image_height) == (WIDTH, HEIGHT)


def test_malformed_images_are_refused_and_the_node_lives(active: Graph) -> None:
    def malformed() -> None:
        for change in ({"encoding": "no_such"}, {"step": 1}, {"height": 10**6}, {"width": 0}):
            message = image_message(scene(0), active.offset_ns + active.number * FRAME_NS)
            for name, value in change.items():
                setattr(message, name, value)
            active.camera.publish(message)
        active.number += 1

    active.wait(
        lambda: active.diagnostics and refused(active) > 0, "refused images in diagnostics", malformed
    )
    assert active.init(square(active)).success


def refused(graph: Graph) -> int:
    values = {value.key: value.value for value in graph.diagnostics[-1].status[0].values}
    return int(values.get("images refused", 0))


def test_frames_faster_than_inference_are_dropped_and_counted(active: Graph) -> None:
    """Many images at once: few are tracked in, the last among them, and every one is accounted for."""
    active.init(square(active))
    counts = active.diagnosis("tracking", active.publish)
    before = active.tracks[-1].dropped_frames
    last = 0

    def burst() -> None:
        nonlocal last
        for _ in range(20):
            last = active.publish()

    active.wait(lambda: active.tracks[-1].dropped_frames > before + 20, "dropped frames", burst)
    active.wait(lambda: stamp_ns(active.tracks[-1].header) == last, "the newest frame")
    stamps = [stamp_ns(message.header) for message in active.tracks]
    assert stamps == sorted(stamps)
    for stage in ("queue", "preprocess", "inference", "postprocess", "latency"):
        p50, p99 = map(float, counts[f"{stage} p50, p99 (ms)"].split(", "))
        assert 0 <= p50 <= p99
    stages = [stages_ms(message) for message in active.tracks if message.preprocess_ms]
    assert all(ms > 0 for one in stages for name, ms in one.items() if name != "transport")
    # The last image of a burst waits for the one before it.
    assert max(one["queue"] for one in stages) > 0.1 * min(one["inference"] for one in stages)


def test_silent_camera_is_noticed_and_requests_answered(active: Graph) -> None:
    # Images that were on their way have come.
    assert "publisher matched, no frames" in active.status(TrackerStatus.NO_IMAGES).message
    answer = active.init(square(active), each=lambda: None)
    assert answer.error_code == Refusal.TIMEOUT
    assert "large_images" in active.statuses[-1].message
    active.diagnosis("publisher matched, no frames")
    active.track_one()
    active.status(TrackerStatus.IDLE)
    assert active.init(square(active)).success


def test_time_going_back_drops_targets(active: Graph) -> None:
    active.init(square(active), id="old")
    active.track_one()
    active.number, active.offset_ns = 0, active.offset_ns - 500_000_000
    active.lost("old", active.publish)
    assert active.init(square(active), id="new").success
    assert only_track(active.track_one()).id == "new"


def test_simulated_clock_running_backwards_changes_nothing_but_times(active: Graph) -> None:
    clock = active.node.create_publisher(Clock, "/clock", 10)

    def tracked_at(seconds: int) -> None:
        def tick_and_publish() -> None:
            clock.publish(Clock(clock=Time(sec=seconds)))
            active.publish()

        def times() -> set[int]:
            message = active.tracks[-1]
            return {message.received.sec, message.published.sec}

        active.wait(lambda: times() == {seconds}, f"tracks at {seconds} s", tick_and_publish)
        assert only_track(active.tracks[-1]).id == "kept"

    assert active.set_parameter("use_sim_time", True) == ""
    active.init(square(active), id="kept")
    tracked_at(500)
    tracked_at(100)
    assert active.set_parameter("use_sim_time", False) == ""
    active.node.destroy_publisher(clock)


def test_ten_thousand_malformed_messages(active: Graph) -> None:
    """Whatever sizes, steps and encodings come, the node goes on."""
    assert active.change_state("deactivate")
    assert active.change_state("cleanup")
    assert active.set_parameter("image_depth", 100) == ""
    assert active.change_state("configure")
    assert active.change_state("activate")
    active.use_camera(ReliabilityPolicy.RELIABLE)
    rng = random.Random(0)
    sizes = (0, 1, 2, 3, 16, 640, 65535, 1 << 31, (1 << 32) - 1)
    names = (*ENCODINGS, "", "rgb16", "bayer_rggb8 ", "x" * 1000)

    def fuzzed() -> Image:
        image = image_message(scene(0)[:1, : rng.randrange(1, 60)], active.offset_ns)
        image.height, image.width = rng.choice(sizes), rng.choice(sizes)
        image.step = rng.choice((*sizes, image.width % 65536, 3 * image.width % 65536))
        image.encoding, image.is_bigendian = rng.choice(names), rng.choice((0, 1, 255))
        return image

    def received() -> int:
        status = active.diagnostics[-1].status[0] if active.diagnostics else None
        return int({v.key: v.value for v in status.values}["images received"]) if status else 0

    messages = [fuzzed() for _ in range(100)]

    def publish() -> None:
        for message in rng.sample(messages, 100):
            active.camera.publish(message)

    assert active.set_parameter("diagnostics_period", 0.1) == ""
    active.wait(lambda: received() >= 10_000, "10,000 images", publish)
    assert refused(active) > 0
    active.offset_ns += 10**9
    # Those that were on their way come first.
    active.track_one()
    assert active.init(square(active)).success
    assert active.track_one().tracks


def test_disabled_node_drops_targets_and_reads_no_image(active: Graph) -> None:
    active.init(square(active), id="dropped")
    active.track_one()
    assert active.enable(False).success
    assert list(active.status(TrackerStatus.DISABLED).target_ids) == []
    active.lost("dropped")
    count = len(active.tracks)
    assert active.init(square(active)).error_code == Refusal.INACTIVE
    assert len(active.tracks) == count
    assert active.enable(True).success
    assert active.init(square(active)).success


def test_compressed_images(graph: Graph) -> None:
    assert graph.set_parameter("image_transport", "compressed") == ""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.diagnosis("nobody publishes")
    graph.use_camera(ReliabilityPolicy.BEST_EFFORT, CompressedImage, "image/compressed")

    def publish() -> None:
        raw = image_message(scene(graph.number), graph.offset_ns + graph.number * FRAME_NS)
        data = array("B", cv2.imencode(".jpg", scene(graph.number))[1].tobytes())
        graph.camera.publish(
            CompressedImage(header=raw.header, format="bgr8; jpeg compressed bgr8", data=data)
        )
        graph.number += 1

    assert graph.init(square(graph), each=publish).success
    graph.wait(lambda: graph.tracks[-1].tracks, "the target", publish)
    assert graph.tracks[-1].image_width == WIDTH


def test_other_quality_of_service(graph: Graph) -> None:
    assert graph.set_parameter("image_reliability", "reliable") == ""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.diagnosis("incompatible QoS", graph.publish)
    assert "best_effort" in graph.status(TrackerStatus.NO_IMAGES, graph.publish).message
    graph.use_camera(ReliabilityPolicy.RELIABLE)
    graph.track_one()


def test_reliable_camera_is_heard_by_default(graph: Graph) -> None:
    graph.use_camera(ReliabilityPolicy.RELIABLE)
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.track_one()


# Ends


def test_deactivate_answers_open_requests_and_reports_lost(active: Graph) -> None:
    active.init(square(active), id="tracked")
    active.track_one()
    waiting = active.send(InitTarget, "init_target", bbox=square(active), id="waiting")
    assert active.change_state("deactivate")
    answer = active.answer(waiting, "init_target")
    # An image that was still on its way may have come first.
    assert answer.success or answer.error_code == Refusal.INACTIVE
    active.wait(
        lambda: any(t.id == "tracked" and t.state == Track.LOST for t in active.tracks[-1].tracks), "LOST"
    )
    last = {track.id: track.state for track in active.tracks[-1].tracks}
    assert set(last.values()) == {Track.LOST}
    assert active.status(TrackerStatus.INACTIVE).target_ids == []


def test_request_that_waits_for_an_image_is_answered_on_deactivate(active: Graph) -> None:
    assert active.set_parameter("request_timeout", 30.0) == ""
    active.status(TrackerStatus.NO_IMAGES)
    waiting = active.send(InitTarget, "init_target", bbox=square(active))
    assert active.stop("nobody").error_code == StopTarget.Response.UNKNOWN_ID
    assert not waiting.done()
    assert active.change_state("deactivate")
    answer = active.answer(waiting, "init_target")
    assert (answer.success, answer.error_code) == (False, Refusal.INACTIVE)


def test_shutdown_of_an_active_node_has_a_last_word(module_ros_domain: int) -> None:
    with tracker_process("-r", "__ns:=/done") as process:
        graph = Graph("done")
        assert graph.change_state("configure")
        assert graph.change_state("activate")
        assert graph.init(square(graph), id="last").success
        assert graph.change_state("active_shutdown")
        assert graph.state() == "finalized"
        graph.lost("last")
        assert graph.status(TrackerStatus.INACTIVE).target_ids == []
        assert not graph.change_state("configure")
        graph.close()
        assert end(process) == 0


def shared_memory(pid: int | str) -> set[Path]:
    """Fast DDS's shared memory that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split()[-1]) for line in lines if "/dev/shm/fast" in line}


def test_two_trackers_end_by_signals_with_a_last_word_and_leave_nothing(module_ros_domain: int) -> None:
    """SIGINT and SIGTERM while images come; each hears its own namespace only."""
    with tracker_process("-r", "__ns:=/left") as left, tracker_process("-r", "__ns:=/right") as right:
        graphs = {"left": Graph("left"), "right": Graph("right")}
        for name, graph in graphs.items():
            assert graph.change_state("configure")
            assert graph.change_state("activate")
            assert graph.init(square(graph), id=name).success
            graph.track_one()
        for name, graph in graphs.items():
            assert {track.id for message in graph.tracks for track in message.tracks} == {name}
        ours = shared_memory("self")
        for process, graph, number in (
            (left, graphs["left"], signal.SIGINT),
            (right, graphs["right"], signal.SIGTERM),
        ):
            mapped = shared_memory(process.pid) - ours
            graph.track_one()
            graph.publish()
            process.send_signal(number)
            graph.wait(lambda p=process: p.poll() is not None, "the node to end", graph.publish)
            assert end(process) == 0
            graph.wait(lambda g=graph: only_track(g.tracks[-1]).state == Track.LOST, "the final LOST")
            with pytest.raises(ProcessLookupError):
                os.killpg(process.pid, 0)
            assert not [path for path in mapped if path.exists() and "port" not in path.name]
        for graph in graphs.values():
            graph.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("-p", "buffer_seconds:=3"), "buffer_seconds"), (("--params-file", "no_such.yaml"), "no_such.yaml")],
)
def test_wrong_arguments_end_with_the_reason_on_the_last_line(
    module_ros_domain: int, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    with tracker_process(*arguments) as process:
        assert process.wait(DEADLINE_S) == 1
    error = capfd.readouterr().err.strip()
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("error:")
    assert words in error.splitlines()[-1]


def test_unconfigured_node_ends_by_signal(module_ros_domain: int) -> None:
    with tracker_process("-r", "__ns:=/lone") as process:
        graph = Graph("lone")
        assert graph.state() == "unconfigured"
        graph.close()
        assert end(process) == 0
