"""README's tables of speed are what `siam-tracker bench` prints of the runs that are stored beside them."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from siam_tracker_ros.benchmark.configuration import Configuration
from siam_tracker_ros.benchmark.machine import Machine
from siam_tracker_ros.benchmark.measurement import Measurement, Run, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bench_readme() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "bench_readme", ROOT / "scripts" / "bench_readme.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _run(model: str, ms: float, **stands_for: tuple[str, ...]) -> Run:
    measured = Measurement(Configuration(model, "torch", "fp32"), 9, ms, ms, "torch", "fp32")
    machine = Machine("A processor", "x86_64", 2, [], 8.0, "Linux 6")
    return Run(machine, Settings(9, 5.0, 2, "cpu", True), (measured,), stands_for=stands_for)


def test_readme_is_what_the_stored_runs_give(bench_readme: ModuleType) -> None:
    runs = bench_readme.stored_runs()
    assert bench_readme.render(README, runs) == README, "run scripts/bench_readme.py --render"


def test_every_block_is_measured_by_a_command(bench_readme: ModuleType) -> None:
    names = [name for _, name, _ in bench_readme.BLOCK.findall(README)]
    assert len(names) == len(set(names)) == README.count("<!-- bench ")
    known = {**bench_readme.commands(Path("a"), Path("b"), []), **bench_readme.gpu_commands(Path("a"))}
    assert set(names) <= set(known)
    for name in set(names) & set(bench_readme.FIGURES) & set(bench_readme.stored_runs()):
        assert (ROOT / bench_readme.FIGURES[name]).is_file()
    missing = set(names) - set(bench_readme.stored_runs())
    if missing:
        pytest.skip(f"NOT TESTED: runs that are not there yet: {', '.join(sorted(missing))}")


def test_a_block_is_replaced_and_what_has_no_run_stays(bench_readme: ModuleType) -> None:
    text = (
        "a\n<!-- bench one -->\nold\n<!-- end of bench -->\n<!-- bench two -->\nold\n<!-- end of bench -->\nb"
    )
    found = bench_readme.render(text, {"one": _run("net", 10.0)})
    assert found.startswith("a\n<!-- bench one -->\n\nA processor")
    assert "| net" in found
    assert found.endswith("<!-- bench two -->\nold\n<!-- end of bench -->\nb")
    assert found.count("old") == 1
    assert bench_readme.render(found, {"one": _run("net", 10.0)}) == found


def test_frame_rates_are_columns_of_the_table_of_models(bench_readme: ModuleType) -> None:
    table = "| entry | MACs a frame | accuracy |\n|---|---|---|\n"
    table += "| `net` | 1 G | 0.5 |\n| `twin` | 1 G | |\n| `no` | | |"
    runs = {"models": _run("net", 10.0, net=("twin",)), "pysot": _run("no", 25.0)}
    once = bench_readme.render(table, runs)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in once.splitlines()]
    assert lines[0] == ["entry", "MACs a frame", "FPS, torch fp32", "FPS, openvino bf16", "accuracy"]
    assert lines[1] == ["---"] * 5
    assert lines[2:] == [
        ["`net`", "1 G", "100.0", "", "0.5"],
        ["`twin`", "1 G", "100.0", "", ""],
        ["`no`", "", "40.0", "", ""],
    ]
    assert bench_readme.render(once, runs) == once
    slower = bench_readme.render(once, {"models": replace(runs["models"], **vars(_run("net", 20.0)))})
    assert "100.0" not in slower
    assert "50.0" in slower


def test_runs_are_stored_and_readme_written(
    bench_readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- bench default -->\n<!-- end of bench -->\n")
    monkeypatch.setattr(bench_readme, "README", readme)
    monkeypatch.setattr(bench_readme, "STORED", tmp_path)
    asked: list[list[str]] = []

    def siam_tracker(arguments: list[str]) -> int:
        asked.append(arguments)
        Path(arguments[arguments.index("--json") + 1]).write_text(_run("net", 10.0).to_json())
        return 0

    monkeypatch.setattr(bench_readme, "siam_tracker", siam_tracker)
    monkeypatch.setattr(sys, "argv", ["bench_readme.py", "--only", "default", "--nano", "models"])
    assert bench_readme.main() == 0
    (arguments,) = asked
    assert "nano=models" in arguments
    assert "100.0 |" in readme.read_text()
