"""The plot of a run on the simulated gimbal: bearing error, rates, confidence and state over time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from siam_tracker_ros.control.supervisor import ServoState
from siam_tracker_ros.demo.follow_measures import FollowMeasures

_COLOURS = {
    ServoState.DISARMED: "0.85",
    ServoState.ARMED: "#cfe8cf",
    ServoState.COASTING: "#ffe3a8",
    ServoState.HOLDING: "#d8d0ee",
    ServoState.FAULT: "#f3b8b8",
}


def plot_follow(measures: FollowMeasures, path: Path, title: str) -> None:
    """Draw it as a picture (PNG by its name)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    samples = measures.record.samples
    # Time counts from when the target sets out.
    t = measures.record.t - measures.set_out
    figure = Figure(figsize=(12, 9), layout="constrained")
    error, azimuth, elevation, confidence = figure.subplots(4, 1, sharex=True, height_ratios=[3, 3, 2, 1.4])

    error.plot(t, np.degrees(measures.record.error), color="black", lw=1)
    rms, p95 = measures.pursuit_in_sight.rms(), measures.pursuit_in_sight.percentile(95)
    error.axhline(
        math.degrees(rms), color="tab:blue", ls="--", lw=1, label=f"RMS in sight {math.degrees(rms):.2f}°"
    )
    error.axhline(
        math.degrees(p95), color="tab:orange", ls="--", lw=1, label=f"95 % {math.degrees(p95):.2f}°"
    )
    error.set_ylabel("bearing error, °")
    # Room for the legend.
    error.set_ylim(0, 1.35 * math.degrees(max(measures.record.error.max(), 1e-3)))
    for axes, name, index in ((azimuth, "azimuth (left)", 0), (elevation, "elevation (up)", 1)):
        for label, series, style in (
            ("target", [one.target_rates for one in samples], {"color": "0.55", "lw": 2.5}),
            ("commanded", [one.commanded for one in samples], {"color": "tab:red", "lw": 1}),
            ("gimbal", [one.camera_rates for one in samples], {"color": "tab:blue", "lw": 1}),
        ):
            axes.plot(t, np.degrees([rates[index] for rates in series]), label=label, **style)
        axes.set_ylabel(f"{name}, °/s")
    confidence.plot(t, [one.confidence for one in samples], color="tab:green", lw=1)
    confidence.set_ylabel("confidence")
    confidence.set_ylim(-0.05, 1.05)
    confidence.set_xlabel("time since the target set out, s")

    for axes in (error, azimuth, elevation, confidence):
        for state, start, end in _spans(t, [one.state for one in samples]):
            axes.axvspan(start, end, color=_COLOURS[state], lw=0)
        for one in measures.occlusions:
            for at in (one.start, one.end):
                axes.axvline(at - measures.set_out, color="0.3", ls=":", lw=1)
        axes.axvline(0.0, color="black", lw=0.8)
        axes.grid(alpha=0.3)
        axes.margins(x=0)
    seen = dict.fromkeys(one.state for one in samples)
    states = [Patch(color=_COLOURS[state], label=state.name) for state in seen]
    error.legend(handles=[*error.get_legend_handles_labels()[0], *states], loc="upper right", ncols=3)
    azimuth.legend(loc="upper right", ncols=3)
    error.set_title(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_figure(path, dpi=110)


def _spans(t: np.ndarray, states: list[ServoState]) -> list[tuple[ServoState, float, float]]:
    """Each stretch of one state with its start and end, s."""
    starts = [0, *(number for number in range(1, len(states)) if states[number] != states[number - 1])]
    ends = [*starts[1:], len(states) - 1]
    return [(states[a], float(t[a]), float(t[b])) for a, b in zip(starts, ends, strict=True)]
