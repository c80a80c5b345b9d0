"""`siam-tracker bench` as a user runs it: what it measures and says, never how fast."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from siam_tracker_ros.benchmark.configuration import OPENCV, PYSOT, Configuration
from siam_tracker_ros.benchmark.job import Job, JobResult, carry_out
from siam_tracker_ros.benchmark.measurement import Measurement, NotMeasured, read_run
from siam_tracker_ros.cli import main
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS

MODEL = "siammask_mobilev2_w10_l23"
# Small frames: what is measured is the same.
SMALL = ["--sizes", "160x120", "--frames", "2"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that one run writes: several targets, and an engine that no CPU has."""
    out = tmp_path_factory.mktemp("bench") / "new"
    written = ["--json", "run.json", "--markdown", "run.md", "--figure", "cost.png"]
    files = [str(out / part) if "." in part else part for part in written]
    given = ["--engines", "torch:fp32", "tensorrt:fp16", "--targets", "3", "1", "--device", "cpu", *SMALL]
    assert main(["bench", MODEL, "--roofline", *given, *files]) == 0
    return out


def test_every_combination_is_measured_or_told_of_with_its_reason(measured: Path) -> None:
    run = read_run(measured / "run.json")
    asked = [(each.configuration.precision, each.configuration.targets) for each in run.measurements]
    assert asked == [("fp32", 1), ("fp32", 3)]
    for each in run.measurements:
        assert each.configuration.model == MODEL
        assert each.masks
        assert each.frames == 2
        assert each.fps == pytest.approx(1000 / each.median_ms)
        assert each.p99_ms >= each.median_ms > each.stages["inference"] > 0
        assert each.memory is not None
        assert each.memory.peak > each.memory.added > 5
        assert each.roof is not None
        assert each.roof.least_ms > 0
        assert each.roof.share == pytest.approx(each.roof.least_ms / each.median_ms)
    left_out = {(each.configuration.precision, each.configuration.targets) for each in run.not_measured}
    assert left_out == {("fp16", 1), ("fp16", 3)}
    assert all("tensorrt" in each.reason.lower() for each in run.not_measured)


def test_the_table_says_what_was_measured_where(measured: Path) -> None:
    run, text = read_run(measured / "run.json"), (measured / "run.md").read_text()
    assert run.machine.processor in text
    assert run.machine.date in text
    for each in run.measurements:
        assert re.search(rf"\| +{each.fps:.1f} \|", text), "columns are as wide as their widest number"
        assert each.roof is not None
        assert f"{100 * each.roof.share:.0f} % ({each.roof.bound})" in text
    assert f"- tensorrt fp16 of {MODEL}: " in text
    assert (measured / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_a_stored_run_is_shown_and_compared_without_measuring(
    measured: Path, capsys: pytest.CaptureFixture
) -> None:
    file = str(measured / "run.json")
    assert main(["bench", "--show", file, "--compare", file]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith((measured / "run.md").read_text().rstrip())
    assert shown.count("1.00x") == 2
    assert "Warning: not the same" not in shown


def test_trackers_of_opencv_take_turns_with_ours(tmp_path: Path) -> None:
    configurations = [
        Configuration(MODEL, "torch", "fp32", width=160, height=120),
        Configuration(MODEL, "openvino", "int8", width=160, height=120),
        Configuration("opencv:mil", OPENCV, "fp32", width=160, height=120),
        Configuration("opencv:nano=/nonexistent", OPENCV, "fp32", width=160, height=120),
    ]
    trace = tmp_path / "trace.json"
    job = Job(configurations, frames=2, seconds=60, threads=1, trace=str(trace))
    result = carry_out(job, tmp_path)
    ours, rounded, theirs = result.measurements
    assert ours.configuration.model == MODEL
    assert (rounded.engine, rounded.precision) == ("openvino", "int8")
    assert theirs.configuration.model == "opencv:mil"
    assert ours.frames == theirs.frames == 2
    assert ours.memory is None
    assert result.threads == 1
    (nano,) = result.not_measured
    assert "NanoTrack's two models" in nano.reason
    events = json.loads(trace.read_text())["traceEvents"]
    assert any("conv" in event.get("name", "") for event in events)


PYSOT_CODE = {
    "core/config.py": """
class Configuration(dict):
    def __setattr__(self, name, value):
        self[name] = value
    def merge_from_file(self, name):
        with open(name) as file:
            self["NAME"] = file.read()
cfg = Configuration()
""",
    "models/model_builder.py": """
import torch
class ModelBuilder(torch.nn.Module):
    def load_state_dict(self, state):
        assert len(state) > 50
""",
    "tracker/siammask_tracker.py": "import cv2",
    "tracker/tracker_builder.py": """
import time
from pysot.core.config import cfg
class Tracker:
    def init(self, image, box):
        assert cfg["NAME"] == "of this one" and not cfg["CUDA"]
        self.center_pos, self.size = [box[0], box[1]], [box[2], box[3]]
    def track(self, image):
        self.size = 2 * self.size
        assert image.shape == (120, 160, 3) and self.size[0] < 100 and not self.longterm_state
def build_tracker(model):
    return Tracker()
""",
}


def test_pysot_takes_turns_with_ours(tmp_path: Path) -> None:
    for name, code in PYSOT_CODE.items():
        file = tmp_path / "pysot" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    (tmp_path / "experiments" / MODEL).mkdir(parents=True)
    (tmp_path / "experiments" / MODEL / "config.yaml").write_text("of this one")
    result = carry_out(
        Job(
            [Configuration(MODEL, engine, "fp32", width=160, height=120) for engine in (PYSOT, "torch")],
            frames=2,
            seconds=60,
            pysot=str(tmp_path),
        ),
        tmp_path,
    )
    assert result.not_measured == ()
    assert [each.configuration.engine for each in result.measurements] == [PYSOT, "torch"]


def test_a_process_that_ends_early_is_told_of(tmp_path: Path) -> None:
    configuration = Configuration(MODEL, PYSOT, "fp32")
    job = Job([configuration], frames=2, seconds=60, pysot="/nonexistent")
    (left_out,) = carry_out(job, tmp_path).not_measured
    assert left_out.configuration == configuration
    assert "its process ended with status 1" in left_out.reason
    assert "is no PySOT checkout" in left_out.reason


def test_what_was_measured_before_ctrl_c_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    done: list[Configuration] = []

    def carry_out_one(job: Job, cache: Path) -> JobResult:
        if done:
            raise KeyboardInterrupt
        done.extend(job.configurations)
        return JobResult((Measurement(done[0], 5, 10.0, 12.0, "torch", "fp32"),), threads=1)

    monkeypatch.setattr("siam_tracker_ros.benchmark.bench_run.carry_out", carry_out_one)
    file = tmp_path / "run.json"
    assert main(["bench", MODEL, "--targets", "1", "2", "4", "--json", str(file)]) == 130
    assert "Interrupted: 2 more were not measured." in capsys.readouterr().out
    assert [each.configuration for each in read_run(file).measurements] == done
    assert main(["bench", "--show", str(file)]) == 0


def test_an_engine_makes_what_it_keeps_before_its_memory_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    seen: list[tuple[str, int, int]] = []

    def carry_out_one(job: Job, cache: Path) -> JobResult:
        (configuration,) = job.configurations
        seen.append((configuration.engine, configuration.targets, job.frames))
        if configuration.engine == "tensorrt":
            return JobResult(not_measured=(NotMeasured(configuration, "no GPU"),))
        measured = Measurement(configuration, 5, 10.0, 12.0, configuration.engine, "fp32")
        return JobResult((measured,) if job.frames else (), threads=1)

    monkeypatch.setattr("siam_tracker_ros.benchmark.bench_run.carry_out", carry_out_one)
    given = ["--engines", "torch", "openvino", "tensorrt", "--targets", "2", "4", "--frames", "9"]
    assert main(["bench", MODEL, *given]) == 0
    assert [one for one in seen if one[0] == "torch"] == [("torch", 2, 9), ("torch", 4, 9)]
    assert [one for one in seen if one[0] == "openvino"] == [
        ("openvino", 1, 0),
        ("openvino", 2, 9),
        ("openvino", 4, 9),
    ]
    # What it cannot make it is not asked for again.
    assert [one for one in seen if one[0] == "tensorrt"] == [("tensorrt", 1, 0)]
    assert f"- tensorrt auto of {MODEL}: no GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such_model"], "no model called 'no_such_model'"),
        (["--pysot", "/nonexistent"], "is no PySOT checkout"),
        (["--device", "cuda:99"], "'cuda:99' was asked for"),
        (["--figure", "cost.png"], "give --targets 1 2 4 8 16"),
        (["--figure", "cost.jpeg2", "--targets", "1", "2"], "a .png, .svg or .pdf file, not cost.jpeg2"),
        (["--trace", "trace.json"], "--trace is of one row"),
        (["--show", "/nonexistent"], "cannot read /nonexistent"),
        (["--compare", "/nonexistent"], "cannot read /nonexistent"),
        (["--scores", "/nonexistent"], "cannot read /nonexistent"),
        (["--json", "/proc/version/run.json"], "is a file, not a folder"),
        (["--ros", "--targets", "2"], "one target of one model"),
        (["--ros", "--engines", "torch", "openvino"], "one target of one model in one engine"),
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
    ros_domain: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")
    from siam_tracker_ros.benchmark.graph_report import TIMES, TOTAL

    file = tmp_path / "node.json"
    given = ["--ros", "--composed", "--engines", "torch", "--seconds", "2", "--rates", "5"]
    given += ["--sizes", "160x120"]
    assert main(["bench", *given, "--json", str(file)]) == 0
    table = capsys.readouterr().out
    nodes = json.loads(file.read_text())["nodes"]
    assert [node["composed"] for node in nodes] == [False, True]
    for node in nodes:
        assert re.fullmatch(rf"{DEFAULT_WEIGHTS} in torch \w+", node["network"])
        assert node["network"] in table
        images = node["images"]
        assert images["tracked"] > 0
        assert images["tracked"] + images["dropped"] + images["lost"] >= images["published"] > 0
        times = node["ms"]
        assert all(one["p50"] <= one["p95"] <= one["p99"] for one in times.values())
        assert all(times[stage]["p50"] > 0 for stage in TIMES)
        assert times[TOTAL]["p50"] > times["inference"]["p50"]
        assert node["memory_mib"]["start"] > 50
        assert re.search(rf"\| +{times[TOTAL]['p99']:.1f} ms \|", table)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rates", "0"],
        ["--seconds", "soon"],
        ["--frames", "0"],
        ["--sizes", "20x20"],
        ["--sizes", "big"],
        ["--targets", "1", "none"],
        ["--engines", "magic"],
        ["--engines", "openvino:fp8"],
        ["--precisions", "int4"],
    ],
)
def test_wrong_figures_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2


def test_each_image_of_the_graph_is_accounted_for() -> None:
    """Stamps in s; images at 1 to 6 count, of which 3 is passed over, 5 lost, and 7 comes too late."""
    pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    from siam_tracker_msgs.msg import TrackArray
    from siam_tracker_ros.benchmark.graph import Ears, GraphFigures, GraphRun, account
    from siam_tracker_ros.benchmark.graph_report import TOTAL

    def tracks(number: int, dropped: int) -> tuple[int, TrackArray]:
        header = Header(stamp=Time(sec=number))
        received, published = Time(sec=number, nanosec=10_000_000), Time(sec=number, nanosec=30_000_000)
        stages = {"preprocess_ms": 4.0, "inference_ms": 8.0, "postprocess_ms": 2.0}
        return number * 10**9 + 32_000_000, TrackArray(
            header=header, received=received, published=published, dropped_frames=dropped, **stages
        )

    ears = Ears()
    ears.published = [number * 10**9 for number in range(8)]
    ears.tracks = [tracks(0, 5), tracks(1, 5), tracks(2, 5), tracks(4, 6), tracks(6, 6), tracks(7, 9)]
    figures = GraphFigures(GraphRun(640, 480, 1.0), memory=[(0.0, 400.0), (30.0, 401.0), (60.0, 402.0)])
    account(ears, 10**9, 7 * 10**9, figures)
    assert (figures.published, figures.tracked, figures.dropped, figures.lost) == (6, 4, 1, 1)
    medians = {name: p50 for name, (p50,) in figures.percentiles(50).items()}
    assert medians == pytest.approx(
        {
            "transport": 10.0,
            "queue": 6.0,
            "preprocess": 4.0,
            "inference": 8.0,
            "postprocess": 2.0,
            "delivery": 2.0,
            TOTAL: 32.0,
        }
    )
    assert figures.memory_slope() == pytest.approx(2.0)
    assert GraphFigures(figures.run, memory=[(0.0, 400.0)]).memory_slope() == 0.0
