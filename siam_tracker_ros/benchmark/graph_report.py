"""What `siam-tracker bench --ros` prints and stores of measured tracker nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siam_tracker_ros.markdown_table import markdown_table

if TYPE_CHECKING:
    from siam_tracker_ros.benchmark.graph import GraphFigures

_COLUMNS = (
    "nodes", "images", "images/s", "stamp to tracks, p50", "p99",
    "transport", "queue", "crop", "network", "decode", "delivery",
    "passed over", "lost", "memory",
)  # fmt: skip


def graph_markdown(measured: Sequence[GraphFigures]) -> str:
    """A row for each run; stages are medians, ms."""
    return markdown_table(list(_COLUMNS), [_row(one) for one in measured])


def _row(figures: GraphFigures) -> list[str]:
    from siam_tracker_ros.benchmark.graph import TIMES, TOTAL

    times = figures.percentiles(50, 99)
    run = figures.run
    total_p50, total_p99 = times[TOTAL]
    return [
        "composed" if run.composed else "separate",
        f"{run.width}x{run.height}",
        f"{run.rate:g}",
        f"{total_p50:.1f} ms",
        f"{total_p99:.1f} ms",
        *(f"{times[name][0]:.2f}" for name in TIMES),
        f"{figures.dropped} of {figures.published}",
        str(figures.lost),
        f"{figures.memory[-1][1]:.0f} MiB",
    ]


def graph_json(figures: GraphFigures) -> dict[str, Any]:
    """A run as plain values."""
    run = figures.run
    return {
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
