"""`siam-tracker bench` as a user runs it: what it measures and says, never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siam_tracker_ros.benchmark.timing import time_in_turns
from siam_tracker_ros.cli import main
from siam_tracker_ros.dds_profile import profile_variable
from siam_tracker_ros.ros_distro import ros_distro


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
        (["--ros", "--targets", "2"], "one target of one model"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", *arguments]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_the_node_is_measured_on_a_graph(
    ros_domain: int, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")
    # The command chooses a profile for this process.
    monkeypatch.setenv(profile_variable(ros_distro()), "")
    file = tmp_path / "node.json"
    given = ["--ros", "--seconds", "2", "--rate", "5", "--size", "160x120", "--json", str(file)]
    assert main(["bench", *given]) == 0
    out = capsys.readouterr().out
    node = json.loads(file.read_text())["node"]
    images = node["images"]
    assert images["tracked"] > 0
    assert images["tracked"] + images["dropped"] + images["lost"] >= images["published"] > 0
    times = node["ms"]
    assert all(one["p50"] <= one["p95"] for one in times.values())
    assert times["latency"]["p50"] > times["inference"]["p50"] > 0
    assert times["beyond inference"]["p50"] > times["beyond all stages"]["p50"] > 0
    assert node["memory_mib"]["start"] > 50
    assert f"{node['memory_mib']['end']:.1f} MiB at the end" in out
    assert f"{times['beyond inference']['p95']:.2f} ms" in out


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "0"], ["--seconds", "soon"], ["--frames", "0"], ["--size", "20x20"], ["--size", "big"]],
)
def test_wrong_figures_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2


def test_growth_of_memory_is_the_slope_of_what_was_seen() -> None:
    pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")
    from siam_tracker_ros.benchmark.graph import GraphFigures

    figures = GraphFigures(memory=[(0.0, 400.0), (30.0, 401.0), (60.0, 402.0)])
    assert figures.memory_slope() == pytest.approx(2.0)
    assert GraphFigures(memory=[(0.0, 400.0)]).memory_slope() == 0.0


def test_calls_take_turns() -> None:
    order: list[str] = []
    timings = time_in_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert len(timings) == 2
