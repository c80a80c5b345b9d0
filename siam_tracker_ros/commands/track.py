"""`siam-tracker track`: follow what is in a box through footage; write video, tables and masks."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from siam_tracker_ros.compute_options import add_compute_options, compute_options
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from tqdm import tqdm

    from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange
    from siam_tracker_ros.footage.interrupt import Interrupt
    from siam_tracker_ros.footage.outputs import OutputPaths
    from siam_tracker_ros.footage.window import LiveWindow
    from siam_tracker_ros.tracking.result import TrackResult
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker

HELP = "follow a target through a video, an image folder, a camera or a stream"

# How fast the shown frame rate follows, a fraction per frame.
_RATE_GAIN = 0.1

Box = tuple[float, float, float, float]


class TrackCommandError(SiamTrackerError):
    """Options of `track` that do not say what to do, or say what cannot be done."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `track`."""
    parser.description = (
        "Follow what is in a box through footage. The first frame used is reported with the box given, state "
        "ACQUIRING, and the score, mask and rotated box found there. An image that cannot be read is named, "
        "left out and counted, but keeps its number; the run ends where the frame size changes. Ctrl-C "
        "finishes the files with what was tracked so far. Exit status: 0 done, 1 an error told in one line, "
        "130 after Ctrl-C, 143 after SIGTERM."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="video file; folder of images (in natural order: img2 before img10); bag (its folder, .mcap or "
        ".db3; of several cameras BAG::/camera/image_raw); camera index (0) or /dev/video0; stream URL "
        "(rtsp://, http://, ...); or gst: and a GStreamer pipeline that ends in a BGR appsink",
    )
    what = parser.add_argument_group("what to track")
    what.add_argument(
        "--box",
        action="append",
        metavar="X,Y,W,H",
        help="target in the first frame used: top-left corner and size in px; give it again for each further "
        "target (write --box=-5,... for a negative corner); without it you draw one with the mouse",
    )
    what.add_argument(
        "--frames",
        metavar="A:B",
        help="use frames A up to, not including, B, counted from 0; either may be left out "
        "(76:137, :100, 50:)",
    )
    what.add_argument("--stride", type=int, default=1, metavar="N", help="use every N-th frame (default 1)")
    what.add_argument("--fps", type=float, metavar="RATE", help="frames/s of an image folder (default 30)")

    how = parser.add_argument_group("how to track")
    how.add_argument(
        "--weights",
        metavar="NAME|PATH",
        help=f"weights by name or path (default: those named as --model, else {DEFAULT_WEIGHTS})",
    )
    how.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    add_compute_options(how)
    how.add_argument(
        "--long-term",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="search further and further once the target is lost (default: as the model says)",
    )
    how.add_argument(
        "--no-mask",
        action="store_true",
        help="leave out mask and rotated box where the model has them: faster",
    )

    out = parser.add_argument_group(
        "what to write",
        "without any of these: the video, to out/SOURCE.mp4. Files are replaced once they are whole.",
    )
    out.add_argument(
        "--out", type=Path, metavar="FILE", help="annotated video (H.264): .mp4, .m4v, .mov, .mkv"
    )
    out.add_argument("--csv", type=Path, metavar="FILE", help="results, one line per frame and target")
    out.add_argument("--jsonl", type=Path, metavar="FILE", help="the same as JSON lines")
    out.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="masks as PNGs of the frame's size, 0 and 255, named by frame number, in a new or empty folder "
        "(with several targets: one folder each); as found, also where the state says the target is not seen",
    )
    out.add_argument("--show", action="store_true", help="watch in a window; q or Esc ends the run")


def run(args: argparse.Namespace) -> int:
    """Track, report on standard output, and return the exit status.

    0 at the end of the footage; 130 after Ctrl-C and 143 after SIGTERM, with the files finished. Raises
    SiamTrackerError for what the user can put right; footage that breaks off on the way still leaves the
    files of what came before.
    """
    from siam_tracker_ros.footage.frames import parse_frame_range
    from siam_tracker_ros.footage.interrupt import Interrupt
    from siam_tracker_ros.footage.outputs import check_outputs
    from siam_tracker_ros.footage.source import open_source
    from siam_tracker_ros.footage.window import LiveWindow, check_display
    from siam_tracker_ros.tracking.siam_tracker import SiamTracker

    wanted = parse_frame_range(args.frames, args.stride)
    boxes = [parse_box(text) for text in args.box or []]
    if not boxes:
        check_display("give the target as --box x,y,w,h")
    if args.show:
        check_display("leave out --show")
    interrupt = Interrupt()
    skips = _Skips()
    with ExitStack() as stack:
        footage = open_source(args.source, wanted, skips, args.fps, interrupt.asked)
        stack.enter_context(closing(footage.frames))
        paths = _output_paths(args, footage)
        check_outputs(paths, args.source)
        tracker = SiamTracker.from_weights(
            args.weights or args.model or DEFAULT_WEIGHTS,
            model=args.model,
            **compute_options(args),
            long_term=args.long_term,
        )
        if args.masks is not None:
            _check_masks(tracker, args.no_mask)
        print(
            f"{tracker.entry.name} on {tracker.device}: {tracker.device_note}; {tracker.engine_note}",
            flush=True,
        )
        first = _first_frame(footage, wanted, skips, args.source)
        boxes = boxes or [_drawn_box(first)]
        window = None
        if args.show:
            window = LiveWindow(f"siam-tracker: {footage.name}")
            stack.callback(window.close)
        job = _Job(tracker, footage, first, boxes, tracker.has_masks and not args.no_mask, wanted.stride)
        return _follow(job, paths, window, skips, interrupt)


def parse_box(text: str) -> Box:
    """Box written as x,y,w,h. Raises TrackCommandError."""
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise TrackCommandError(
            f"a box is four numbers x,y,w,h (top-left corner, width and height in px), not '{text}'"
        ) from None
    return x, y, w, h


@dataclass
class _Tally:
    """What heading and summary need of a run; `missed` counts frames of a live source that came too fast."""

    frames: int = 0
    missed: int = 0
    track_s: float = 0.0
    tracked: int = 0
    rate: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    confidence: float = 0.0

    def add(self, results: Mapping[str, TrackResult], seconds: float) -> None:
        self.tracked += 1
        self.track_s += seconds
        smoothed = seconds if not self.rate else _RATE_GAIN * seconds + (1 - _RATE_GAIN) / self.rate
        self.rate = 1.0 / max(smoothed, 1e-9)
        for result in results.values():
            self.states[result.state.name] += 1
            self.confidence += result.confidence

    def heading(self, frame: Frame) -> str:
        return f"frame {frame.number}" + (f"  {self.rate:.1f} FPS" if self.tracked else "")

    def progress(self, results: Mapping[str, TrackResult]) -> str:
        told = [f"{result.state.name} {result.confidence:.2f}" for result in results.values()]
        return ", ".join([*told, f"track() {self.rate:.1f} FPS"] if self.tracked else told)

    def summary(self, seconds: float, skipped: int) -> str:
        parts = [f"{self.frames} frame{'' if self.frames == 1 else 's'} in {seconds:.1f} s"]
        if self.tracked:
            parts.append(
                f"track() {self.tracked / max(self.track_s, 1e-9):.1f} FPS, "
                f"overall {self.frames / max(seconds, 1e-9):.1f} FPS"
            )
            parts.append(", ".join(f"{state} {count}" for state, count in self.states.most_common()))
            parts.append(f"mean confidence {self.confidence / sum(self.states.values()):.2f}")
        if skipped:
            parts.append(f"{skipped} unreadable left out")
        if self.missed:
            parts.append(f"{self.missed} missed, being slower than the source")
        return "; ".join(parts)


class _Skips:
    """Counts and tells what cannot be read: on standard error, once the run is under way."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        self.say: Callable[[str], None] | None = None

    def __call__(self, what: str) -> None:
        self.count += 1
        self.first = self.first or what
        if self.say is not None:
            self.say(f"warning: {what}")


@dataclass(frozen=True)
class _Job:
    """What to follow: `boxes` in frame `first`, then through the rest of `footage`."""

    tracker: SiamTracker
    footage: Footage
    first: Frame
    boxes: list[Box]
    masks: bool
    stride: int


def _follow(
    job: _Job, paths: OutputPaths, window: LiveWindow | None, skips: _Skips, interrupt: Interrupt
) -> int:
    from siam_tracker_ros.footage.annotate import draw_results
    from siam_tracker_ros.footage.frames import SourceError
    from siam_tracker_ros.footage.outputs import Outputs

    footage, frame = job.footage, job.first
    targets = {str(n): job.tracker.init(frame.image, box, frame.time) for n, box in enumerate(job.boxes, 1)}
    results, seconds, step = _first_results(job), 0.0, 1
    tally = _Tally()
    broken: SourceError | None = None
    started = time.perf_counter()
    with (
        interrupt,
        _progress(footage) as bar,
        Outputs(paths, footage.rate / job.stride, len(targets) > 1) as outputs,
    ):
        skips.say = partial(bar.write, file=sys.stderr)
        while True:
            annotated = frame.image
            if paths.video is not None or window is not None:
                annotated = draw_results(frame.image, results, tally.heading(frame))
            outputs.write(frame, results, annotated, 1e3 * seconds)
            tally.frames += 1
            bar.set_postfix_str(tally.progress(results), refresh=False)
            bar.update(step)
            if window is not None and not window.show(annotated):
                break
            if interrupt.asked():
                break
            try:
                following = _next_frame(footage, frame)
            except SourceError as error:
                broken = error
                break
            if following is None:
                break
            step = (following.number - frame.number) // job.stride
            if footage.live:
                tally.missed += step - 1
            frame = following
            begun = time.perf_counter()
            tracked = job.tracker.track(frame.image, list(targets.values()), job.masks, frame.time)
            seconds = time.perf_counter() - begun
            results = dict(zip(targets, tracked, strict=True))
            tally.add(results, seconds)
    if interrupt.asked():
        print("interrupted: the files hold what was tracked so far")
    print(tally.summary(time.perf_counter() - started, skips.count))
    for path in outputs.published:
        print(f"wrote {path}")
    if broken is not None:
        raise broken
    return interrupt.exit_status


def _output_paths(args: argparse.Namespace, footage: Footage) -> OutputPaths:
    from siam_tracker_ros.footage.outputs import OutputPaths

    video = args.out
    if not args.show and not any((args.out, args.csv, args.jsonl, args.masks)):
        video = Path("out") / f"{footage.name}.mp4"
    return OutputPaths(video, args.csv, args.jsonl, args.masks)


def _check_masks(tracker: SiamTracker, left_out: bool) -> None:
    if left_out:
        raise TrackCommandError("--masks and --no-mask exclude each other")
    if not tracker.has_masks:
        raise TrackCommandError(f"--masks needs a siammask model: {tracker.entry.name} has no mask branch")


def _first_frame(footage: Footage, wanted: FrameRange, skips: _Skips, source: str) -> Frame:
    from siam_tracker_ros.footage.frames import SourceError

    frame = next(footage.frames, None)
    if frame is None:
        raise SourceError(skips.first or f"{source} gave no frame")
    if not footage.live and frame.number != wanted.start:
        raise SourceError(f"{skips.first}, but the box belongs to it: begin at another one with --frames")
    return frame


def _next_frame(footage: Footage, before: Frame) -> Frame | None:
    """The next frame, of the size of `before`; None at the end."""
    from siam_tracker_ros.footage.frames import SourceError

    frame = next(footage.frames, None)
    if frame is not None and frame.image.shape != before.image.shape:
        (height, width), (height_before, width_before) = frame.image.shape[:2], before.image.shape[:2]
        raise SourceError(
            f"frame {frame.number} is {width}x{height} and those before it are "
            f"{width_before}x{height_before}: a target is followed, and a video written, at one size, "
            "so the run ends before it"
        )
    return frame


def _drawn_box(frame: Frame) -> Box:
    from siam_tracker_ros.footage.window import draw_box

    box = draw_box(frame.image)
    if box is None:
        raise TrackCommandError("no box was drawn; draw one, or give --box x,y,w,h")
    return box


def _first_results(job: _Job) -> dict[str, TrackResult]:
    """What to show of the first frame: the boxes as they were given, with mask and score as found there.

    Found with targets of their own, so that the real ones start untouched; it also warms up the device before
    any time is taken.
    """
    from siam_tracker_ros.tracking.boxes import Box as ResultBox
    from siam_tracker_ros.tracking.result import TrackState

    frame = job.first
    scratch = [job.tracker.init(frame.image, box, frame.time) for box in job.boxes]
    found = job.tracker.track(frame.image, scratch, job.masks)
    return {
        str(n): replace(result, box=ResultBox(*box), state=TrackState.ACQUIRING, velocity=(0.0, 0.0))
        for n, (result, box) in enumerate(zip(found, job.boxes, strict=True), 1)
    }


def _progress(footage: Footage) -> tqdm[NoReturn]:
    from tqdm import tqdm

    # disable=None: none where standard error is no terminal.
    return tqdm(total=footage.count, desc=footage.name, unit="frame", disable=None, dynamic_ncols=True)
