"""Two runs beside each other."""

from __future__ import annotations

from collections.abc import Callable

from siam_tracker_ros.benchmark.measurement import Measurement, Run
from siam_tracker_ros.benchmark.tables import runner_of, varied_columns
from siam_tracker_ros.markdown_table import markdown_table


def comparison_markdown(now: Run, before: Run) -> str:
    """What both measured, with ratios (above 1: faster now), and warnings where they cannot be compared."""
    older = {each.configuration: each for each in before.measurements}
    pairs = [(each, older[each.configuration]) for each in now.measurements if each.configuration in older]
    parts = [f"Compared with the run of {before.machine.date or 'an unknown day'}:", *_warnings(now, before)]
    if pairs:
        parts.append(_table(pairs))
    else:
        parts.append("They have no configuration in common.")
    newer = {each.configuration for each in now.measurements}
    for configurations, which in ((newer - set(older), "this"), (set(older) - newer, "the stored")):
        if configurations and pairs:
            count = len(configurations)
            counted = "1 configuration was" if count == 1 else f"{count} configurations were"
            parts.append(f"{counted} measured in {which} run alone.")
    return "\n\n".join(parts)


def _warnings(now: Run, before: Run) -> list[str]:
    differences = now.machine.differences(before.machine)
    for name in ("threads", "device", "turns"):
        one, other = getattr(now.settings, name), getattr(before.settings, name)
        if one != other:
            differences.append(f"{name}: {one}, then {other}")
    if not differences:
        return []
    return [
        "Warning: not the same machine, versions or settings:\n" + "\n".join(f"- {d}" for d in differences)
    ]


def _table(pairs: list[tuple[Measurement, Measurement]]) -> str:
    varied = varied_columns(one.configuration for one, _ in pairs)
    columns: dict[str, Callable[[Measurement, Measurement], str]] = {
        "model": lambda m, _: m.configuration.model,
        "runs on": lambda m, _: runner_of(m),
        **{name: lambda m, _, show=show: show(m.configuration) for name, show in varied.items()},  # type: ignore[misc]
        "median": lambda m, _: f"{m.median_ms:.1f} ms",
        "then": lambda _, m: f"{m.median_ms:.1f} ms",
        "ratio": lambda m, other: f"{other.median_ms / m.median_ms:.2f}x",
        "p99": lambda m, _: f"{m.p99_ms:.1f} ms",
        "p99 then": lambda _, m: f"{m.p99_ms:.1f} ms",
        "memory": lambda m, other: _memories(m, other),
    }
    if not any(m.memory and other.memory for m, other in pairs):
        del columns["memory"]
    return markdown_table(list(columns), [[show(*pair) for show in columns.values()] for pair in pairs])


def _memories(now: Measurement, before: Measurement) -> str:
    if now.memory is None or before.memory is None:
        return "-"
    return f"{now.memory.added:.0f}, then {before.memory.added:.0f} MiB"
