"""The tracker node on a ROS 2 graph: from the camera's stamp of an image to its tracks in another process.

A camera and the tracker run in a process each, or composed in one; this process listens to the tracks.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo

from siam_tracker_msgs.msg import BoundingBox2D, TrackArray
from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.benchmark.graph_report import TIMES, TOTAL
from siam_tracker_ros.benchmark.scene import scene, target_boxes
from siam_tracker_ros.bringup.process import COMPOSITION, Plan, Process, Value
from siam_tracker_ros.bringup.run import RunningGraph, RunOver
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.latency import stages_ms
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.client_node import ACTIVATE_S, CONFIGURE_S, ClientNode
from siam_tracker_ros.process_memory import resident_mib

TRACKER, CAMERA = "tracker_node", "still_camera_node"
_ANSWER_S, _REQUEST_S, _AGAIN_S = CONFIGURE_S + ACTIVATE_S, 30.0, 0.2
# A composed node may still be loading its network; then the camera may not be there yet.
_NOT_YET = (InitTarget.Response.INACTIVE, InitTarget.Response.TIMEOUT)
# Allocators and caches fill up at first, and clocks rise.
_WARM_UP_S = 2.0
_MEMORY_EVERY_S = 1.0
# How long the last tracks may take to come.
_LATE_S = 2.0


class GraphBenchError(SiamTrackerError):
    """A tracker node that cannot be measured; the message says why."""


@dataclass(frozen=True)
class GraphRun:
    """One row: images of `width` x `height` px at `rate` a second, in one process or in two."""

    width: int
    height: int
    rate: float
    composed: bool = False


@dataclass
class GraphFigures:
    """What was measured of a run.

    `published` are images in `seconds`; of these `dropped` were passed over by the tracker for newer ones.
    `times_ms` are TIMES and TOTAL, a value for each image that was tracked in. `memory` is (s, MiB) of the
    tracker's process, and all in it. `network` names model, engine and precision.
    """

    run: GraphRun
    published: int = 0
    dropped: int = 0
    seconds: float = 0.0
    times_ms: dict[str, list[float]] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)
    network: str = ""

    @property
    def tracked(self) -> int:
        """Images whose tracks came."""
        return len(self.times_ms.get(TOTAL, ()))

    @property
    def lost(self) -> int:
        """Images that did not reach the node, or whose tracks did not come."""
        return max(0, self.published - self.tracked - self.dropped)

    def percentiles(self, *percents: float) -> dict[str, tuple[float, ...]]:
        """Of each time, ms."""
        return {
            name: tuple(float(value) for value in np.percentile(ms, percents))
            for name, ms in self.times_ms.items()
        }

    def memory_slope(self) -> float:
        """Growth of the resident memory, MiB a minute: the slope of the line of least squares."""
        if len(self.memory) < 2:
            return 0.0
        seconds, mib = np.array(self.memory).T
        return float(np.polyfit(seconds, mib, 1)[0] * 60)


class Ears:
    """What was heard of camera and tracker: stamps of images, and tracks; arrivals in ns since the epoch."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.tracks: list[tuple[int, TrackArray]] = []
        self.network = ""

    def listen(self, client: ClientNode) -> None:
        """Hear what `client` gets."""
        client.node.create_subscription(TrackArray, "tracks", self._on_tracks, 1000)
        client.node.create_subscription(CameraInfo, "camera_info", self._on_info, 1000)
        client.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_tracks(self, message: TrackArray) -> None:
        self.tracks.append((time.time_ns(), message))

    def _on_info(self, message: CameraInfo) -> None:
        self.published.append(stamp_ns(message.header.stamp))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            if values.get("engine"):
                self.network = f"{values['model']} in {values['engine']}"


def measure_graph(
    run: GraphRun,
    seconds: float,
    parameters: Mapping[str, Value],
    progress: Callable[[float], None] = lambda _: None,
) -> GraphFigures:
    """Track a target that stands still for `seconds`; `parameters` are the tracker's.

    `progress` is told the seconds measured. Raises GraphBenchError or BringUpError.
    """
    namespace = f"siam_tracker_bench_{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="siam_tracker_") as folder:
        picture = Path(folder) / "picture.png"
        if not cv2.imwrite(str(picture), scene(run.width, run.height)):
            raise GraphBenchError(f"cannot write {picture}")
        plan = _plan(run, namespace, parameters, picture)
        said: list[str] = []
        graph = RunningGraph(plan, said.append)
        try:
            with graph:
                graph.activate()
                names = ["--ros-args", "-r", f"__ns:=/{namespace}"]
                with ClientNode("listener", names, graph.check) as client:
                    return _measure(run, seconds, client, lambda: _memory(graph), progress)
        except RunOver as over:
            if over.exit_status:
                raise KeyboardInterrupt from None
            raise GraphBenchError(f"a node has ended: {' / '.join(said[-2:])}") from None


def _plan(run: GraphRun, namespace: str, parameters: Mapping[str, Value], picture: Path) -> Plan:
    camera: dict[str, Value] = {"picture": str(picture), "rate": run.rate}
    images = {"image": "image_raw"}
    processes = (
        Process(TRACKER, TRACKER, parameters=parameters, remappings=images, lifecycle=True, composable=True),
        Process(CAMERA, CAMERA, parameters=camera, after=TRACKER, composable=True),
    )
    return Plan(processes, namespace, log_level="warn", composed=run.composed)


def _memory(graph: RunningGraph) -> float:
    return resident_mib(graph.process_id(COMPOSITION if graph.plan.processes[0].composed else TRACKER))


def _measure(
    run: GraphRun,
    seconds: float,
    client: ClientNode,
    memory: Callable[[], float],
    progress: Callable[[float], None],
) -> GraphFigures:
    ears = Ears()
    ears.listen(client)
    _start_target(client, run)
    client.wait(lambda: False, _WARM_UP_S)
    figures = GraphFigures(run)
    begun, begun_ns = time.monotonic(), time.time_ns()
    while (now := time.monotonic() - begun) < seconds:
        figures.memory.append((now, memory()))
        progress(now)
        client.wait(lambda: False, min(_MEMORY_EVERY_S, seconds - now))
    end_ns = time.time_ns()
    figures.seconds = (end_ns - begun_ns) / 1e9
    client.wait(lambda: ears.tracks and stamp_ns(ears.tracks[-1][1].header.stamp) >= end_ns, _LATE_S)
    account(ears, begun_ns, end_ns, figures)
    figures.network = ears.network
    if not figures.tracked:
        raise GraphBenchError(f"no tracks came in {seconds:g} s of {figures.published} images")
    return figures


def account(ears: Ears, begun_ns: int, end_ns: int, figures: GraphFigures) -> None:
    """Tell `figures` which images were published between these times, and what became of them."""
    figures.published = sum(begun_ns <= stamp < end_ns for stamp in ears.published)
    before = dropped = 0
    rows: list[dict[str, float]] = []
    for arrived_ns, message in ears.tracks:
        stamp = stamp_ns(message.header.stamp)
        if stamp < begun_ns:
            before = dropped = message.dropped_frames
        elif stamp < end_ns:
            dropped = message.dropped_frames
            delivery = (arrived_ns - stamp_ns(message.published)) / 1e6
            rows.append({**stages_ms(message), "delivery": delivery, TOTAL: (arrived_ns - stamp) / 1e6})
    figures.dropped = dropped - before
    figures.times_ms = {name: [row[name] for row in rows] for name in (*TIMES, TOTAL)}


def _start_target(client: ClientNode, run: GraphRun) -> None:
    (box,) = target_boxes(run.width, run.height, 1)
    around = BoundingBox2D(
        center_x=float(box.x + (box.w - 1) / 2),
        center_y=float(box.y + (box.h - 1) / 2),
        size_x=float(box.w),
        size_y=float(box.h),
    )
    deadline = time.monotonic() + _ANSWER_S
    while True:
        answer: Any = client.ask(InitTarget, "init_target", InitTarget.Request(bbox=around), _REQUEST_S)
        if answer.success:
            return
        client.wait(lambda: False, _AGAIN_S)
        if answer.error_code not in _NOT_YET or time.monotonic() > deadline:
            raise GraphBenchError(f"the tracker node refused the target: {answer.message}")
