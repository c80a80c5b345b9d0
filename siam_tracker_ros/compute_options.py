"""Options of every sub-command that tracks: the device, and what runs the network on it."""

from __future__ import annotations

import argparse
from typing import Any

from siam_tracker_ros.engines.names import ENGINE_HELP, ENGINES, PRECISION_HELP, PRECISIONS


def add_compute_options(parser: argparse._ActionsContainer, default: str = "auto") -> None:
    """`--device`, `--engine` and `--precision`, each `default` where it is not given."""
    parser.add_argument("--device", default=default, metavar="DEVICE", help="auto, cpu, cuda or cuda:N")
    for name, names, text in (
        ("--engine", ENGINES, ENGINE_HELP),
        ("--precision", PRECISIONS, PRECISION_HELP),
    ):
        said = text[0].lower() + text[1:].rstrip(".")
        parser.add_argument(name, default=default, choices=names, help=said)


def compute_options(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of them, by name."""
    return {name: getattr(args, name) for name in ("device", "engine", "precision")}
