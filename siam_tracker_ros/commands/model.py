"""`siam-tracker model`: what an entry of the zoo is, by the measures that its papers argue with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.commands.track import parse_box
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.markdown_table import markdown_table

if TYPE_CHECKING:
    from siam_tracker_ros.models.config import ZooEntry

HELP = "report a model of the zoo: layers, stride, receptive field, padding, parameters, MACs"


class ModelCommandError(SiamTrackerError):
    """Options of `model` that do not say what to draw."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `model`."""
    parser.description = (
        "Report what a cell of the features sees, how far padding reaches, and what the network costs "
        "(the analysis of SiamDW, Zhang and Peng, CVPR 2019)."
    )
    parser.add_argument("models", nargs="*", metavar="NAME", help="zoo entries; without any, all of them")
    pictures = parser.add_argument_group("pictures of one entry, in place of the report")
    pictures.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw its architecture (.png, .svg or .pdf)"
    )
    pictures.add_argument(
        "--responses",
        action="append",
        metavar="VIDEO",
        help="show what single channels respond to in footage, and where attention looks, if it has any; "
        "give it again for more videos, to see whether the same channels answer to targets of the same kind",
    )
    pictures.add_argument(
        "--box",
        action="append",
        metavar="X,Y,W,H",
        help="the target in the first frame, for each --responses",
    )
    pictures.add_argument(
        "--weights", metavar="NAME|PATH", help="weights for --responses (default: those named as the entry)"
    )
    pictures.add_argument(
        "--out", type=Path, metavar="FILE", help="where --responses goes (default out/NAME_responses.png)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the report of every model asked for, or draw one; see `add_arguments`."""
    from siam_tracker_ros.models.zoo import ZOO, get_entry

    if args.figure or args.responses:
        if len(args.models) != 1:
            raise ModelCommandError(f"a picture is of one model; give one NAME, not {len(args.models)}")
        _draw(get_entry(args.models[0]), args)
        return 0
    entries = [get_entry(name) for name in args.models] or list(ZOO.values())
    print("\n\n".join(report(entry) for entry in entries))
    return 0


def _draw(entry: ZooEntry, args: argparse.Namespace) -> None:
    from siam_tracker_ros.footage.whole_file import check_picture_file

    boxes = [parse_box(text) for text in args.box or []]
    videos = args.responses or []
    if len(boxes) != len(videos):
        raise ModelCommandError(
            f"each --responses needs its --box: there are {len(videos)} videos and {len(boxes)} boxes"
        )
    written = []
    if args.figure:
        from siam_tracker_ros.figures.architecture import draw_architecture

        check_picture_file(args.figure)
        draw_architecture(entry, args.figure)
        written.append(args.figure)
    if videos:
        from siam_tracker_ros.figures.from_footage import seen_in
        from siam_tracker_ros.figures.responses import draw_responses

        path = args.out or Path("out") / f"{entry.name}_responses.png"
        check_picture_file(path)
        draw_responses(entry, seen_in(entry, args.weights or entry.name, videos, boxes), path)
        written.append(path)
    for path in written:
        print(f"wrote {path}")


def report(entry: ZooEntry) -> str:
    """The report of one entry, as text."""
    from siam_tracker_ros.models.complexity import complexity
    from siam_tracker_ros.models.receptive_field import level_sights

    model, tracking = entry.model, entry.tracking
    cost = complexity(entry)
    scales = f" at {tracking.pyramid.count} scales" if tracking.pyramid else ""
    head = model.head.replace("_", "-")
    lines = [
        f"{entry.name}: {model.backbone}, {head} head"
        f"{', attention' if model.attention else ''}{', region refinement' if model.region else ''}"
        f"{', mask branch' if model.mask else ''}",
        f"exemplar {tracking.exemplar_size} px, search region {tracking.instance_size} px{scales}, "
        f"response map {cost.response_cells} x {cost.response_cells}",
        "",
    ]
    rows = []
    for sight in level_sights(model, tracking.exemplar_size, tracking.instance_size):
        rows.append(
            [
                str(sight.layer),
                str(sight.layers),
                str(sight.channels),
                f"{sight.stride} px",
                f"{sight.receptive_field} px",
                f"{100 * sight.receptive_field / tracking.exemplar_size:.0f} %",
                _cells(sight.exemplar_cells, sight.exemplar_padded),
                _cells(sight.search_cells, sight.search_padded),
            ]
        )
    columns = [
        "level", "layers", "channels", "stride", "receptive field", "of the exemplar",
        "exemplar cells (padded)", "search cells (padded)",
    ]  # fmt: skip
    lines += [markdown_table(columns, rows), ""]
    lines.append(f"parameters       {cost.parameters / 1e6:.2f} M")
    lines.append(f"MACs, exemplar   {cost.exemplar_macs / 1e9:.2f} G once")
    lines.append(f"MACs, search     {cost.frame_macs / 1e9:.2f} G a frame")
    if cost.mask_macs:
        lines.append(f"MACs, mask       {cost.mask_macs / 1e9:.2f} G a mask")
    return "\n".join(lines)


def _cells(side: int, padded: int) -> str:
    return f"{side} x {side} ({100 * padded / side**2:.0f} %)"
