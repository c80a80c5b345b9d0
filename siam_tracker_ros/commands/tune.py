"""`siam-tracker tune`: which servo gains a gimbal and a camera bear, found in simulation."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

HELP = "find servo gains for a gimbal and a camera, in simulation"

_GAINS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0)
_LATENCIES_MS = (0.0, 50.0, 100.0, 150.0, 200.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tune`."""
    parser.description = (
        "Close the servo's loop around a simulated gimbal, without images, for every gain at every latency: "
        "a step of the target shows what is stable, a figure of eight how well it follows. What does not "
        "vary is as servo_node has it by default."
    )
    many: dict[str, Any] = {"type": float, "nargs": "+", "metavar": "NUMBER"}
    parser.add_argument("--gains", default=list(_GAINS), help="proportional gains to try, 1/s", **many)
    parser.add_argument(
        "--latencies",
        default=list(_LATENCIES_MS),
        help="latencies from the exposure of an image to its track, ms (camera and tracker together)",
        **many,
    )
    one: dict[str, Any] = {"type": float, "metavar": "NUMBER"}
    parser.add_argument("--lag", default=50.0, help="time constant of the gimbal, ms (default 50)", **one)
    parser.add_argument(
        "--assumed-lag", default=None, help="what the servo takes it for, ms (default: what it is)", **one
    )
    parser.add_argument("--backlash", default=0.0, help="play of the gimbal, degrees (default 0)", **one)
    parser.add_argument("--integral", default=0.5, help="integral gain, 1/s^2 (default 0.5)", **one)
    parser.add_argument("--peak-rate", default=20.0, help="of the target, degrees/s (default 20)", **one)
    parser.add_argument("--frame-rate", default=30.0, help="images per second (default 30)", **one)
    parser.add_argument("--control-rate", default=50.0, help="control periods per second (default 50)", **one)
    parser.add_argument("--noise", default=0.5, help="noise of the tracks, px (default 0.5)", **one)
    parser.add_argument("--focal-length", default=600.0, help="of a 640x480 camera, px (default 600)", **one)
    parser.add_argument("--law", default="line_of_sight", choices=("line_of_sight", "image_based"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw it there (.png)")


def run(args: argparse.Namespace) -> int:
    """Try them all and say what is recommended; the exit status, 1 where no gain is stable."""
    from tqdm import tqdm

    from siam_tracker_ros.control.camera_model import camera_model
    from siam_tracker_ros.control.servo_config import ServoConfig
    from siam_tracker_ros.control.servo_law import ServoGains
    from siam_tracker_ros.simulation.closed_loop import LoopConfig
    from siam_tracker_ros.simulation.gimbal import GimbalConfig
    from siam_tracker_ros.simulation.tuning import summarise, trials
    from siam_tracker_ros.simulation.tuning_report import (
        plot_tuning,
        recommended_parameters,
        tuning_json,
        tuning_table,
    )

    focal = args.focal_length
    camera = camera_model(640, 480, "plumb_bob", (), (focal, 0, 319.5, 0, focal, 239.5, 0, 0, 1))
    lag = args.lag / 1e3
    servo = ServoConfig(
        gains=ServoGains(integral=args.integral),
        law=args.law,
        actuator_lag_s=lag if args.assumed_lag is None else args.assumed_lag / 1e3,
    )
    loop = LoopConfig(
        servo=servo,
        gimbal=GimbalConfig(lag_s=lag, backlash=math.radians(args.backlash)),
        noise_px=args.noise,
        frame_rate=args.frame_rate,
        control_rate=args.control_rate,
    )
    gains, latencies = sorted(set(args.gains)), sorted({ms / 1e3 for ms in args.latencies})
    each = trials(camera, loop, gains, latencies, math.radians(args.peak_rate))
    tuning = summarise(list(tqdm(each, total=len(gains) * len(latencies), unit="trial", disable=None)))

    print(
        "RMS error (degrees) on a figure of eight by gain and latency; *: overshoots or oscillates\n"
        f"gimbal {args.lag:g} ms, {args.frame_rate:g} images/s, target {args.peak_rate:g} degrees/s at most\n"
    )
    print(tuning_table(tuning))
    recommended = recommended_parameters(tuning, servo)
    if recommended:
        print("\nrecommended for these latencies, parameters of servo_node:")
        for name, value in recommended.items():
            print(f"  {name}: {value!r}")
    else:
        print(
            "\nno gain is recommended: of none that was tried, one and a half times as much is stable at "
            "every latency too; try smaller and larger ones"
        )
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(tuning_json(tuning, servo), indent=2) + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_tuning(tuning, args.plot)
    return 0 if recommended else 1
