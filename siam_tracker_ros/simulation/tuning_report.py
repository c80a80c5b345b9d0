"""What tuning found, as a table for people, as JSON and as a plot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from siam_tracker_ros.control.servo_config import ServoConfig
from siam_tracker_ros.simulation.tuning import Tuning


def tuning_table(tuning: Tuning) -> str:
    """RMS error (degrees) on the figure of eight by gain and latency; a star marks what is not stable."""
    head = "gain 1/s |" + "".join(f"{latency * 1e3:8.0f} ms" for latency in tuning.latencies)
    lines = [head, "-" * len(head)]
    for gain in tuning.gains:
        cells = [tuning.trial(gain, latency) for latency in tuning.latencies]
        texts = [f"{math.degrees(cell.pursuit):.2f}{' ' if cell.stable else '*'}" for cell in cells]
        lines.append(f"{gain:8g} |" + "".join(f"{text:>11}" for text in texts))
    largest = [f"{gain:g} " if gain is not None else "none " for gain in tuning.largest_stable]
    lines.append("  stable |" + "".join(f"{text:>11}" for text in largest) + "  up to this gain")
    return "\n".join(lines)


def recommended_parameters(tuning: Tuning, servo: ServoConfig) -> dict[str, float]:
    """Parameters of servo_node to set; empty where no gain is stable at every latency."""
    if tuning.recommended is None:
        return {}
    return {
        "proportional_gain": tuning.recommended,
        "integral_gain": servo.gains.integral,
        "feed_forward": servo.gains.feed_forward,
        "actuator_lag": servo.actuator_lag_s,
    }


def tuning_json(tuning: Tuning, servo: ServoConfig) -> dict[str, Any]:
    """Everything, angles in degrees."""
    return {
        "recommended": recommended_parameters(tuning, servo),
        "largest_stable_gain": [
            {"latency_s": latency, "gain": gain}
            for latency, gain in zip(tuning.latencies, tuning.largest_stable, strict=True)
        ],
        "trials": [
            {
                "gain": one.gain,
                "latency_s": one.latency,
                "stable": one.stable,
                "overshoot": one.overshoot,
                "residual_deg": math.degrees(one.residual),
                "residual_rate_deg_s": math.degrees(one.residual_rate),
                "figure_of_eight_rms_deg": math.degrees(one.pursuit),
            }
            for one in tuning.trials
        ],
    }


def plot_tuning(tuning: Tuning, path: Path) -> None:
    """Draw the map of gains and latencies as a picture (PNG by its name)."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    errors = np.array(
        [
            [math.degrees(tuning.trial(gain, latency).pursuit) for latency in tuning.latencies]
            for gain in tuning.gains
        ]
    )
    figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    image = axes.imshow(errors, origin="lower", aspect="auto", cmap="viridis_r")
    for row, gain in enumerate(tuning.gains):
        for column, latency in enumerate(tuning.latencies):
            one = tuning.trial(gain, latency)
            text = f"{errors[row, column]:.2f}" if one.stable else f"{errors[row, column]:.2f}\nnot stable"
            dark = errors[row, column] > (errors.min() + errors.max()) / 2
            axes.text(
                column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
            if not one.stable:
                axes.add_patch(
                    Rectangle(
                        (column - 0.5, row - 0.5), 1, 1, fill=False, hatch="//", edgecolor="red", alpha=0.6
                    )
                )
    if tuning.recommended is not None:
        row = tuning.gains.index(tuning.recommended)
        width = len(tuning.latencies)
        axes.add_patch(Rectangle((-0.5, row - 0.5), width, 1, fill=False, edgecolor="black", lw=2.5))
    axes.set_xticks(range(len(tuning.latencies)), [f"{latency * 1e3:.0f}" for latency in tuning.latencies])
    axes.set_yticks(range(len(tuning.gains)), [f"{gain:g}" for gain in tuning.gains])
    axes.set_xlabel("latency from exposure to track, ms")
    axes.set_ylabel("proportional gain, 1/s")
    axes.set_title("RMS error on the figure of eight, degrees; hatched: not stable; framed: recommended")
    figure.colorbar(image, label="degrees")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
