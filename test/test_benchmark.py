"""What `siam-tracker bench` is made of, where no tracker has to run."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from siam_tracker_ros.benchmark.comparison import comparison_markdown
from siam_tracker_ros.benchmark.configuration import OPENCV, PYSOT, Configuration, Matrix, runners
from siam_tracker_ros.benchmark.contention import cpu_clock
from siam_tracker_ros.benchmark.energy import find_meters, per_frame, smi_watts, tegrastats_watts
from siam_tracker_ros.benchmark.machine import Machine, this_machine
from siam_tracker_ros.benchmark.measurement import (
    BenchFileError,
    Measurement,
    Memory,
    NotMeasured,
    Run,
    Settings,
    read_run,
)
from siam_tracker_ros.benchmark.scene import target_boxes
from siam_tracker_ros.benchmark.scores import ScoresError, read_scores
from siam_tracker_ros.benchmark.tables import busy_warning, run_markdown
from siam_tracker_ros.benchmark.targets_figure import FigureError, cost_by_targets, draw_cost_by_targets
from siam_tracker_ros.benchmark.timing import time_in_turns, warm_up

MACHINE = Machine("A processor", "x86_64", 2, ["avx512_vnni"], 8.0, "Linux 6", versions={"torch": "2.0"})
SETTINGS = Settings(frames=100, seconds=5.0, threads=2, device="cpu", turns=False)


def _measured(median_ms: float, **of: object) -> Measurement:
    configuration = replace(Configuration("net", "torch", "fp32"), **of)  # type: ignore[arg-type]
    ran = configuration.engine, configuration.precision
    return Measurement(configuration, 100, median_ms, 2 * median_ms, *ran)


def _run(*measurements: Measurement, **changed: object) -> Run:
    return replace(Run(MACHINE, SETTINGS, measurements), **changed)  # type: ignore[arg-type]


def test_calls_take_turns_after_a_warm_up() -> None:
    order: list[str] = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]
    ended: list[int] = []
    warm_up(calls, rounds=2)
    assert order == ["a", "b"] * 2
    timings = time_in_turns(calls, rounds=3, after=ended.append)
    assert order == ["a", "b"] * 5
    assert ended == [0, 1] * 3
    assert [timing.frames for timing in timings] == [3, 3]


def test_no_round_begins_once_the_time_is_over_but_for_five() -> None:
    (timing,) = time_in_turns([lambda: None], rounds=1000, limit_s=0.0)
    assert timing.frames == 5
    assert time_in_turns([], rounds=3) == []


def test_engines_have_the_precisions_listed_or_their_own() -> None:
    assert runners(["torch", "openvino:int8", "openvino"], ["fp32", "bf16"]) == [
        ("torch", "fp32"),
        ("torch", "bf16"),
        ("openvino", "int8"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
    ]


def test_a_matrix_has_every_combination_once() -> None:
    matrix = Matrix(["a", "b"], [("torch", "fp32")], "cpu", [(64, 48), (32, 32)], [1, 4, 16])
    found = matrix.configurations()
    assert len(found) == len(set(found)) == 2 * 2 * 3
    assert {(each.model, each.size, each.targets) for each in found} == {
        (model, size, targets) for model in "ab" for size in ("64x48", "32x32") for targets in (1, 4, 16)
    }


@pytest.mark.parametrize("count", [1, 2, 3, 8, 16])
def test_targets_are_spread_over_the_frame(count: int) -> None:
    boxes = target_boxes(640, 480, count)
    assert len(set(boxes)) == len(boxes) == count
    assert all(box.x >= 0 and box.x + box.w <= 640 for box in boxes)
    assert all(box.y >= 0 and box.y + box.h <= 480 for box in boxes)
    if count == 1:
        assert (boxes[0].x + boxes[0].w / 2, boxes[0].y + boxes[0].h / 2) == (320, 240)


def _rapl(folder: Path, micro_joules: int) -> Path:
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")):
        (folder / zone).mkdir(parents=True, exist_ok=True)
        (folder / zone / "name").write_text(f"{name}\n")
        (folder / zone / "energy_uj").write_text(f"{micro_joules}\n")
        (folder / zone / "max_energy_range_uj").write_text("10000000\n")
    return folder


@pytest.mark.parametrize(("before", "after"), [(1_000_000, 4_000_000), (9_000_000, 2_000_000)])
def test_joules_are_those_of_the_packages_also_where_the_counter_starts_anew(
    tmp_path: Path, before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (meter,), note = find_meters("cpu", _rapl(tmp_path, before))
    meter.start()
    _rapl(tmp_path, after)
    assert meter.stop() == pytest.approx(3.0)
    assert "RAPL" in note


def test_energy_that_cannot_be_read_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    meters, note = find_meters("cuda:0", tmp_path)
    assert meters == []
    assert "has no RAPL package" in note
    assert "neither NVML" in note
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "name").write_text("package-0")
    meters, note = find_meters("cpu", tmp_path)
    assert meters == []
    assert "energy_uj" in note


def test_power_is_averaged_over_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, told = tmp_path / "tegrastats", tmp_path / "told"
    line = "RAM 1/2MB VDD_IN 4000mW/4000mW"
    program.write_text(f"#!/bin/sh\necho '{line}'\n: > {told}\nexec /bin/sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (meter,), note = find_meters("cuda:0")
    begun = time.monotonic()
    meter.start()
    while not told.exists() and time.monotonic() < begun + 60:
        pass
    joules = meter.stop()
    assert joules is not None
    assert 0 < joules <= 4.0 * (time.monotonic() - begun)
    assert "tegrastats" in note


def test_power_is_read_from_what_the_programs_print() -> None:
    orin = "RAM 2722/30536MB (lfb 1x4MB) CPU [1%@729] VDD_GPU_SOC 1192mW/1192mW VDD_IN 7180mW/7100mW"
    nano = "RAM 1/2 PLL@25C POM_5V_IN 2532/2532 POM_5V_GPU 0/0"
    assert tegrastats_watts(orin) == 7.18
    assert tegrastats_watts(nano) == 2.532
    assert tegrastats_watts("RAM 1/2MB") is None
    assert smi_watts("68.41") == 68.41
    assert smi_watts("[N/A]") is None
    assert per_frame({"processor": 3.0, "GPU": None}, 30) == {"processor": 0.1}


def test_what_others_took_of_the_processors_is_told(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    stat = tmp_path / "stat"

    def tell(user: int, idle: int, steal: int) -> None:
        line = f"{user} 0 0 {idle} 0 0 0 {steal} 0 0"
        stat.write_text("".join(f"cpu{n} {line}\n" for n in [*cpus, 9999]) + "intr 1 2 3\n")

    tell(user=0, idle=0, steal=0)
    begun = replace(cpu_clock(stat), ours_s=0.0)
    tell(user=60, idle=30, steal=10)
    ended = replace(cpu_clock(stat), ours_s=0.0)
    assert begun.others_share(ended) == pytest.approx(0.7)
    ours = replace(ended, ours_s=0.5 * ended.total_s)
    assert begun.others_share(ours) == pytest.approx(0.2)
    assert begun.others_share(begun) == 0.0


def test_a_busy_machine_is_warned_of() -> None:
    assert busy_warning(_run(_measured(1.0), others_share=0.01)) == ""
    assert "30 %" in busy_warning(_run(_measured(1.0), others_share=0.3))


def test_this_machine_has_what_its_system_says() -> None:
    machine = this_machine()
    assert machine.processor
    assert machine.cores == len(os.sched_getaffinity(0))
    assert {"Python", "torch", "OpenCV", "NumPy"} <= set(machine.versions)
    assert machine.differences(machine) == []
    flags = Path("/proc/cpuinfo").read_text().split()
    assert all(flag in flags for flag in machine.flags)


def test_a_run_is_read_as_it_was_stored(tmp_path: Path) -> None:
    measured = replace(
        _measured(10.0),
        stages={"preprocess": 1.0, "inference": 8.0, "postprocess": 1.0},
        memory=Memory(20.0, 300.0),
        energy={"processor": 0.25},
    )
    run = _run(
        measured,
        not_measured=(NotMeasured(Configuration("net", "tensorrt", "fp16"), "not installed"),),
        stands_for={"net": ("other",)},
    )
    file = tmp_path / "run.json"
    file.write_text(run.to_json())
    assert read_run(file) == run


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read"),
        ("speed", "is no JSON file"),
        ("[]", "is no run"),
        ('{"format": 1, "models": []}', "is no run"),
        ('{"format": 2, "machine": {}}', "not a whole stored run"),
        ('{"format": 2, "machine": 3}', "not a whole stored run"),
    ],
)
def test_what_is_no_stored_run_is_said(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "run.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BenchFileError, match=says) as told:
        read_run(file)
    assert str(file) in str(told.value)


def test_a_table_leaves_out_what_is_the_same_in_all_rows() -> None:
    run = _run(_measured(10.0), _measured(16.0, targets=4))
    text = run_markdown(run)
    heading, table, *_ = text.split("\n\n")
    assert "640x480" in heading
    assert "targets" in table
    assert "640x480" not in table
    assert "| net   | torch fp32 |       1 | 10.0 ms | 20.0 ms | 100.0 |" in table
    assert "4 targets" in run_markdown(_run(_measured(16.0, targets=4)))


def test_reasons_are_told_once_for_the_models_they_hold_for() -> None:
    left_out = tuple(
        NotMeasured(Configuration(name, "tensorrt", "fp16"), "no GPU") for name in ("a", "b", "c", "d")
    )
    text = run_markdown(_run(_measured(1.0), not_measured=left_out))
    assert "- tensorrt fp16 of a, b, c and 1 more: no GPU" in text


def test_ratios_are_to_pysot_in_the_same_turns() -> None:
    run = _run(
        _measured(30.0, engine=PYSOT),
        _measured(20.0),
        _measured(10.0, engine="openvino", precision="bf16"),
        _measured(5.0, model="other"),
        settings=replace(SETTINGS, turns=True),
    )
    lines = run_markdown(run, details=False).split("\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["model", "PySOT, FPS", "torch fp32, FPS", "openvino bf16, FPS"]
    assert cells[2] == ["net", "33.3", "50.0 (1.50x)", "100.0 (3.00x)"]
    assert cells[3] == ["other", "-", "200.0", "-"]
    details = run_markdown(run).split("\n\n")[2].splitlines()
    column = [line.split("|")[6].strip() for line in details]
    assert column == ["to PySOT", "-------:", "", "1.50x", "3.00x", ""]


def test_accuracy_stands_beside_the_speed(tmp_path: Path) -> None:
    one, several = tmp_path / "net.json", tmp_path / "several.json"
    one.write_text(json.dumps({"mean_iou": 0.66}))
    several.write_text(json.dumps({"trackers": {"opencv-csrt": {"mean_iou": 0.5}}}))
    of_int8 = tmp_path / "net-openvino-int8.json"
    of_int8.write_text(json.dumps({"mean_iou": 0.65}))
    run = _run(
        _measured(10.0),
        _measured(40.0, model="opencv:csrt", engine=OPENCV),
        _measured(5.0, engine="openvino", precision="int8"),
        settings=replace(SETTINGS, turns=True),
        scores=read_scores([one, several, of_int8]),
    )
    table = run_markdown(run).split("\n\n")[1].splitlines()
    assert "mean IoU" in table[0]
    assert "0.660 |" in table[2]
    assert "0.500 |" in table[3]
    assert "0.650 |" in table[4]
    several.write_text("[]")
    with pytest.raises(ScoresError, match=r"several\.json holds no scores"):
        read_scores([several])


def test_runs_are_compared_by_what_both_measured() -> None:
    before = _run(_measured(20.0), _measured(3.0, model="gone"))
    now = _run(_measured(10.0), _measured(4.0, model="new"))
    text = comparison_markdown(now, before)
    assert "2.00x" in text
    assert "Warning" not in text
    assert "gone" not in text
    assert "1 configuration was measured in this run alone." in text
    assert "no configuration in common" in comparison_markdown(now, _run(_measured(1.0, targets=9)))


def test_another_machine_or_version_is_warned_of() -> None:
    machine = replace(
        MACHINE, processor="Another", versions={"torch": "2.1", "OpenVINO": "1"}, date="2020-01-01"
    )
    settings = replace(SETTINGS, threads=8)
    text = comparison_markdown(_run(_measured(1.0)), _run(_measured(1.0), machine=machine, settings=settings))
    assert "- processor: A processor, then Another" in text
    assert "- torch: 2.0, then 2.1" in text
    assert "- OpenVINO: none, then 1" in text
    assert "- threads: 2, then 8" in text
    assert "date" not in text


def test_costs_are_drawn_by_number_of_targets(tmp_path: Path) -> None:
    many = [_measured(ms, targets=targets) for targets, ms in ((4, 30.0), (1, 10.0))]
    fast = [_measured(ms, targets=targets, engine="openvino") for targets, ms in ((1, 5.0), (4, 8.0))]
    assert cost_by_targets(_run(*many, *fast)) == {
        "torch fp32": [(1, 10.0), (4, 30.0)],
        "openvino fp32": [(1, 5.0), (4, 8.0)],
    }
    draw_cost_by_targets(_run(*many, *fast), tmp_path / "new" / "cost.svg")
    drawn = (tmp_path / "new" / "cost.svg").read_text()
    assert "<svg" in drawn
    with pytest.raises(FigureError, match="--targets 1 2 4"):
        draw_cost_by_targets(_run(_measured(1.0)), tmp_path / "none.png")
