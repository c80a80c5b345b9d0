"""`siam-tracker vot`: let the VOT tool kit run our trackers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from siam_tracker_ros.compute_options import add_compute_options, compute_options

if TYPE_CHECKING:
    from siam_tracker_ros.evaluation.trackers import TrackerSpec

HELP = "let the VOT tool kit run a tracker of ours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vot`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    register = actions.add_parser(
        "register", help="write the tracker's entry for a workspace's trackers.ini, then: vot evaluate NAME"
    )
    register.add_argument(
        "--out", type=Path, metavar="FILE", help="trackers.ini to add it to (default: print it)"
    )
    register.set_defaults(act=_register)
    serve = actions.add_parser("serve", help="what the tool kit runs: answer it by the TraX protocol")
    serve.set_defaults(act=_serve)
    for action in (register, serve):
        action.add_argument("weights", metavar="WEIGHTS", help="weights by name or path, or opencv:csrt")
        action.add_argument(
            "--region",
            choices=("rectangle", "polygon", "mask"),
            default="rectangle",
            help="what is reported: the box (default), the rotated box, or the mask",
        )
        action.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
        add_compute_options(action)
        action.add_argument(
            "--long-term",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="search further and further once the target is lost (default: as the model says)",
        )


def run(args: argparse.Namespace) -> int:
    """Do the action; the exit status."""
    from siam_tracker_ros.evaluation.trackers import TrackerSpec

    return int(
        args.act(
            args, TrackerSpec(args.weights, args.model, long_term=args.long_term, **compute_options(args))
        )
    )


def _register(args: argparse.Namespace, spec: TrackerSpec) -> int:
    from siam_tracker_ros.evaluation.trax_server import registry_entry

    entry = registry_entry(spec, args.region)
    if args.out is None:
        print(entry, end="")
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    before = args.out.read_text(encoding="utf-8") if args.out.is_file() else ""
    args.out.write_text(f"{before}\n{entry}" if before else entry, encoding="utf-8")
    return 0


def _serve(args: argparse.Namespace, spec: TrackerSpec) -> int:
    from siam_tracker_ros.evaluation.trax_server import serve

    serve(spec, args.region)
    return 0
