"""`siam-tracker train CONFIG`: train a model of the zoo, or go on with a run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "train a model of the zoo from a configuration file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("config", type=Path, help="training configuration, see config/train_*.yaml")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="make the store of frames or crops anew, even if there is one (unfinished crops: go on)",
    )
    parser.add_argument("--prepare-only", action="store_true", help="make the store and stop")


def run(args: argparse.Namespace) -> int:
    """Make the store if need be, then train; a run whose folder holds a checkpoint goes on from it."""
    from siam_tracker_ros.training.config import read_config
    from siam_tracker_ros.training.loop import train
    from siam_tracker_ros.training.prepare import has_store, prepare_store
    from siam_tracker_ros.training.target_store import StoreError

    config = read_config(args.config)
    prepares = args.prepare or args.prepare_only or not has_store(config.data)
    if prepares and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise StoreError(
            f"several processes cannot make {config.data.store} together: run "
            f"`siam-tracker train {args.config} --prepare-only` first, without torchrun"
        )
    if prepares:
        summary = prepare_store(config.data, remake=args.prepare)
        print(
            f"{config.data.store}: {summary.frames} frames, {summary.targets} targets ({summary.masks} with "
            f"masks) of {summary.tracks} tracks; {len(summary.skipped)} items skipped"
        )
    if args.prepare_only:
        return 0
    print(f"weights: {train(config)}")
    return 0
