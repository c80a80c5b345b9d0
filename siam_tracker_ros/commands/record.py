"""`siam-tracker record`: what `ros2 bag record` does, where rosbag2 is not installed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.errors import SiamTrackerError

if TYPE_CHECKING:
    import threading

    from siam_tracker_ros.footage.bag_writer import BagWriter
    from siam_tracker_ros.nodes.recorder import Recorder

HELP = "record topics into a bag, where ros2 bag is not installed"

PRESETS = ("raw", "compressed", "results")


class RecordCommandError(SiamTrackerError):
    """Options of `record` that do not say what to record, or say it in two ways."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `record`."""
    parser.description = (
        "Record topics into a bag that ros2 bag, Foxglove and rosbags open. Topics that appear later are "
        "picked up, with the quality of service that their publishers offer. Ctrl-C or SIGTERM finishes the "
        "bag and tells how many messages of each topic it holds. Exit status: 0 done, 1 an error told in one "
        "line; what was recorded before it can be read."
    )
    what = parser.add_argument_group("what to record", "without any of these: the preset raw (see --preset)")
    what.add_argument(
        "topics", nargs="*", metavar="TOPIC", help="a topic; relative ones are under --namespace"
    )
    what.add_argument("-a", "--all", action="store_true", help="every topic that is not hidden")
    what.add_argument(
        "--preset",
        choices=PRESETS,
        help="the tracker's usual topics, besides those named: tracks, status, the servo's, /diagnostics, "
        "/tf, /tf_static and camera_info; with them images and masks (raw), the JPEG images (compressed), or "
        "no images (results)",
    )
    what.add_argument("--namespace", default="/", metavar="NS", help="where relative topics are (default /)")
    what.add_argument(
        "--image", default="image_raw", metavar="TOPIC", help="the preset's image topic (default image_raw)"
    )
    what.add_argument("--exclude", metavar="REGEX", help="leave out topics that this is found in")
    how = parser.add_argument_group("how to write it")
    how.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="the bag, a new folder (default: siam_tracker_ and the time)",
    )
    how.add_argument("-s", "--storage", choices=("mcap", "sqlite3"), default="mcap", help="default mcap")
    how.add_argument("--compress", action="store_true", help="compress with zstd")
    how.add_argument(
        "--split-size", type=float, default=0, metavar="MIB", help="begin another file after so many MiB"
    )
    how.add_argument(
        "--split-duration",
        type=float,
        default=0,
        metavar="S",
        help="begin another file after so many seconds",
    )
    how.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    how.add_argument(
        "--keep-free",
        type=float,
        default=64,
        metavar="MIB",
        help="end where less of the disk is free (default 64)",
    )
    how.add_argument(
        "--cache", type=float, default=256, metavar="MIB", help="what may wait for a slow disk (default 256)"
    )
    how.add_argument(
        "--use-sim-time", action="store_true", help="stamp messages with the time of /clock, not of arrival"
    )


def run(args: argparse.Namespace) -> int:
    """Record until it is told to end; the exit status. Raises SiamTrackerError where nothing can be."""
    from siam_tracker_ros.footage.bag_writer import BagSettings, BagWriter
    from siam_tracker_ros.nodes.node_process import run_node
    from siam_tracker_ros.nodes.recorder import Recorder, Selection
    from siam_tracker_ros.ros_distro import ros_distro

    for option in ("split_size", "split_duration", "duration", "keep_free", "cache"):
        value = getattr(args, option)
        if value is not None and not 0 <= value < float("inf"):
            raise RecordCommandError(f"--{option.replace('_', '-')} is a number from 0 up, not {value:g}")
    named = {_full_name(topic, args.namespace) for topic in args.topics}
    selection = Selection(wanted_topics(args), args.all, _pattern(args.exclude))
    folder = args.out or Path(f"siam_tracker_{datetime.now():%Y%m%d_%H%M%S}")
    settings = BagSettings(
        storage=args.storage,
        compress=args.compress,
        split_bytes=int(args.split_size * 2**20),
        split_s=args.split_duration,
        keep_free_bytes=int(args.keep_free * 2**20),
        ros_distro=ros_distro() or "",
    )
    ros_arguments = ["record", *(("--ros-args", "-p", "use_sim_time:=true") if args.use_sim_time else ())]

    def record(node: Recorder, stop: threading.Event) -> int:
        seconds = float("inf") if args.duration is None else args.duration
        node.record(stop, seconds)
        missed = {topic: why for topic, why in node.missed.items() if topic in named}
        print(summary(bag, missed, node.dropped), flush=True)
        if node.failure is not None:
            raise node.failure
        return 0

    with closing(BagWriter(folder, settings)) as bag:
        return run_node(lambda: Recorder(bag, selection, int(args.cache * 2**20)), ros_arguments, record)


def wanted_topics(args: argparse.Namespace) -> tuple[str, ...]:
    """Full names of the topics to record, those of a preset too; none for all. Raises RecordCommandError."""
    if args.all:
        if args.topics or args.preset:
            raise RecordCommandError("--all records every topic: leave out the others, or --all")
        return ()
    preset = args.preset or (None if args.topics else "raw")
    names = [*args.topics, *(preset_topics(preset, args.image) if preset else ())]
    return tuple(dict.fromkeys(_full_name(name, args.namespace) for name in names))


def preset_topics(preset: str, image: str) -> tuple[str, ...]:
    """Topics of a preset; `image` is the image topic."""
    from siam_tracker_ros.bringup.tracker_plan import SERVO_TOPICS

    images = {"raw": (image, "mask"), "compressed": (f"{image}/compressed",), "results": ()}[preset]
    info = f"{image.rpartition('/')[0]}/camera_info" if "/" in image else "camera_info"
    always = ("tracks", "status", *SERVO_TOPICS, "/diagnostics", "/tf", "/tf_static")
    return (*images, info, *always)


def summary(bag: BagWriter, missed: Mapping[str, str], dropped: int) -> str:
    """What was recorded, and what was not: topics with the reason, and how many messages were dropped."""
    lines = [f"{count:9} {topic}" for topic, count in sorted(bag.counts.items())]
    lines += [f"{'-':>9} {topic}: {why}" for topic, why in sorted(missed.items())]
    if dropped:
        lines.append(f"{dropped} messages were dropped, as the disk was too slow")
    return "\n".join([*lines, f"{sum(bag.counts.values())} messages in {bag.folder}"])


def _full_name(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"/{namespace.strip('/')}/{name}".replace("//", "/")


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise RecordCommandError(f"--exclude {text} is no regular expression: {error}") from error
