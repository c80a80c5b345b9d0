"""`siam-tracker bench` as a user runs it: what it measures and says, never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siam_tracker_ros.benchmark.timing import time_in_turns
from siam_tracker_ros.cli import main


def test_a_model_is_measured_and_the_machine_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "new" / "bench.json"
    status = main(["bench", "siammask_mobilev2_w10", "--frames", "2", "--targets", "2", "--json", str(file)])
    assert status == 0
    out = capsys.readouterr().out
    report = json.loads(file.read_text())
    assert report["machine"]["processor"] in out
    assert "2 targets" in out
    (row,) = report["models"]
    assert row["model"] == "siammask_mobilev2_w10"
    assert row["masks"]
    assert row["fps"] == pytest.approx(1000 / row["median_ms"])
    assert row["p99_ms"] >= row["median_ms"] > 0
    assert f"| {row['fps']:.1f} |" in out


def test_entries_with_the_same_network_are_named(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "siamrpn_alex_dwxcorr", "--frames", "1"]) == 0
    assert "siamrpn_alex_dwxcorr stands for siamrpn_alex_dwxcorr_otb too" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such_model"], "no model called 'no_such_model'"),
        (["--pysot", "/nonexistent"], "is no PySOT checkout"),
        (["--pysot", "/nonexistent", "--targets", "2"], "one target on the CPU"),
        (["--device", "cuda:99"], "'cuda:99' was asked for"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", *arguments]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--frames", "0"], ["--size", "20x20"], ["--size", "big"]])
def test_wrong_figures_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2


def test_calls_take_turns() -> None:
    order: list[str] = []
    timings = time_in_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert len(timings) == 2
