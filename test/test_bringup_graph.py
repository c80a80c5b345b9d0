"""`siam-tracker bringup` and `demo` on a real graph: real footage, every node a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from graph_process import end
from graph_tracker import Graph, stamp_ns
from rclpy.qos import qos_profile_sensor_data
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackerStatus

DEADLINE_S = 120.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "siam_tracker_ros.cli", *arguments]


class Running:
    """A command under way, and what it has started."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    def output(self) -> str:
        return self._log.read_text()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def descendants(self) -> list[int]:
        parents = {}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(status.parent.name)] = int(re.findall(r"^PPid:\s*(\d+)", text, re.MULTILINE)[0])
        found, before = {self.process.pid}, 0
        while len(found) > before:
            before = len(found)
            found |= {pid for pid, parent in parents.items() if parent in found}
        return sorted(found)


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Iterator[Running]:
    """The command in a group of its own; killed at the end if it has not ended."""
    log = tmp_path / "output.log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as out,
        subprocess.Popen(
            command(*arguments),
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=tmp_path,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Running(process, log)
        finally:
            end(process)


def shared_memory(pids: list[int]) -> set[Path]:
    """Fast DDS's shared memory that these processes have mapped."""
    mapped = set()
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        mapped |= {Path(line.split()[-1]) for line in lines if "/dev/shm/fast" in line}
    return mapped


def swan(data_dir: Path) -> tuple[Path, BoundingBox2D]:
    """Real footage, and the box of its target in the first image."""
    folder = data_dir / "sequences" / "davis_blackswan"
    x, y, w, h = map(float, re.split(r"[,\s]+", (folder / "groundtruth.txt").read_text().split("\n")[0])[:4])
    box = BoundingBox2D(center_x=x + (w - 1) / 2, center_y=y + (h - 1) / 2, size_x=w, size_y=h)
    return folder / "img", box


def messages(bag: Path, topic: str) -> list:
    with AnyReader([bag]) as reader:
        wanted = [one for one in reader.connections if one.topic == topic]
        return [reader.deserialize(raw, one.msgtype) for one, _, raw in reader.messages(wanted)]


def test_tracks_arrive_and_ctrl_c_leaves_nothing_behind(
    ros_domain: int, data_dir: Path, tmp_path: Path
) -> None:
    images, box = swan(data_dir)
    options = (
        "--source",
        str(images),
        "--loop",
        "--pace",
        "consumed",
        "--frames",
        ":20",
        "--namespace",
        "robot",
    )
    with running(tmp_path, "bringup", *options, "--record", "--overlay", "--bag", "bag") as graph_run:
        graph = Graph("robot", process=graph_run.process)
        try:
            graph.wait(lambda: graph.tracks, "images")
            assert graph.init(box, each=lambda: None, id="swan").success
            graph.wait(
                lambda: any(t.state == Track.TRACKING for m in graph.tracks for t in m.tracks), "tracks"
            )
        finally:
            graph.close()
        pids = graph_run.descendants()
        # Bring-up itself, recorder, overlay, tracker, source.
        assert len(pids) == 5
        ours = shared_memory(pids) - shared_memory([os.getpid()])
        assert ours
        assert graph_run.end(signal.SIGINT) == 130
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        own = {path for path in ours if re.fullmatch(r"fast\w+_[0-9a-f]{16}(_el)?", path.name)}
        assert own
        assert not [path for path in own if path.exists()]
        assert "[tracker_node] " in graph_run.output()
    tracks = messages(tmp_path / "bag", "/robot/tracks")
    assert {track.id for message in tracks for track in message.tracks} == {"swan"}
    # The tracker's last word is in the bag: the recorder ended after it.
    assert tracks[-1].tracks[0].state == Track.LOST
    # The source waited for those who read its images.
    infos = messages(tmp_path / "bag", "/robot/camera_info")
    assert len(messages(tmp_path / "bag", "/robot/image_raw")) >= len(tracks) - 1
    assert len(infos) >= len(tracks) - 1
    assert messages(tmp_path / "bag", "/robot/status")


def test_composed_nodes_share_a_process_and_hand_images_over(
    ros_domain: int, data_dir: Path, tmp_path: Path
) -> None:
    """One process for all; the images stay in it, and all else is on the graph as it always is."""
    images, box = swan(data_dir)
    options = ("--source", str(images), "--loop", "--frames", ":20", "--namespace", "robot", "--overlay")
    with running(tmp_path, "bringup", "--composed", "--servo", *options) as graph_run:
        graph = Graph("robot", process=graph_run.process)
        try:
            overlays = graph.hear(Image, "overlay")
            graph.wait(lambda: graph.tracks, "images")
            assert graph.init(box, each=lambda: None, id="swan").success
            graph.wait(
                lambda: any(t.state == Track.TRACKING for m in graph.tracks for t in m.tracks), "tracks"
            )
            graph.wait(lambda: overlays, "the overlay")
            assert graph.node.count_publishers("/robot/image_raw") == 1
            assert graph.node.count_subscribers("/robot/image_raw") == 0
            assert graph.change_state("deactivate")
            assert graph.state() == "inactive"
            graph.lost("swan")
            assert graph.change_state("activate")
            seen = len(graph.tracks)
            graph.wait(lambda: len(graph.tracks) > seen, "tracks after another activate")
            # Who listens from outside gets the images too, the same ones.
            heard = graph.hear(Image, "image_raw", qos_profile_sensor_data)
            graph.wait(
                lambda: {stamp_ns(m.header) for m in heard} & {stamp_ns(m.header) for m in graph.tracks},
                "images outside",
            )
        finally:
            graph.close()
        pids = graph_run.descendants()
        assert len(pids) == 2
        assert graph_run.end(signal.SIGINT) == 130
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for node in ("tracker_node", "servo_node"):
        assert f"/robot/{node} is active" in graph_run.output()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--weights", "nowhere"), "error: tracker_node: configure failed: no weights called 'nowhere'"),
        (("--source", "/nowhere.mp4", "--no-autostart"), "error: video_source_node: no file or folder"),
    ],
)
def test_one_composed_node_that_fails_ends_all(
    ros_domain: int, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    with running(tmp_path, "bringup", "--composed", "--overlay", *options) as run:
        assert run.process.wait(DEADLINE_S) == 1
        last = run.output().splitlines()[-1]
    assert last.startswith(f"siam-tracker: error: composed_nodes ended with exit status 1: {says}")


def test_a_failed_configure_ends_everything_with_the_reason(ros_domain: int, tmp_path: Path) -> None:
    started = time.monotonic()
    with running(tmp_path, "bringup", "--weights", "nowhere", "--overlay") as run:
        assert run.process.wait(DEADLINE_S) == 1
        last = run.output().splitlines()[-1]
    assert last.startswith("siam-tracker: error: tracker_node: configure failed: no weights called 'nowhere'")
    assert time.monotonic() - started < DEADLINE_S


def test_a_node_that_dies_ends_the_rest(ros_domain: int, tmp_path: Path) -> None:
    with running(tmp_path, "bringup", "--overlay", "--no-autostart") as run:
        graph = Graph(process=run.process)
        try:
            # Both are there: the tracker tells its state, and it is not activated.
            assert "not activated" in graph.status(TrackerStatus.INACTIVE).message
            graph.wait(lambda: "overlay_node" in graph.node.get_node_names(), "the overlay")
        finally:
            graph.close()
        pids = run.descendants()
        assert len(pids) == 3
        (tracker,) = (p for p in pids if b"tracker_node" in Path(f"/proc/{p}/cmdline").read_bytes())
        os.kill(tracker, signal.SIGTERM)
        assert run.process.wait(DEADLINE_S) == 0
        assert "tracker_node is done" in run.output()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_box_that_is_refused_ends_everything(ros_domain: int, data_dir: Path, tmp_path: Path) -> None:
    images, _ = swan(data_dir)
    with running(tmp_path, "bringup", "--source", str(images), "--box", "5000,5000,10,10") as run:
        assert run.process.wait(DEADLINE_S) == 1
        assert "init_target refused" in run.output().splitlines()[-1]


def test_demo_measures_what_is_in_its_bag(ros_domain: int, data_dir: Path, tmp_path: Path) -> None:
    images, box = swan(data_dir)
    x, y = box.center_x - (box.size_x - 1) / 2, box.center_y - (box.size_y - 1) / 2
    options = ("--box", f"{x},{y},{box.size_x},{box.size_y}", "--frames", "2:14", "--out", "out/swan")
    with running(tmp_path, "demo", str(images), *options) as run:
        assert run.process.wait(2 * DEADLINE_S) == 0, run.output()
    out = tmp_path / "out"
    numbers = json.loads((out / "swan.json").read_text())
    assert numbers["frames_published"] == 12
    assert len(messages(out / "swan_bag", "/camera_info")) == 12
    stamps = {
        (m.header.stamp.sec, m.header.stamp.nanosec)
        for m in messages(out / "swan_bag", "/tracks")
        if m.tracks
    }
    assert numbers["frames_tracked"] == len(stamps) == 12 - numbers["dropped_frames"]
    assert sum(numbers["states"].values()) == numbers["frames_tracked"]
    assert 0 < numbers["latency_ms"]["p50"] <= numbers["latency_ms"]["p95"]
    with av.open(str(out / "swan.mp4")) as video:
        shown = sum(1 for _ in video.decode(video=0))
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        # At the footage's rate, 30 images/s of a folder, however long the run took.
        assert float(stream.duration * stream.time_base) == pytest.approx(12 / 30, abs=0.05)
    assert shown == numbers["video_frames"] == len(messages(out / "swan_bag", "/overlay/compressed"))
    page = (out / "swan.html").read_text()
    assert 'src="swan.mp4"' in page
    assert page.count("data:image/") == 2


def test_an_interrupted_demo_shows_what_there_was(ros_domain: int, data_dir: Path, tmp_path: Path) -> None:
    images, box = swan(data_dir)
    x, y = box.center_x - (box.size_x - 1) / 2, box.center_y - (box.size_y - 1) / 2
    options = ("--box", f"{x},{y},{box.size_x},{box.size_y}", "--out", "swan")
    with running(tmp_path, "demo", str(images), *options) as run:
        graph = Graph(process=run.process)
        try:
            graph.wait(lambda: sum(bool(message.tracks) for message in graph.tracks) > 2, "tracks")
        finally:
            graph.close()
        assert run.end(signal.SIGTERM) == 143
    numbers = json.loads((tmp_path / "swan.json").read_text())
    assert numbers["interrupted"]
    assert 2 < numbers["frames_tracked"] <= numbers["frames_published"] < len(list(images.iterdir()))
    assert "interrupted" in (tmp_path / "swan.html").read_text()


def test_a_demo_without_a_box_and_a_display_says_what_to_do(data_dir: Path, tmp_path: Path) -> None:
    images, _ = swan(data_dir)
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    result = subprocess.run(
        command("demo", str(images)),
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 1
    assert "give the target as --box" in result.stderr
    assert not list(tmp_path.iterdir())
