"""Several nodes in one process, images handed over between them as they are.

    composed_nodes --node overlay_node [ROS arguments] --node tracker_node [ROS arguments] ...

Each node gets the ROS arguments that follow its name, as it would in a process of its own; arguments before
the first `--node` are the process's. `--activate NAME...` brings lifecycle nodes to active, in turn.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from rclpy.exceptions import ParameterException

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.client_node import ACTIVATE_S, CONFIGURE_S, ClientNode, TransitionFailedError
from siam_tracker_ros.nodes.image_exchange import ImageExchange
from siam_tracker_ros.nodes.node_process import Member, run_nodes, until_told

NAME = "composed_nodes"
_NODE = "--node"


@dataclass(frozen=True)
class _Kind:
    """A class in the module of the node's name; `images` says that it reads or publishes them."""

    node: str
    meanwhile: str = ""
    images: bool = True


COMPOSABLE = {
    "overlay_node": _Kind("OverlayNode"),
    "tracker_node": _Kind("TrackerNode"),
    "servo_node": _Kind("ServoNode", images=False),
    "video_source_node": _Kind("VideoSourceNode", "until_over"),
    "gimbal_sim_node": _Kind("GimbalSimNode", "simulate"),
    "still_camera_node": _Kind("StillCameraNode", "play"),
}
"""Nodes that can be composed."""


class CompositionError(SiamTrackerError):
    """Nodes that cannot be composed."""


class _ToldToEndError(SiamTrackerError):
    """The process ends while nodes are being activated."""


def member(executable: str, arguments: Sequence[str], exchange: ImageExchange) -> Member:
    """A node with ROS arguments of its own, whose errors have its name. Raises CompositionError."""
    kind = COMPOSABLE.get(executable)
    if kind is None:
        raise CompositionError(f"{executable} is none of the nodes that compose: {', '.join(COMPOSABLE)}")
    module = importlib.import_module(f"siam_tracker_ros.nodes.{executable}")
    node = getattr(module, kind.node)
    options: dict[str, Any] = {"cli_args": list(arguments), "use_global_arguments": False}
    if kind.images:
        options["exchange"] = exchange
    meanwhile = getattr(node, kind.meanwhile) if kind.meanwhile else until_told

    def make() -> Any:
        try:
            return node(**options)
        except (ParameterException, SiamTrackerError, RuntimeError) as error:
            raise CompositionError(f"{executable}: {error}") from error

    def wait(made: Any, stop: threading.Event) -> int:
        try:
            return int(meanwhile(made, stop))
        except SiamTrackerError as error:
            raise CompositionError(f"{executable}: {error}") from error

    return Member(make, wait)


def activate(names: Sequence[str], nodes: Sequence[Any], stop: threading.Event) -> int:
    """Bring the named ones of `nodes` to active, then wait for `stop`. Raises what a node failed with."""

    def going_on() -> None:
        if stop.is_set():
            raise _ToldToEndError("told to end")

    try:
        with ClientNode("bringup", going_on=going_on) as client:
            for name in names:
                node = next(one for one in nodes if one.get_name() == name)
                try:
                    client.change_state(node.get_fully_qualified_name(), "configure", CONFIGURE_S)
                    client.change_state(node.get_fully_qualified_name(), "activate", ACTIVATE_S)
                except TransitionFailedError as error:
                    raise CompositionError(f"{name}: {node.trouble or error}") from None
                print(f"{node.get_fully_qualified_name()} is active", flush=True)
    except _ToldToEndError:
        return 0
    stop.wait()
    return 0


def split(words: Sequence[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The process's own arguments, and each node's name with its arguments."""
    starts = [at for at, word in enumerate(words) if word == _NODE] + [len(words)]
    nodes = [(words[start + 1], list(words[start + 2 : end])) for start, end in pairwise(starts)]
    return list(words[: starts[0]]), nodes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the nodes until one of them ends, or they are told to; the exit status."""
    own, nodes = split(list(sys.argv[1:] if argv is None else argv))
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument("--activate", nargs="*", default=[], metavar="NAME", help="lifecycle nodes, in order")
    parser.add_argument("--log-level", default="info", help="least severity that nodes log")
    args = parser.parse_args(own)
    exchange = ImageExchange()
    try:
        members = [member(executable, arguments, exchange) for executable, arguments in nodes]
        if not members:
            raise CompositionError(f"no node is named: {_NODE} NAME")
    except CompositionError as error:
        parser.error(str(error))
    beside: Callable[[list[Any], threading.Event], int] | None = None
    if args.activate:
        beside = partial(activate, args.activate)
    return run_nodes(members, [NAME, "--ros-args", "--log-level", args.log_level], beside)


if __name__ == "__main__":
    sys.exit(main())
