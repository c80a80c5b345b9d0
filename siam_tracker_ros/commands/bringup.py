"""`siam-tracker bringup`: what the launch files start, without launch_ros."""

from __future__ import annotations

import argparse

from siam_tracker_ros.bringup.arguments import BringUpArguments, add_options, from_options

HELP = "start the tracker's nodes as the launch files do, where launch_ros is not installed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the launch files, and where images come from."""
    parser.description = (
        "Start the tracker and what is asked for around it, each a process of its own, with the arguments "
        "of the launch files; bring the lifecycle nodes to active; and stop everything in order when one of "
        "them ends, on Ctrl-C or SIGTERM. A second Ctrl-C makes haste. Exit status: 1 if a node failed (the "
        "last line says why), 130 after Ctrl-C, 143 after SIGTERM, 0 when the footage is over."
    )
    add_options(parser, BringUpArguments)


def run(args: argparse.Namespace) -> int:
    """Run until something ends; the exit status. Raises SiamTrackerError where a node failed."""
    from siam_tracker_ros.bringup.run import RunningGraph, RunOver
    from siam_tracker_ros.bringup.source_plan import plan_bringup

    plan = plan_bringup(from_options(BringUpArguments, args))
    graph = RunningGraph(plan, lambda line: print(line, flush=True))
    try:
        with graph:
            graph.activate()
            graph.wait()
    except RunOver as over:
        return over.exit_status
