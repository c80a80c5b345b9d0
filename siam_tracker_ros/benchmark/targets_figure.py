"""What several targets cost: a picture of the time of a frame, and of the time for each target in it."""

from __future__ import annotations

from pathlib import Path

from siam_tracker_ros.benchmark.measurement import Run
from siam_tracker_ros.errors import SiamTrackerError


class FigureError(SiamTrackerError):
    """A run that has nothing to draw."""


def cost_by_targets(run: Run) -> dict[str, list[tuple[int, float]]]:
    """For each curve, named after what varies, pairs of number of targets and median time, ms, in order."""
    configurations = [each.configuration for each in run.measurements]
    several_models = len({configuration.model for configuration in configurations}) > 1
    several_sizes = len({configuration.size for configuration in configurations}) > 1
    curves: dict[str, list[tuple[int, float]]] = {}
    for each in run.measurements:
        configuration = each.configuration
        name = configuration.runner
        if several_models:
            name = f"{configuration.model}, {name}"
        if several_sizes:
            name += f", {configuration.size}"
        curves.setdefault(name, []).append((configuration.targets, each.median_ms))
    return {name: sorted(points) for name, points in curves.items()}


def draw_cost_by_targets(run: Run, path: Path) -> None:
    """Draw the curves to a picture (.png, .svg or .pdf). Raises FigureError without several numbers."""
    curves = {name: points for name, points in cost_by_targets(run).items() if len(points) > 1}
    if not curves:
        raise FigureError("a figure shows several numbers of targets: give --targets 1 2 4 8 16")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (whole, each) = pyplot.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    for name, points in curves.items():
        counts = [count for count, _ in points]
        (line,) = whole.plot(counts, [ms for _, ms in points], marker="o", label=name)
        each.plot(counts, [ms / count for count, ms in points], marker="o", color=line.get_color())
        if counts[0] == 1:
            ends = (counts[0], counts[-1])
            whole.plot(ends, [count * points[0][1] for count in ends], ":", color=line.get_color(), alpha=0.6)
    whole.plot([], [], ":", color="gray", label="so many times one target")
    ticks = sorted({count for points in curves.values() for count, _ in points})
    for axes, title in ((whole, "time of a frame, ms"), (each, "time a target, ms")):
        axes.set_xticks(ticks)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("targets")
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    whole.legend(frameon=False, fontsize=9)
    models = sorted({m.configuration.model for m in run.measurements})
    sizes = sorted({m.configuration.size for m in run.measurements})
    device = (
        run.machine.gpus[0] if run.settings.device != "cpu" and run.machine.gpus else run.machine.processor
    )
    threads = f", {run.settings.threads} threads" if run.settings.device == "cpu" else ""
    shared = [*(models if len(models) == 1 else []), *(sizes if len(sizes) == 1 else [])]
    figure.suptitle(f"{', '.join([*shared, device])}{threads}", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
