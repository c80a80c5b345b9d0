"""The tracker node on a graph: what it adds to the tracker's own time, and whether its memory grows.

Images are published from this process, the node runs in one of its own. Times are those it puts into its
messages, so that it does not matter how soon they are read here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from siam_tracker_msgs.msg import BoundingBox2D, TrackArray
from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.dds_profile import use_shipped_profile
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.client_node import ClientNode
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.process_memory import resident_mib
from siam_tracker_ros.ros_distro import ros_distro

# Several may run at a time.
_NAMESPACE = f"siam_tracker_bench_{os.getpid()}"
_NODE = f"/{_NAMESPACE}/tracker_node"
_READY_S, _ANSWER_S, _END_S = 120.0, 30.0, 30.0
# Allocators and caches fill up at first: that is no growth.
_WARM_UP_S = 3.0
_MEMORY_EVERY_S = 1.0


class GraphBenchError(SiamTrackerError):
    """A tracker node that cannot be measured; the message says why."""


@dataclass
class GraphFigures:
    """What was measured. Times in ms by name, each with one value an image; memory is (s, MiB)."""

    published: int = 0
    dropped: int = 0
    seconds: float = 0.0
    times_ms: dict[str, list[float]] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def tracked(self) -> int:
        """Images whose tracks came."""
        return len(self.times_ms.get("latency", ()))

    @property
    def lost(self) -> int:
        """Images that did not reach the node, or are on their way."""
        return max(0, self.published - self.tracked - self.dropped)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """p50 and p95 of each time, ms."""
        return {
            name: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95)))
            for name, ms in self.times_ms.items()
        }

    def memory_slope(self) -> float:
        """Growth of the node's resident memory, MiB a minute: the slope of the line of least squares."""
        if len(self.memory) < 2:
            return 0.0
        seconds, mib = np.array(self.memory).T
        return float(np.polyfit(seconds, mib, 1)[0] * 60)


def measure_graph(
    frame: NDArray[np.uint8],
    box: Sequence[float],
    rate: float,
    seconds: float,
    parameters: dict[str, str],
    progress: Callable[[float], None] = lambda _: None,
) -> GraphFigures:
    """Track what is in `box` (x, y, w, h px) of `frame`, published at `rate` images/s, for `seconds`.

    `parameters` are the node's. `progress` is told the seconds that have passed. Raises GraphBenchError or
    TransitionFailedError.
    """
    use_shipped_profile(ros_distro())
    figures = GraphFigures()
    with (
        _tracker_process(parameters) as process,
        ClientNode("camera", _remapped(), _alive(process)) as client,
    ):
        camera = client.node.create_publisher(Image, "image", 5)
        heard: list[TrackArray] = []
        client.node.create_subscription(TrackArray, "tracks", heard.append, 100)
        client.change_state(_NODE, "configure", _READY_S)
        client.change_state(_NODE, "activate", _ANSWER_S)
        # Made once, so that publishing takes what it takes a camera's driver.
        message = image_message(Header(frame_id="camera"), "bgr8", frame)

        def publish() -> None:
            message.header.stamp = client.node.get_clock().now().to_msg()
            camera.publish(message)

        _start_target(client, box, publish)
        begun = time.monotonic()
        measured_from = begun + _WARM_UP_S
        next_image, next_memory, warm, dropped_before = begun, measured_from, False, 0
        while (now := time.monotonic()) < measured_from + seconds:
            if not warm and now >= measured_from:
                warm, figures.published = True, 0
                dropped_before = heard[-1].dropped_frames if heard else 0
                heard.clear()
            if now >= next_image:
                publish()
                figures.published += 1
                next_image = max(next_image + 1 / rate, now)
            if now >= next_memory:
                figures.memory.append((now - measured_from, resident_mib(process.pid)))
                next_memory += _MEMORY_EVERY_S
                progress(now - measured_from)
            client.wait(lambda: False, min(next_image, next_memory) - time.monotonic())
        figures.seconds = now - measured_from
        if not heard:
            raise GraphBenchError(f"the tracker node published no tracks in {seconds:g} s")
        figures.dropped = heard[-1].dropped_frames - dropped_before
        figures.times_ms = _times(heard)
    return figures


def _times(heard: Sequence[TrackArray]) -> dict[str, list[float]]:
    latency = [(stamp_ns(message.published) - stamp_ns(message.received)) / 1e6 for message in heard]
    stages = {
        name: [float(getattr(message, f"{name}_ms")) for message in heard]
        for name in ("preprocess", "inference", "postprocess")
    }
    return {
        "latency": latency,
        **stages,
        "beyond inference": [a - b for a, b in zip(latency, stages["inference"], strict=True)],
        "beyond all stages": [a - sum(b) for a, *b in zip(latency, *stages.values(), strict=True)],
    }


def _remapped() -> list[str]:
    return ["--ros-args", "-r", f"__ns:=/{_NAMESPACE}"]


@contextlib.contextmanager
def _tracker_process(parameters: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    given = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "siam_tracker_ros.nodes.tracker_node", *_remapped(), *given]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _alive(process: subprocess.Popen[bytes]) -> Callable[[], None]:
    def check() -> None:
        if process.poll() is not None:
            raise GraphBenchError(
                f"the tracker node ended with status {process.returncode}: its log says why"
            )

    return check


def _start_target(client: ClientNode, box: Sequence[float], publish: Callable[[], None]) -> None:
    # rclpy's C code ends the process where a float field holds another number.
    x, y, w, h = map(float, box)
    around = BoundingBox2D(center_x=x + (w - 1) / 2, center_y=y + (h - 1) / 2, size_x=w, size_y=h)
    request = InitTarget.Request(bbox=around)
    future: Any = client.send(InitTarget, "init_target", request, _ANSWER_S)
    deadline = time.monotonic() + _ANSWER_S
    while future is not None and not future.done() and time.monotonic() < deadline:
        publish()
        client.wait(future.done, 0.05)
    if future is None or not future.done():
        raise GraphBenchError("the tracker node does not answer init_target")
    if not future.result().success:
        raise GraphBenchError(f"the tracker node refused the target: {future.result().message}")
