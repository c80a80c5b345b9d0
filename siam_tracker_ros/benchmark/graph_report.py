"""What `siam-tracker bench --ros` prints and stores of measured tracker nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siam_tracker_ros.benchmark.machine import Machine
from siam_tracker_ros.markdown_table import markdown_table

if TYPE_CHECKING:
    from siam_tracker_ros.benchmark.graph import GraphFigures

TIMES = ("transport", "queue", "preprocess", "inference", "postprocess", "delivery")
"""What an image's time is made of: footage.latency's stages, then the way of its tracks to who listens."""
TOTAL = "stamp to tracks"
_COLUMNS = (
    "nodes", "images", "images/s", "stamp to tracks, p50", "p99",
    "transport", "queue", "crop", "network", "decode", "delivery",
    "passed over", "lost", "memory",
)  # fmt: skip

Stored = Mapping[str, Any]
"""A run of the command as plain values: `machine`, and `nodes` of one mapping a row."""


def graph_run(machine: Machine, measured: Sequence[GraphFigures]) -> Stored:
    """A run as it is stored."""
    return {"machine": asdict(machine), "nodes": [_values(one) for one in measured]}


def read_graph_run(path: Path) -> Stored:
    """A stored run."""
    stored: Stored = json.loads(path.read_text(encoding="utf-8"))
    return stored


def graph_markdown(run: Stored) -> str:
    """The machine, and a row for each that was measured; stages are medians, ms."""
    lines = Machine(**run["machine"]).lines()
    networks = dict.fromkeys(node["network"] for node in run["nodes"])
    table = markdown_table(list(_COLUMNS), [_row(one) for one in run["nodes"]])
    return "\n".join((*lines, *networks, "", table))


def _row(node: Stored) -> list[str]:
    times, images = node["ms"], node["images"]
    return [
        "composed" if node["composed"] else "separate",
        "x".join(map(str, node["size"])),
        f"{node['rate']:g}",
        f"{times[TOTAL]['p50']:.1f} ms",
        f"{times[TOTAL]['p99']:.1f} ms",
        *(f"{times[name]['p50']:.2f}" for name in TIMES),
        f"{images['dropped']} of {images['published']}",
        str(images["lost"]),
        f"{node['memory_mib']['end']:.0f} MiB",
    ]


def _values(figures: GraphFigures) -> dict[str, Any]:
    run = figures.run
    return {
        "network": figures.network,
        "composed": run.composed,
        "size": [run.width, run.height],
        "rate": run.rate,
        "images": {name: getattr(figures, name) for name in ("published", "tracked", "dropped", "lost")},
        "seconds": figures.seconds,
        "ms": {
            name: dict(zip(("p50", "p95", "p99"), values, strict=True))
            for name, values in figures.percentiles(50, 95, 99).items()
        },
        "memory_mib": {
            "start": figures.memory[0][1],
            "end": figures.memory[-1][1],
            "slope_per_minute": figures.memory_slope(),
        },
    }
