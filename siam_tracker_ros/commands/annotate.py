"""`siam-tracker annotate`: draw the ground truth of footage, a few key frames by hand."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from siam_tracker_ros.compute_options import add_compute_options, compute_options
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS

HELP = "draw the ground truth of a video, image folder or bag"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `annotate`."""
    parser.description = (
        "Draw boxes around a target in some frames; what lies between them is interpolated, or tracked where "
        "you ask for it. Every change is saved at once, and the same command goes on where it was left. The "
        "ground truth has a line x,y,w,h for each frame (top-left corner and size, px), nan,nan,nan,nan "
        "where the target is out of view or nothing was drawn yet; `eval` and training read it. The key "
        "frames are kept beside it."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="video file, folder of images, or bag (of several cameras BAG::/camera/image_raw)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("groundtruth.txt"),
        metavar="FILE",
        help="the ground truth (default: groundtruth.txt)",
    )
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="NAME|PATH",
        help="tracker that helps: weights by name or path, or opencv:csrt (default: %(default)s)",
    )
    parser.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    add_compute_options(parser)


def run(args: argparse.Namespace) -> int:
    """Open the window; the exit status. Raises SiamTrackerError for what the user can put right."""
    from tqdm import tqdm

    from siam_tracker_ros.annotation.annotate import annotate
    from siam_tracker_ros.annotation.frame_store import FrameStore
    from siam_tracker_ros.annotation.kept import key_frame_file
    from siam_tracker_ros.annotation.session import Session
    from siam_tracker_ros.evaluation.trackers import TrackerSpec, make_tracker
    from siam_tracker_ros.footage.whole_file import check_output_file
    from siam_tracker_ros.footage.window import check_display

    check_display("annotate where there is a screen and an OpenCV with windows (pip install opencv-python)")
    check_output_file(args.out)
    spec = TrackerSpec(args.weights, args.model, **compute_options(args))
    with tqdm(desc="reading", unit="frame", disable=None) as bar:

        def read(expected: int | None) -> None:
            bar.total = expected
            bar.update()

        frames = FrameStore(args.source, lambda what: bar.write(f"warning: {what}"), read)
    with closing(frames):
        session = Session(frames, args.out, lambda: make_tracker(spec))
        annotate(session)
    key_frames = session.key_frames
    if not key_frames.keys:
        print("nothing was drawn")
        return 0
    seen = sum(box is not None for box in key_frames.boxes())
    print(
        f"{args.out}: {seen} of {key_frames.frames} frames with a box, from {len(key_frames.keys)} "
        f"key frames ({key_frame_file(args.out)})"
    )
    return 0
