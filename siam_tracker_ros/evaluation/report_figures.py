"""The plots of a report, each an SVG as a data URI, so that names within one do not meet those of another."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from siam_tracker_ros.evaluation.one_pass_metrics import (
    ERROR_THRESHOLDS,
    IOU_THRESHOLDS,
    NORMALISED_THRESHOLDS,
)
from siam_tracker_ros.evaluation.report_data import FOUND_IOU, TrackerReport

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#555555")
"""Of trackers in their order; told apart by most colour-blind people (Okabe and Ito)."""


def colour_of(index: int) -> str:
    """The colour of the tracker at `index`."""
    return COLOURS[index % len(COLOURS)]


def success_plot(reports: Sequence[TrackerReport]) -> str:
    """Part of the frames above each overlap; the number is the area under the curve."""
    return _curves(
        reports,
        IOU_THRESHOLDS,
        lambda report: report.success,
        lambda report: report.means["auc"],
        ("Success (AUC)", "overlap threshold", "part of the frames"),
    )


def precision_plot(reports: Sequence[TrackerReport]) -> str:
    """Part of the frames within each distance; the number is that at 20 px."""
    return _curves(
        reports,
        ERROR_THRESHOLDS,
        lambda report: report.precision,
        lambda report: report.means["precision20"],
        ("Precision (20 px)", "centre error, px", "part of the frames"),
    )


def norm_precision_plot(reports: Sequence[TrackerReport]) -> str:
    """Part of the frames within each part of the target's size; the number is the area."""
    return _curves(
        reports,
        NORMALISED_THRESHOLDS,
        lambda report: report.norm_precision,
        lambda report: report.means["norm_precision"],
        ("Normalised precision (AUC)", "centre error, parts of the size", "part of the frames"),
    )


def eao_plot(reports: Sequence[TrackerReport], experiment: str) -> str:
    """Expected average overlap by length of the sequence."""
    figure, axes = _figure(f"Expected average overlap, {experiment}", "frames", "overlap")
    for index, report in enumerate(reports):
        curve = report.eao_curves.get(experiment)
        if curve is not None:
            value = report.challenge.get(experiment, {}).get("eao", float("nan"))
            axes.plot(
                np.arange(1, len(curve)), curve[1:], color=colour_of(index), label=_label(report, value)
            )
    return _finished(figure, axes)


def reliability_plot(reports: Sequence[TrackerReport]) -> str:
    """How often a target was found that the tracker was so sure of; on the diagonal it was right."""
    figure, axes = _figure(
        "Confidence reliability (calibration error)", "confidence", f"IoU above {FOUND_IOU}"
    )
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for index, report in enumerate(reports):
        if len(report.reliability) > 1:
            x, y = ([getattr(each, name) for each in report.reliability] for name in ("confidence", "found"))
            axes.plot(
                x, y, marker="o", color=colour_of(index), label=_label(report, report.calibration_error)
            )
            axes.scatter(
                x,
                y,
                s=[
                    max(8.0, 400 * each.frames / sum(b.frames for b in report.reliability))
                    for each in report.reliability
                ],
                color=colour_of(index),
                alpha=0.3,
            )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _finished(figure, axes)


def latency_plot(reports: Sequence[TrackerReport]) -> str:
    """How long a frame took; the line is the median."""
    figure, axes = _figure("Time of a frame (median, ms)", "ms", "part of the frames")
    timed = [report.latencies_ms for report in reports if report.latencies_ms.size]
    if timed:
        top = max(float(np.percentile(times, 99)) for times in timed)
        edges = np.linspace(0, top * 1.05, 60)
        for index, report in enumerate(reports):
            if report.latencies_ms.size:
                weights = np.full(report.latencies_ms.size, 1 / report.latencies_ms.size)
                median = float(np.median(report.latencies_ms))
                axes.hist(
                    np.minimum(report.latencies_ms, edges[-1]),
                    edges,
                    weights=weights,
                    color=colour_of(index),
                    alpha=0.5,
                    label=f"{report.name}: {median:.1f}",
                )
                axes.axvline(median, color=colour_of(index), linewidth=1)
    return _finished(figure, axes)


def sequence_plot(reports: Sequence[TrackerReport]) -> str:
    """AUC of each sequence, trackers side by side, the hardest for the first tracker on the left."""
    names = sorted(reports[0].sequences, key=lambda name: np.nan_to_num(reports[0].sequences[name].auc))
    figure, axes = _figure("Success (AUC) by sequence", "", "AUC", width=max(6.0, 0.28 * len(names) + 1.5))
    slot = 0.8 / len(reports)
    for index, report in enumerate(reports):
        values = [report.sequences[name].auc if name in report.sequences else np.nan for name in names]
        places = np.arange(len(names)) - 0.4 + slot * (index + 0.5)
        axes.bar(places, values, width=slot, color=colour_of(index), label=report.name)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_ylim(0, 1)
    return _finished(figure, axes)


def _curves(
    reports: Sequence[TrackerReport],
    thresholds: Any,
    curve: Callable[[TrackerReport], Any],
    number: Callable[[TrackerReport], float | None],
    words: tuple[str, str, str],
) -> str:
    figure, axes = _figure(*words)
    ranked = sorted(enumerate(reports), key=lambda pair: -(number(pair[1]) or 0))
    for index, report in ranked:
        axes.plot(thresholds, curve(report), color=colour_of(index), label=_label(report, number(report)))
    axes.set_xlim(thresholds[0], thresholds[-1])
    axes.set_ylim(0, 1)
    return _finished(figure, axes)


def _figure(title: str, x: str, y: str, width: float = 4.6) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _label(report: TrackerReport, number: float | None) -> str:
    return report.name if number is None or np.isnan(number) else f"{report.name}: {number:.3f}"


def _finished(figure: Figure, axes: Any) -> str:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, framealpha=0.8)
    else:
        axes.text(0.5, 0.5, "nothing known", transform=axes.transAxes, ha="center", color="#777777")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(text.getvalue().encode()).decode()}"
