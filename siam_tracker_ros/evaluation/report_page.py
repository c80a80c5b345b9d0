"""The report as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from siam_tracker_ros.evaluation import report_figures as figures
from siam_tracker_ros.evaluation.report_clips import MomentClip
from siam_tracker_ros.evaluation.report_data import TrackerReport

_COLUMNS = {
    "auc": ("AUC", "area under the success curve, OTB"),
    "precision20": ("P20", "centre within 20 px, OTB"),
    "norm_precision": ("NP", "area under the normalised precision curve up to 0.5, TrackingNet"),
    "norm_precision20": ("NP.2", "centre within a fifth of the target's size"),
    "ao": ("AO", "mean overlap, GOT-10k"),
    "sr50": ("SR.5", "overlap above 0.5, GOT-10k"),
    "sr75": ("SR.75", "overlap above 0.75, GOT-10k"),
    "iou": ("IoU", "mean overlap after the first frame"),
    "mask_iou": ("J", "region similarity of the masks, DAVIS"),
    "contour": ("F", "contour accuracy of the masks, DAVIS"),
    "j_and_f": ("J&F", "mean of the two, DAVIS"),
    "fps": ("FPS", "frames a second of tracking alone, on the machine that ran it"),
}
_EXPERIMENTS = {
    "supervised": "With restarts (VOT2016 to VOT2019)",
    "anchored": "From anchors (VOT2020 on)",
    "longterm": "Long-term (VOT-LT)",
}


def report_page(
    reports: Sequence[TrackerReport],
    clips: Mapping[str, Sequence[MomentClip]],
    title: str,
    subtitle: str,
) -> str:
    """The page of some trackers' reports, with clips of worst moments by tracker."""
    template = resources.files("siam_tracker_ros.evaluation").joinpath("report.html.jinja")
    # Names of sequences and trackers are file names: they are shown as they are, not run.
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    colours = {report.name: figures.colour_of(index) for index, report in enumerate(reports)}
    plots = [
        figures.success_plot(reports),
        figures.precision_plot(reports),
        figures.norm_precision_plot(reports),
        *(
            figures.eao_plot(reports, experiment)
            for experiment in _EXPERIMENTS
            if any(experiment in report.eao_curves for report in reports)
        ),
        figures.reliability_plot(reports),
        figures.latency_plot(reports),
    ]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        title=title,
        subtitle=subtitle,
        columns=[{"title": short, "told": told} for short, told in _COLUMNS.values()],
        rows=_mean_rows(reports, colours),
        challenges=_challenges(reports, colours),
        plots=plots,
        by_sequence=figures.sequence_plot(reports),
        attributes=_attributes(reports),
        sequences=[
            {
                "sequence": name,
                "name": report.name,
                "colour": colours[report.name],
                "cells": [_text(asdict(report.sequences[name])[key], key) for key in _COLUMNS],
            }
            for name in dict.fromkeys(name for report in reports for name in report.sequences)
            for report in reports
            if name in report.sequences
        ],
        moments=[
            {"name": report.name, "clips": _clips(index, clips[report.name])}
            for index, report in enumerate(reports)
            if clips.get(report.name)
        ],
    )


def _mean_rows(reports: Sequence[TrackerReport], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    best = {
        key: max((value for report in reports if (value := report.means[key]) is not None), default=None)
        for key in _COLUMNS
    }
    return [
        {
            "name": report.name,
            "colour": colours[report.name],
            "cells": [
                {
                    "text": _text(report.means[key], key),
                    "best": len(reports) > 1 and best[key] is not None and report.means[key] == best[key],
                }
                for key in _COLUMNS
            ],
        }
        for report in reports
    ]


def _challenges(reports: Sequence[TrackerReport], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    tables = []
    for experiment, title in _EXPERIMENTS.items():
        measured = {
            report.name: report.challenge[experiment] for report in reports if experiment in report.challenge
        }
        if measured:
            columns = list(next(iter(measured.values())))
            rows = [
                {
                    "name": name,
                    "colour": colours[name],
                    "cells": [_text(values[column], column) for column in columns],
                }
                for name, values in measured.items()
            ]
            tables.append({"title": title, "columns": columns, "rows": rows})
    return tables


def _attributes(reports: Sequence[TrackerReport]) -> dict[str, Any]:
    names = sorted({name for report in reports for name in report.attributes})
    rows = []
    for name in names:
        counts = [report.attributes[name][0] for report in reports if name in report.attributes]
        aucs = [report.attributes[name][1] if name in report.attributes else None for report in reports]
        rows.append([name, str(max(counts)), *[_text(auc, "auc") for auc in aucs]])
    return {"trackers": [report.name for report in reports], "rows": rows}


def _clips(index: int, clips: Sequence[MomentClip]) -> list[dict[str, str]]:
    return [
        {
            "id": f"moment-{index}-{number}",
            "picture": each.picture,
            "clip": each.clip,
            "sequence": each.moment.sequence,
            "frame": str(each.moment.frame),
            "overlap": f"{each.moment.overlap:.2f}",
        }
        for number, each in enumerate(clips)
    ]


def _text(value: float | None, key: str) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.1f}" if key == "fps" else f"{value:.3f}"
