"""`siam-tracker follow`: the closed loop on a simulated gimbal, each node a process of its own, measured."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.errors import SiamTrackerError

if TYPE_CHECKING:
    from siam_tracker_ros.demo.follow_measures import FollowMeasures

HELP = "follow a target with a simulated gimbal through the ROS 2 nodes, and measure how well"

# Start-up, and how much slower than real time a run may be.
_START_S, _SLOWEST = 400.0, 40.0
_VIDEO_RATE = 30.0
_BAG_FILES = (".yaml", ".mcap", ".db3", ".zstd")


class FollowCommandError(SiamTrackerError):
    """Options of `follow` that contradict each other, or outputs that are in the way."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `follow`: what launch/follow.launch.py takes, and where to write."""
    from siam_tracker_ros.bringup.arguments import add_options
    from siam_tracker_ros.bringup.follow_plan import FollowArguments

    parser.description = (
        "Start the simulated gimbal, the tracker, the servo, the overlay and a recorder, each in a process "
        "of its own; start the target, arm the servo and let the target go; after the run measure, from the "
        "bag, how well it was followed. Writes NAME.mp4 (the annotated images), NAME_bag/ (the recording), "
        "NAME.png (error, rates, confidence and state over time) and NAME.json (the numbers). Exit status: 0 "
        "done, 1 an error told in one line, 130 after Ctrl-C."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/servo"),
        metavar="NAME",
        help="what to write, without suffix (default out/servo)",
    )
    parser.add_argument(
        "--measure", type=Path, metavar="BAG", help="start nothing: measure a run that was recorded before"
    )
    add_options(parser, FollowArguments)


def run(args: argparse.Namespace) -> int:
    """Run it and report; the exit status. Raises SiamTrackerError."""
    from siam_tracker_ros.demo.follow_measures import measure_follow

    bag = args.measure
    if bag is None:
        bag = Path(args.bag) if args.bag else args.out.with_name(f"{args.out.name}_bag")
        status = _run_graph(args, bag)
        if status:
            return status
    measures = measure_follow(bag)
    _write(args.out, bag, measures)
    _report(measures)
    return 0


def _run_graph(args: argparse.Namespace, bag: Path) -> int:
    """Carry out the plan; the exit status."""
    from siam_tracker_ros.bringup.arguments import from_options
    from siam_tracker_ros.bringup.follow_plan import FollowArguments, plan_follow
    from siam_tracker_ros.bringup.own_domain import own_domain
    from siam_tracker_ros.bringup.run import RunningGraph, RunOver

    if not (args.record and args.servo and args.autostart):
        raise FollowCommandError("a run is measured from its recording, and needs the servo and autostart")
    if bag.exists():
        # A recording that was cut off has no metadata.yaml.
        if not bag.is_dir() or any(file.suffix not in _BAG_FILES for file in bag.iterdir()):
            raise FollowCommandError(f"{bag} is in the way, and it is no bag: move it, or take another --out")
        shutil.rmtree(bag)
    bag.parent.mkdir(parents=True, exist_ok=True)
    args.bag = str(bag)
    arguments = from_options(FollowArguments, args)
    within_s = _START_S + _SLOWEST * (arguments.settle + arguments.seconds)
    try:
        with (
            own_domain(),
            RunningGraph(plan_follow(arguments), lambda line: print(line, flush=True)) as graph,
        ):
            graph.activate()
            graph.wait(within_s)
    except RunOver as over:
        return over.exit_status


def _write(out: Path, bag: Path, measures: FollowMeasures) -> None:
    """Numbers, plot and video of what is in the bag."""
    from siam_tracker_ros.demo.follow_plot import plot_follow
    from siam_tracker_ros.demo.run_measures import overlay_images
    from siam_tracker_ros.demo.video import write_video

    out.parent.mkdir(parents=True, exist_ok=True)
    numbers, plot, video = (out.with_name(out.name + end) for end in (".json", ".png", ".mp4"))
    numbers.write_text(json.dumps(measures.as_json(), indent=2) + "\n", encoding="utf-8")
    who = "the tracker's bearings" if measures.tracked else "true bearings"
    plot_follow(measures, plot, f"following with {who}")
    write_video(video, overlay_images(bag), _VIDEO_RATE)
    for path in (video, bag, plot, numbers):
        if path.exists():
            print(f"wrote {path}")


def _report(measures: FollowMeasures) -> None:
    found = measures.as_json()
    settled = "never" if found["settle_s"] is None else f"in {found['settle_s']:.2f} s"
    print(
        f"bearing error in sight: RMS {found['rms_error_deg']:.2f}, 95 % within {found['p95_error_deg']:.2f} "
        f"degrees\nfollowed for {found['followed_s']:.1f} s at up to {found['peak_target_rate_deg_s']:.1f} "
        f"degrees/s; settled {settled}"
    )
    for one in found["occlusions"]:
        again = one["followed_again_s"]
        print(
            f"hidden for {one['wholly_hidden_s']:.2f} s: error at most {one['max_error_deg']:.1f} degrees "
            f"until the target was seen again and {one['max_error_after_deg']:.1f} after, "
            + ("never followed again" if again is None else f"followed again within {again:.2f} s")
        )
