"""The launch files under the real launch_ros, wherever it imports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("launch_ros.actions", reason="NOT TESTED: launch_ros is not installed")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from graph_process import end
from graph_tracker import Graph
from launch.actions import DeclareLaunchArgument
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from rosbags.highlevel import AnyReader

from siam_tracker_msgs.msg import BoundingBox2D, TrackerStatus
from siam_tracker_ros.bringup.arguments import DemoArguments, TrackerArguments, as_text
from siam_tracker_ros.nodes.parameter_struct import described

LAUNCH = Path(__file__).resolve().parent.parent / "launch"
DEADLINE_S = 120.0
# As users include ours in theirs.
INCLUDING = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
included = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path), launch_arguments=[one.split(":=", 1) for one in arguments]
)
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


@contextmanager
def launched(tmp_path: Path, file: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The launch file included in another; its process and output."""
    log = tmp_path / "launch.log"
    command = [sys.executable, "-c", INCLUDING, str(LAUNCH / file), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ROS_LOG_DIR": str(tmp_path / "log")}
    with (
        log.open("w") as out,
        subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=tmp_path,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process, log
        finally:
            end(process)


@pytest.mark.parametrize(
    ("file", "struct"), [("tracker.launch.py", TrackerArguments), ("demo.launch.py", DemoArguments)]
)
def test_arguments_as_show_args_tells_them(file: str, struct: type) -> None:
    description = get_launch_description_from_python_launch_file(str(LAUNCH / file))
    declared = [one for one in description.entities if isinstance(one, DeclareLaunchArgument)]
    assert [one.name for one in declared] == [one.name for one in described(struct)]
    for action, one in zip(declared, described(struct), strict=True):
        assert action.description.startswith(one.description)
        assert "".join(part.text for part in action.default_value) == as_text(one.default)
        if one.choices:
            assert action.choices == list(one.choices)


@pytest.mark.parametrize("composed", ["false", "true"])
def test_a_failed_configure_ends_the_launch_with_the_reason(
    ros_domain: int, tmp_path: Path, composed: str
) -> None:
    arguments = ("weights:=nowhere", "overlay:=true", f"composed:={composed}")
    with launched(tmp_path, "tracker.launch.py", *arguments) as (process, log):
        assert process.wait(DEADLINE_S) == 1
        last = log.read_text().splitlines()[-1]
    assert "tracker_node: configure failed: no weights called 'nowhere'" in last


def test_a_wrong_argument_ends_the_launch(tmp_path: Path) -> None:
    with launched(tmp_path, "tracker.launch.py", "image_qos:=fast") as (process, log):
        assert process.wait(DEADLINE_S) == 1
        assert "image_qos" in log.read_text()


@pytest.mark.parametrize("composed", ["false", "true"])
def test_the_tracker_is_brought_to_active_in_its_namespace(
    ros_domain: int, tmp_path: Path, composed: str
) -> None:
    arguments = ("namespace:=robot", f"composed:={composed}")
    with launched(tmp_path, "tracker.launch.py", *arguments) as (process, log):
        graph = Graph("robot", process=process)
        try:
            # Active, and nobody publishes images: it says where it looks for them.
            status = graph.status(TrackerStatus.NO_IMAGES)
            assert "/robot/image_raw" in status.message
        finally:
            graph.close()
        pids = [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", log.read_text())]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert pids
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_demo_records_footage_tracked_from_its_first_image(
    ros_domain: int, data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / "sequences" / "davis_blackswan"
    x, y, w, h = map(float, re.split(r"[,\s]+", (folder / "groundtruth.txt").read_text().split("\n")[0])[:4])
    arguments = (
        f"source:={folder / 'img'}",
        f"box:={x},{y},{w},{h}",
        "frames:=:8",
        "pace:=consumed",
        "bag:=bag",
    )
    with launched(tmp_path, "demo.launch.py", *arguments) as (process, log):
        assert process.wait(2 * DEADLINE_S) == 0, log.read_text()
    with AnyReader([tmp_path / "bag"]) as reader:
        counts = {one.topic: one.msgcount for one in reader.connections}
        topic = next(one for one in reader.connections if one.topic == "/tracks")
        _, _, raw = next(reader.messages([topic]))
        first = reader.deserialize(raw, topic.msgtype)
    assert counts["/camera_info"] == counts["/image_raw"] == 8
    assert counts["/overlay/compressed"] > 0
    box = BoundingBox2D(center_x=x + (w - 1) / 2, center_y=y + (h - 1) / 2, size_x=w, size_y=h)
    if first.tracks:
        assert first.tracks[0].bbox.center_x == pytest.approx(box.center_x)
        assert first.tracks[0].bbox.size_y == pytest.approx(box.size_y)
