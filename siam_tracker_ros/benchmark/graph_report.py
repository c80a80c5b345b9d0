"""What `siam-tracker bench --ros` prints and stores of a measured tracker node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siam_tracker_ros.markdown_table import markdown_table

if TYPE_CHECKING:
    from siam_tracker_ros.benchmark.graph import GraphFigures


def graph_markdown(figures: GraphFigures, size: str) -> str:
    """Images, a table of times by name, memory."""
    times = figures.percentiles()
    rows = [[name, f"{p50:.2f} ms", f"{p95:.2f} ms"] for name, (p50, p95) in times.items()]
    start, end = _memory(figures)
    return (
        f"{figures.published} images of {size} in {figures.seconds:.0f} s, {figures.tracked} tracked in, "
        f"{figures.dropped} passed over, {figures.lost} lost\n\n"
        f"{markdown_table(['time', 'p50', 'p95'], rows)}\n\n"
        f"memory of the node: {start:.1f} MiB at the start, {end:.1f} MiB at the end "
        f"({figures.memory_slope():+.2f} MiB a minute)"
    )


def graph_json(figures: GraphFigures) -> dict[str, Any]:
    """The same as plain values."""
    start, end = _memory(figures)
    return {
        "images": {name: getattr(figures, name) for name in ("published", "tracked", "dropped", "lost")},
        "seconds": figures.seconds,
        "ms": {name: {"p50": p50, "p95": p95} for name, (p50, p95) in figures.percentiles().items()},
        "memory_mib": {"start": start, "end": end, "slope_per_minute": figures.memory_slope()},
    }


def _memory(figures: GraphFigures) -> tuple[float, float]:
    return figures.memory[0][1], figures.memory[-1][1]
