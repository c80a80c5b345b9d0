"""`siam-tracker demo`: footage through source, tracker, overlay and recorder, each a process of its own."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.compute_options import add_compute_options, compute_options
from siam_tracker_ros.errors import SiamTrackerError

if TYPE_CHECKING:
    from siam_tracker_ros.bringup.process import Plan, Value
    from siam_tracker_ros.demo.run_measures import RunMeasures

HELP = "run footage through the ROS 2 nodes, and show what came of it"

# How long the source waits for an image's tracks before it goes on, s.
_PATIENCE_S = 15.0
# How long start-up may take, s, besides what each image may.
_START_S = 300.0
# Nominal frames/s of a video of a camera; each frame has its own time anyhow.
_CAMERA_RATE = 30.0


class DemoError(SiamTrackerError):
    """A demo that cannot be run, or did not come to its end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `demo`."""
    parser.description = (
        "Start a video source, the tracker, the overlay and a recorder, each in a process of its own, start "
        "a target by a call of init_target in the first image, and follow it to the end of the footage: at "
        "the footage's own rate, or as slowly as this machine needs to track in every image. Writes NAME.mp4 "
        "(the annotated images), NAME_bag/ (the recording), NAME.html (one page on the run) and NAME.json "
        "(its numbers, measured from the bag). Exit status: 0 done, 1 an error told in one line, 130 after "
        "Ctrl-C and 143 after SIGTERM, with what there was until then."
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="video file, folder of images, bag, camera, stream URL"
    )
    parser.add_argument(
        "--box", metavar="X,Y,W,H", help="target in the first image; without it you draw it with the mouse"
    )
    parser.add_argument("--frames", default="", metavar="A:B", help="frames A up to, not including, B")
    parser.add_argument("--weights", default="", metavar="NAME|PATH", help="weights by name or path")
    add_compute_options(parser, default="")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="NAME",
        help="what to write, without suffix (default out/demo)",
    )


@dataclass(frozen=True)
class _Outputs:
    """Everything that a demo writes."""

    video: Path
    bag: Path
    page: Path
    numbers: Path

    @classmethod
    def named(cls, name: Path) -> _Outputs:
        return cls(*(name.with_name(name.name + end) for end in (".mp4", "_bag", ".html", ".json")))

    def remove(self) -> None:
        """Remove those of an earlier run."""
        self.video.parent.mkdir(parents=True, exist_ok=True)
        for file in (self.video, self.page, self.numbers):
            file.unlink(missing_ok=True)
        if (self.bag / "metadata.yaml").is_file():
            shutil.rmtree(self.bag)


@dataclass(frozen=True)
class _Look:
    """What has to be known of the footage before it is played: frames/s (0: a camera), frames, box."""

    rate: float
    count: int | None
    box: str
    live: bool


def run(args: argparse.Namespace) -> int:
    """Run it and report; the exit status. Raises SiamTrackerError."""
    from siam_tracker_ros.bringup.own_domain import own_domain
    from siam_tracker_ros.bringup.source_plan import SOURCE
    from siam_tracker_ros.demo.run_measures import measure
    from siam_tracker_ros.footage.bag import BagError

    outputs = _Outputs.named(args.out)
    look = _look_at(args)
    outputs.remove()
    with own_domain() as domain:
        print(f"running in ROS domain {domain}: RViz shows it with ROS_DOMAIN_ID={domain}", flush=True)
        status = _play(_plan(args, look, outputs), look)
    try:
        measures = measure(outputs.bag, SOURCE)
    except BagError:
        if status:
            # Interrupted before there was anything to show.
            return status
        raise
    _write(outputs, args.source, measures, look, status)
    _report(outputs, measures)
    return status


def _look_at(args: argparse.Namespace) -> _Look:
    """Open the footage and take its first frame, on which the box is drawn if none is given."""
    from siam_tracker_ros.footage.frames import SourceError, parse_frame_range
    from siam_tracker_ros.footage.source import is_camera_or_stream, open_source
    from siam_tracker_ros.footage.window import check_display, draw_box

    if not args.box:
        check_display("give the target as --box x,y,w,h (make demo: BOX=x,y,w,h)")
    wanted = parse_frame_range(args.frames or None)
    if is_camera_or_stream(args.source):
        return _Look(0.0, wanted.count(wanted.stop), args.box or "", live=True)
    skipped: list[str] = []
    footage = open_source(args.source, wanted, skipped.append)
    with closing(footage.frames):
        first = next(footage.frames, None)
    if first is None:
        raise SourceError(skipped[0] if skipped else f"{args.source} gave no frame")
    box = args.box
    if not box:
        drawn = draw_box(first.image)
        if drawn is None:
            raise DemoError("no box was drawn; draw one, or give --box x,y,w,h")
        box = ",".join(f"{value:g}" for value in drawn)
    return _Look(footage.rate, footage.count, box, live=False)


def _plan(args: argparse.Namespace, look: _Look, outputs: _Outputs) -> Plan:
    from siam_tracker_ros.bringup.arguments import DemoArguments
    from siam_tracker_ros.bringup.source_plan import SOURCE, plan_demo

    arguments = DemoArguments(
        source=args.source,
        frames=args.frames,
        box=look.box,
        weights=args.weights,
        **compute_options(args),
        # A camera does not wait; and what it shows when the run begins is not known before.
        pace="rate" if look.live else "consumed",
        selector=not look.box,
        record_image="compressed",
        bag=str(outputs.bag),
    )
    stamps = "clock" if look.live else "footage"
    source: dict[str, Value] = {"stamps": stamps, "rate": look.rate, "consumer_timeout": _PATIENCE_S}
    overlay: dict[str, Value] = {"max_wait": _PATIENCE_S}
    return plan_demo(arguments).with_parameters(SOURCE, source).with_parameters("overlay_node", overlay)


def _play(plan: Plan, look: _Look) -> int:
    """Carry out the plan until the footage is over; the exit status."""
    from siam_tracker_ros.bringup.run import RunningGraph, RunOver

    within_s = math.inf if look.count is None else _START_S + 2 * _PATIENCE_S * look.count
    try:
        with RunningGraph(plan, lambda line: print(line, flush=True)) as graph:
            graph.activate()
            graph.wait(within_s)
    except RunOver as over:
        return over.exit_status


def _write(outputs: _Outputs, source: str, measures: RunMeasures, look: _Look, status: int) -> None:
    """Video, numbers and page of what is in the bag."""
    from siam_tracker_ros.demo.page import summary_page
    from siam_tracker_ros.demo.pictures import contact_sheet, course, jpeg, sheet_places
    from siam_tracker_ros.demo.run_measures import overlay_images
    from siam_tracker_ros.demo.video import write_video

    name = Path(source).name
    stamps = [stamp for stamp, _ in overlay_images(outputs.bag)]
    write_video(outputs.video, overlay_images(outputs.bag), look.rate or _CAMERA_RATE)
    places = {stamps[place] for place in sheet_places(len(stamps))}
    shown = [image for stamp, image in overlay_images(outputs.bag) if stamp in places]
    pictures = {}
    if shown:
        pictures["sheet"] = jpeg(contact_sheet(shown))
    if measures.frames:
        pictures["course"] = course(measures)
    numbers = {"source": name, "interrupted": status != 0, **measures.as_json(), "video_frames": len(stamps)}
    outputs.numbers.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    notes = "The run was interrupted: this is what there was until then." if status else ""
    video = outputs.video.name if stamps else ""
    outputs.page.write_text(summary_page(name, measures, notes, video, pictures), encoding="utf-8")


def _report(outputs: _Outputs, measures: RunMeasures) -> None:
    states = ", ".join(f"{state} {count}" for state, count in measures.states.items()) or "no target"
    dropped = f"{measures.dropped_frames} dropped" if measures.dropped_frames else "none dropped"
    print(
        f"{measures.frames_published} images published, {len(measures.frames)} tracked in, {dropped}; "
        f"{states}"
    )
    if measures.frames:
        median, most = measures.latency_ms["p50"], measures.latency_ms["p95"]
        print(f"latency from image to tracks: median {median:.1f} ms, 95 % within {most:.1f} ms")
    for loss in measures.losses:
        print(f"lost of the bag: {loss}")
    for path in (outputs.video, outputs.bag, outputs.page, outputs.numbers):
        if path.exists():
            print(f"wrote {path}")
