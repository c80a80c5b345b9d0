"""The report: its numbers are those of the runs, and the page holds everything it shows."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_footage import draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation.report_data import latency_summary, reliability, worst_moment
from siam_tracker_ros.evaluation.results import STARTED, TrackerRun, run_file, write_run
from siam_tracker_ros.footage.sequence_folder import read_sequence
from siam_tracker_ros.tracking.boxes import Box


def test_reliability_compares_confidence_with_what_was_found() -> None:
    confidences = np.array([np.nan, 0.95, 0.95, 0.95, 0.95, 0.15, 0.15])
    ious = np.array([1.0, 0.9, 0.8, 0.7, 0.1, 0.0, np.nan])
    low, high = reliability([(confidences, ious)])
    assert (low.confidence, low.found, low.frames) == pytest.approx((0.15, 0.0, 2))
    assert (high.confidence, high.found, high.frames) == pytest.approx((0.95, 0.75, 4))
    assert reliability([]) == []


def test_the_worst_moment_is_where_the_overlap_stays_low() -> None:
    ious = np.full(100, 0.8)
    ious[20] = 0.0
    ious[60:75] = 0.1
    ious[:3] = np.nan
    moment = worst_moment("one", ious)
    assert moment is not None
    assert (moment.frame, moment.overlap) == (67, pytest.approx(0.1))
    assert worst_moment("one", np.full(5, np.nan)) is None
    short = worst_moment("one", np.array([0.4, 0.6]))
    assert short is not None
    assert short.overlap == pytest.approx(0.5)


def test_latencies_are_summed_up_in_percentiles() -> None:
    assert latency_summary(np.arange(1, 101, dtype=float))["p50"] == pytest.approx(50.5)
    assert np.isnan(latency_summary(np.array([]))["p99"])


class Page(HTMLParser):
    """What a page refers to, and the tags that are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.references += [
            found[name] for name in ("src", "href", "poster", "xlink:href") if found.get(name)
        ]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "img", "br", "link"):
            self.open.pop()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Two sequences, and the runs of two trackers in them: one perfect, one that stands still."""
    for name, frames in (("one", 20), ("<two>", 12)):
        draw_sequence(tmp_path / "data" / name, 0, frames=frames, masks=False)
        boxes = read_sequence(tmp_path / "data" / name).boxes
        for tracker, found in (("perfect", boxes), ("standing", [boxes[0]] * frames)):
            run = TrackerRun(
                (STARTED, *[Box(*box) for box in found[1:]]),
                np.full(frames, 0.9),
                np.full(frames, 0.02),
                (None,) * frames,
            )
            write_run(run_file(tmp_path / "kept" / "results" / tracker / "ope", name), run)
    return tmp_path


def test_the_page_is_whole_and_needs_nothing_beside_it(kept: Path) -> None:
    command = ["report", "--dataset", str(kept / "data"), "--results", str(kept / "kept")]
    assert main([*command, "--out", str(kept / "out"), "--title", "Flight & tests"]) == 0
    text = (kept / "out" / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    local = [one for one in page.references if one.startswith("#")]
    embedded = [one for one in page.references if one.startswith("data:")]
    assert sorted(local + embedded) == sorted(page.references)
    assert {one[1:] for one in local} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    # A picture for each moment, the same before its clip, and the clip.
    assert sum(one.startswith("data:image/jpeg") for one in embedded) == 2 * 4
    assert sum(one.startswith("data:video/mp4") for one in embedded) == 4
    assert "Flight &amp; tests" in text
    assert "&lt;two&gt;" in text
    assert "<two>" not in text
    assert not re.search(r"https?://", text)


def test_json_and_csv_have_the_numbers_of_the_page(kept: Path) -> None:
    command = ["report", "--dataset", str(kept / "data"), "--results", str(kept / "kept")]
    assert main([*command, "--out", str(kept / "out"), "--moments", "1"]) == 0
    content = json.loads((kept / "out" / "report.json").read_text())
    assert set(content) == {"perfect", "standing"}
    assert content["perfect"]["means"]["iou"] == pytest.approx(1)
    assert content["perfect"]["latency_ms"]["p50"] == pytest.approx(20)
    shifts = np.arange(1, 20) * 4
    expected = np.mean(np.maximum(48 - shifts, 0) / (48 + np.minimum(shifts, 48)))
    assert content["standing"]["sequences"]["one"]["iou"] == pytest.approx(expected)
    assert content["standing"]["worst_moments"][0]["sequence"] == "one"
    with (kept / "out" / "report.csv").open() as file:
        rows = {(row["tracker"], row["sequence"]): row for row in csv.DictReader(file)}
    assert float(rows["standing", "one"]["iou"]) == pytest.approx(expected, abs=1e-6)
    assert float(rows["perfect", "mean"]["auc"]) == pytest.approx(20 / 21, abs=1e-6)
    assert rows["perfect", "one"]["mask_iou"] == ""
    perfect = "".join(f"<td>{value}</td>" for value in ("0.952", "1.000"))
    assert perfect in (kept / "out" / "report.html").read_text()


def test_results_of_others_are_reported_alone(kept: Path) -> None:
    theirs = kept / "theirs"
    theirs.mkdir()
    (theirs / "one.txt").write_text((kept / "data" / "one" / "groundtruth.txt").read_text())
    command = [
        "report",
        "--dataset",
        str(kept / "data"),
        "--tracker",
        str(theirs),
        "--out",
        str(kept / "out"),
    ]
    assert main(command) == 0
    content = json.loads((kept / "out" / "report.json").read_text())
    assert list(content["theirs"]["sequences"]) == ["one"]
    assert content["theirs"]["latency_ms"]["p50"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "nothing to report"),
        (["--results", "{}"], "no results in it"),
        (["--tracker", "{}"], "no results for any"),
    ],
)
def test_nothing_to_report_is_said(kept: Path, capsys: Any, arguments: list[str], complaint: str) -> None:
    empty = kept / "empty"
    empty.mkdir()
    command = ["report", "--dataset", str(kept / "data"), "--out", str(kept / "out")]
    assert main([*command, *(argument.format(empty) for argument in arguments)]) == 1
    assert complaint in capsys.readouterr().err
    assert not (kept / "out").exists()
