"""Trackers run over a bag see its images, and stand beside the live run in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from sensor_msgs.msg import CompressedImage
from test_evaluation_recording import NAMES, header, tracks, write_bag

from siam_tracker_ros.cli import main
from siam_tracker_ros.evaluation import evaluate
from siam_tracker_ros.evaluation.trackers import Answer
from siam_tracker_ros.tracking.boxes import Box

CAMERA = "/camera/image_raw/compressed"
NAMES["compressed"] = "sensor_msgs/msg/CompressedImage"
FRAMES = 14
TRACKER = "matcher"
X0, STEP = 100, 4
SHIFT = 8


def scene(number: int) -> np.ndarray:
    """A target of 40 by 20 px from (100, 50) that moves 4 px a frame over a still scene."""
    random = np.random.default_rng(3)
    image = cv2.GaussianBlur(random.integers(0, 120, (240, 320, 3), np.uint8), (0, 0), 3)
    target = cv2.resize(random.integers(0, 256, (5, 10, 3), np.uint8), (40, 20))
    x = X0 + STEP * number
    image[50:70, x : x + 40] = target
    return image


def image_message(number: int, cut: int | None = None) -> Any:
    data = cv2.imencode(".png", scene(number))[1].tobytes()
    return CompressedImage(header=header(number), format="png", data=data[:cut])


def make_bag(folder: Path, live_from: int | None = 4, damaged: int = -1) -> Path:
    messages: list[tuple[str, Any]] = []
    for number in range(FRAMES):
        messages.append((CAMERA, image_message(number, 50 if number == damaged else None)))
        if live_from is not None and number >= live_from:
            # The live tracker is beside the target from its second image on.
            shift = SHIFT if number > live_from else 0
            messages.append(("/tracks", tracks(number, float(X0 + STEP * number + shift))))
    topics = {CAMERA: "compressed", **({"/tracks": "tracks"} if live_from is not None else {})}
    return write_bag(folder, topics, messages)


def truth_file(path: Path, hidden: int = 0) -> Path:
    lines = [f"{X0 + STEP * number},50,40,20" for number in range(FRAMES)]
    lines[:hidden] = ["nan,nan,nan,nan"] * hidden
    path.write_text("\n".join(lines) + "\n")
    return path


def run_eval(tmp_path: Path, *options: object) -> Any:
    out = tmp_path / "scores.json"
    assert main(["eval", *map(str, options), "--json", str(out)]) == 0
    return json.loads(out.read_text())


class Matcher:
    """A tracker that finds the target exactly, as its pixels do not change."""

    has_masks = False

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def start(self, frame: np.ndarray, box: Any) -> None:
        x, y, w, h = (round(value) for value in box)
        self.template = frame[y : y + h, x : x + w].copy()
        self.seen = [frame]

    def follow(self, frame: np.ndarray, masks: bool) -> Answer:
        self.seen.append(frame)
        x, y = cv2.minMaxLoc(cv2.matchTemplate(frame, self.template, cv2.TM_SQDIFF))[2]
        height, width = self.template.shape[:2]
        return Answer(Box(x, y, width, height), 0.9)


@pytest.fixture(autouse=True)
def matcher(monkeypatch: pytest.MonkeyPatch) -> Matcher:
    tracker = Matcher()
    monkeypatch.setattr(evaluate, "_tracker", lambda spec: tracker)
    return tracker


def overlap(shift: float) -> float:
    return (40 - shift) / (40 + shift)


def test_trackers_stand_beside_the_live_run(tmp_path: Path, matcher: Matcher, capsys: Any) -> None:
    bag = make_bag(tmp_path / "bag", live_from=0)
    truth = truth_file(tmp_path / "truth.txt")
    content = run_eval(tmp_path, "--bag", bag, "--truth", truth, "--tracker", TRACKER)
    assert len(matcher.seen) == FRAMES
    assert all(np.array_equal(frame, scene(number)) for number, frame in enumerate(matcher.seen))
    replay = content["replay"]
    assert replay["against"] == "truth"
    assert replay["trackers"][TRACKER]["iou"] == 1
    assert replay["trackers"]["live"]["iou"] == pytest.approx(overlap(SHIFT))
    assert content["sequences"]["a"]["iou"] == pytest.approx(overlap(SHIFT))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["live", TRACKER]


def test_all_are_scored_in_the_same_images(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", live_from=4)
    truth = truth_file(tmp_path / "truth.txt", hidden=2)
    replay = run_eval(tmp_path, "--bag", bag, "--truth", truth, "--tracker", TRACKER)["replay"]
    assert (replay["begun_in_image"], replay["scored_from_image"]) == (2, 4)


def test_without_a_truth_it_says_how_far_live_and_replay_agree(tmp_path: Path, capsys: Any) -> None:
    bag = make_bag(tmp_path / "bag", live_from=4)
    options = ["--bag", bag, "--tracker", TRACKER, "--experiment", "realtime", "--rate", "0.01"]
    content = run_eval(tmp_path, *options)
    replay = content["replay"]
    assert (replay["against"], replay["begun_in_image"], replay["experiment"]) == ("live", 4, "realtime")
    assert set(replay["trackers"]) == {TRACKER}
    # So slow a camera has each answer a frame late, 4 px, and the live boxes are 8 px on the other side.
    assert replay["trackers"][TRACKER]["iou"] == pytest.approx(overlap(SHIFT + STEP))
    assert "agreement with the live run of a" in capsys.readouterr().out


def test_a_bag_of_images_alone(tmp_path: Path, capsys: Any) -> None:
    bag = make_bag(tmp_path / "bag", live_from=None, damaged=5)
    truth = truth_file(tmp_path / "truth.txt")
    out = tmp_path / "kept"
    options = ["--bag", bag, "--truth", truth, "--tracker", TRACKER, "--out", out]
    assert set(run_eval(tmp_path, *options)["replay"]["trackers"]) == {TRACKER}
    assert "image 5 of /camera/image_raw/compressed is the one before it" in capsys.readouterr().out
    (kept,) = out.rglob("*_001.txt")
    before = kept.stat().st_mtime_ns
    run_eval(tmp_path, *options)
    assert kept.stat().st_mtime_ns == before
    for rest, complaint in (
        ([], "name trackers to run over its images"),
        (["--tracker", TRACKER], "neither truth nor tracks"),
        (["--tracker", TRACKER, "--experiment", "anchored"], "ope and realtime, not anchored"),
    ):
        assert main(["eval", "--bag", str(bag), *rest]) == 1
        assert complaint in capsys.readouterr().err


def test_a_bag_without_images_is_not_run_over(tmp_path: Path, capsys: Any) -> None:
    bag = write_bag(tmp_path / "bag", {"/tracks": "tracks"}, [("/tracks", tracks(0, 0.0))])
    assert main(["eval", "--bag", str(bag), "--tracker", TRACKER]) == 1
    assert "no images to run trackers over" in capsys.readouterr().err
