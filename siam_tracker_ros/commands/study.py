"""`siam-tracker study NAME CONFIG`: small experiments that show why training is as it is."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

HELP = "small experiments that show why training is as it is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `study`."""
    studies = parser.add_subparsers(metavar="STUDY", required=True, dest="study")
    bias = studies.add_parser(
        "centre-bias",
        help="train a tiny padded network with shifts of 0, 16 and 32 px and draw its mean responses",
    )
    bias.add_argument("config", type=Path, help="training configuration, for its data; store made if need be")
    bias.add_argument("--out", type=Path, default=Path("centre_bias.png"), metavar="PNG", help="the figure")
    bias.add_argument("--shifts", type=int, nargs="+", default=None, metavar="PX", help="default: 0 16 32")
    bias.add_argument("--steps", type=int, default=400, help="steps of 16 pairs each (%(default)s)")
    bias.add_argument("--pairs", type=int, default=512, help="pairs averaged over (%(default)s)")
    bias.add_argument("--workers", type=int, help="processes that make samples")


def run(args: argparse.Namespace) -> int:
    """Train, print a table, draw the figure."""
    import torch
    from tqdm import tqdm

    from siam_tracker_ros.footage.whole_file import check_output_file
    from siam_tracker_ros.models.zoo import get_entry
    from siam_tracker_ros.training.centre_bias import SHIFTS, draw_figure, measure_bias
    from siam_tracker_ros.training.config import TrainConfigError, read_config
    from siam_tracker_ros.training.pairs import split_tracks
    from siam_tracker_ros.training.prepare import has_store, open_store, prepare_store

    check_output_file(args.out)
    if args.steps < 1 or args.pairs < 1 or min(args.shifts or SHIFTS) < 0:
        raise TrainConfigError("--steps and --pairs have to be 1 at least, --shifts 0 at least")
    config = read_config(args.config)
    workers = config.run.workers if args.workers is None else args.workers
    config = dataclasses.replace(config, batch_size=16, run=dataclasses.replace(config.run, workers=workers))
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    if not has_store(config.data):
        prepare_store(config.data)
    store = open_store(config.data)
    splits = split_tracks(store, config.data)
    tracking = get_entry(config.model).tracking
    shifts = args.shifts or list(SHIFTS)
    batches = args.steps + -(-args.pairs // config.batch_size)
    with tqdm(total=len(shifts) * batches, unit="batch", disable=None) as bar:
        biases = [
            measure_bias(store, splits, config, tracking, shift, args.steps, args.pairs, bar.update)
            for shift in shifts
        ]
    print("shift   found within 32 px of the centre   found farther out")
    for bias in biases:
        print(f"{bias.shift:5d}   {bias.found_near:33.2f}   {bias.found_far:17.2f}")
    draw_figure(biases, args.out)
    print(args.out)
    return 0
