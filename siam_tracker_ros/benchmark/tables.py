"""A run of `bench` as Markdown: where it was measured, the figures, and what could not be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from siam_tracker_ros.benchmark.configuration import OPENCV, PYSOT, Configuration
from siam_tracker_ros.benchmark.measurement import Measurement, NotMeasured, Run
from siam_tracker_ros.markdown_table import markdown_table

# Beyond it figures say more of what else ran than of the trackers.
BUSY_SHARE = 0.05
# p99 of fewer frames is next to the slowest of them.
_FRAMES_FOR_P99 = 100

_STAGES = {"preprocess": "crop", "inference": "network", "postprocess": "decode"}


def run_markdown(run: Run, details: bool = True) -> str:
    """The whole report. Where a model's engines took turns, a row for each is among the `details`."""
    side_by_side = run.settings.turns and not any(m.configuration.engine == OPENCV for m in run.measurements)
    tables = [turns_table(run)] if side_by_side else []
    if details or not tables:
        tables.append(matrix_table(run))
    parts = [run_heading(run), *tables, *notes(run)]
    return "\n\n".join(part for part in parts if part)


def run_heading(run: Run) -> str:
    """Machine, versions, date, and what all rows have in common."""
    machine, settings = run.machine, run.settings
    common = [_counted(settings.threads, "thread"), f"device {settings.device}"]
    for name, show in _VARIED.items():
        shown = {show(each.configuration) for each in run.measurements}
        if len(shown) == 1:
            common.append(_COMMON[name](shown.pop()))
    how = "taking turns frame by frame" if settings.turns else "each in a process of its own"
    return "\n".join(
        [
            *(f"{line}." for line in machine.lines()),
            f"{machine.date}: whole track() calls, {', '.join(common)}; {how}, up to "
            f"{_counted(settings.frames, 'frame')} or {settings.seconds:g} s after a warm-up.",
        ]
    )


_VARIED: dict[str, Callable[[Configuration], str]] = {
    "frame": lambda c: c.size,
    "targets": lambda c: str(c.targets),
}
_COMMON: dict[str, Callable[[str], str]] = {
    "frame": lambda size: size,
    "targets": lambda count: _counted(int(count), "target"),
}


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def varied_columns(configurations: Iterable[Configuration]) -> dict[str, Callable[[Configuration], str]]:
    """Frame size and number of targets, where they are not the same in all."""
    configurations = list(configurations)
    return {
        name: show
        for name, show in _VARIED.items()
        if len({show(configuration) for configuration in configurations}) > 1
    }


def matrix_table(run: Run) -> str:
    """A row for each measurement."""
    if not run.measurements:
        return ""
    varied = varied_columns(each.configuration for each in run.measurements)
    columns: dict[str, Callable[[Measurement], str]] = {
        "model": lambda m: m.configuration.model,
        "runs on": runner_of,
        **{name: lambda m, show=show: show(m.configuration) for name, show in varied.items()},  # type: ignore[misc]
        "median": lambda m: f"{m.median_ms:.1f} ms",
        "p99": lambda m: f"{m.p99_ms:.1f} ms",
        "FPS": lambda m: f"{m.fps:.1f}",
    }
    if any(each.configuration.engine == PYSOT for each in run.measurements):
        columns["to PySOT"] = lambda m: _times_as_fast(m, run)
    if any(each.stages for each in run.measurements):
        columns[" + ".join(_STAGES.values())] = _stages
    if any(each.memory for each in run.measurements):
        columns["memory (peak)"] = _memory
    if any(each.memory and each.memory.gpu for each in run.measurements):
        columns["GPU memory"] = _gpu_memory
    if any(each.energy for each in run.measurements):
        columns["energy a frame"] = _energy
    if any(each.roof for each in run.measurements):
        columns["of the roofline"] = _roof
    if run.scores:
        columns["mean IoU"] = lambda m: _score(m, run.scores)
    return _table(columns, run.measurements)


def runner_of(measurement: Measurement) -> str:
    """What ran it, with the precision that it took."""
    configuration = measurement.configuration
    return replace(configuration, engine=measurement.engine, precision=measurement.precision).runner


def _stages(measurement: Measurement) -> str:
    if not measurement.stages:
        return "-"
    return " + ".join(f"{measurement.stages[name]:.1f}" for name in _STAGES) + " ms"


def _memory(measurement: Measurement) -> str:
    memory = measurement.memory
    return f"{memory.added:.0f} ({memory.peak:.0f}) MiB" if memory else "-"


def _gpu_memory(measurement: Measurement) -> str:
    memory = measurement.memory
    return f"{memory.gpu:.0f} MiB" if memory and memory.gpu is not None else "-"


def _energy(measurement: Measurement) -> str:
    energy = measurement.energy.items()
    return " + ".join(f"{joules:.3g} J {name}" for name, joules in energy) or "-"


def _roof(measurement: Measurement) -> str:
    roof = measurement.roof
    return f"{100 * roof.share:.0f} % ({roof.bound})" if roof else "-"


def _score(measurement: Measurement, scores: Mapping[str, float]) -> str:
    """That of the tracker with this engine and precision, else that of the tracker."""
    # `siam-tracker eval` names files and folders so.
    model = measurement.configuration.model.replace(":", "-")
    value = scores.get(f"{model}-{measurement.engine}-{measurement.precision}", scores.get(model))
    return f"{value:.3f}" if value is not None else "-"


def turns_table(run: Run) -> str:
    """A row for each model, a column for each that ran it; ratios are to PySOT's time in the same turns."""
    groups: dict[tuple[str, str, int], dict[str, Measurement]] = {}
    for each in run.measurements:
        configuration = each.configuration
        key = (configuration.model, configuration.size, configuration.targets)
        groups.setdefault(key, {})[runner_of(each)] = each
    if not groups:
        return ""
    names = dict.fromkeys(runner_of(each) for each in run.measurements)
    varied = varied_columns(each.configuration for each in run.measurements)
    columns: dict[str, Callable[[dict[str, Measurement]], str]] = {
        "model": lambda group: _one(group).configuration.model,
        **{
            name: lambda group, show=show: show(_one(group).configuration)  # type: ignore[misc]
            for name, show in varied.items()
        },
        **{f"{name}, FPS": lambda group, name=name: _against(group, name) for name in names},  # type: ignore[misc]
    }
    return _table(columns, list(groups.values()))


def _one(group: Mapping[str, Measurement]) -> Measurement:
    return next(iter(group.values()))


def _against(group: Mapping[str, Measurement], runner: str) -> str:
    measurement = group.get(runner)
    if measurement is None:
        return "-"
    pysot = next((each for each in group.values() if each.configuration.engine == PYSOT), measurement)
    fps = f"{measurement.fps:.1f}"
    return fps if pysot is measurement else f"{fps} ({_ratio(pysot, measurement)})"


def _ratio(pysot: Measurement, measurement: Measurement) -> str:
    return f"{pysot.median_ms / measurement.median_ms:.2f}x"


def _times_as_fast(measurement: Measurement, run: Run) -> str:
    theirs = replace(measurement.configuration, engine=PYSOT, precision="fp32")
    pysot = next((each for each in run.measurements if each.configuration == theirs), measurement)
    return "" if pysot is measurement else _ratio(pysot, measurement)


def _table(columns: Mapping[str, Callable[[Any], str]], rows: Sequence[Any]) -> str:
    return markdown_table(list(columns), [[show(row) for show in columns.values()] for row in rows])


def notes(run: Run) -> list[str]:
    """What has to be known to read the table: paragraphs."""
    told = []
    for name, others in run.stands_for.items():
        told.append(f"{name} stands for {', '.join(others)} too: the same network.")
    if any(each.memory for each in run.measurements):
        told.append(
            "Memory: what the tracker and tracking added to a process that had loaded PyTorch and OpenCV "
            "(peak: the whole process)."
        )
    if not run.settings.turns and run.energy_note:
        told.append(f"{run.energy_note[0].upper()}{run.energy_note[1:]}.")
    if any(each.roof for each in run.measurements):
        told.append(
            "Roofline: the time that the operations of direct convolutions or the bytes of weights and crops "
            "take at the device's measured rates, over the median."
        )
    fewest = min((each.frames for each in run.measurements), default=_FRAMES_FOR_P99)
    if not run.settings.turns and fewest < _FRAMES_FOR_P99:
        told.append(f"Rows of as few as {fewest} frames: their p99 is next to the slowest frame.")
    if run.unfinished:
        told.append(f"Interrupted: {run.unfinished} more were not measured.")
    busy = busy_warning(run)
    if busy:
        told.append(busy)
    paragraphs = ["\n".join(told)] if told else []
    if run.not_measured:
        paragraphs.append("Not measured:\n" + "\n".join(_reasons(run.not_measured)))
    return paragraphs


def busy_warning(run: Run) -> str:
    """One sentence where others kept the machine busy; else nothing."""
    if run.others_share <= BUSY_SHARE:
        return ""
    return (
        f"Warning: other processes took {100 * run.others_share:.0f} % of the processors meanwhile (load "
        f"average {run.machine.load_average:g} at the start): these figures are too slow."
    )


def _reasons(not_measured: Sequence[NotMeasured]) -> list[str]:
    """A line for each reason and runner, with the models it is the reason for."""
    models: dict[tuple[str, str], dict[str, None]] = {}
    for each in not_measured:
        configuration = each.configuration
        runner = configuration.runner if configuration.engine != OPENCV else configuration.model
        models.setdefault((runner, each.reason), {})[configuration.model] = None
    lines = []
    for (runner, reason), named in models.items():
        of = "" if runner in named else f" of {_list(list(named))}"
        lines.append(f"- {runner}{of}: {reason}")
    return lines


def _list(names: Sequence[str], most: int = 3) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
