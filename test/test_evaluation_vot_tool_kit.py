"""The VOT tool kit runs our trackers on its own dummy sequences, and reads what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siam_tracker_ros.cli import main

DEADLINE_S = 300
STACK = """
title: dummy
experiments:
  baseline: {type: supervised, repetitions: 1}
  unsupervised: {type: unsupervised, repetitions: 1}
  anchors: {type: multistart}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    dummy = pytest.importorskip("vot.dataset.dummy", reason="NOT TESTED: no VOT tool kit")
    pytest.importorskip("trax", reason="NOT TESTED: no vot-trax")
    folder = tmp_path / "sequences" / "cow"
    dummy._generate(str(folder), 16, (320, 240), 1)
    (folder / "anchor.value").write_text("1\n" + "0\n" * 14 + "-1\n")
    properties = {"channels.color": "color/%08d.jpg", "fps": 30, "width": 320, "height": 240, "length": 16}
    (folder / "sequence").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    (tmp_path / "sequences" / "list.txt").write_text("cow\n")
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "config.yaml").write_text("stack: ./stack.yaml\nregistry:\n- ./trackers.ini\n")
    return tmp_path


def run_vot(workspace: Path, *arguments: str) -> str:
    """The tool kit's command line; its output."""
    # Without network it says so and goes on.
    program = [sys.executable, "-c", "from vot.utilities.cli import main; main()", *arguments]
    done = subprocess.run(
        program,
        cwd=workspace,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def trajectory(path: Path) -> list[Any]:
    from vot.region.io import read_trajectory

    with path.open("rb") as file:
        return list(read_trajectory(file))


def test_vot_evaluate_runs_the_shipped_weights_in_every_kind_of_experiment(workspace: Path) -> None:
    from vot.region import calculate_overlaps
    from vot.region.io import read_trajectory

    assert main(["vot", "register", "siammask_mobilev2_w10", "--out", str(workspace / "trackers.ini")]) == 0
    output = run_vot(workspace, "evaluate", "--workspace", ".", "siammask_mobilev2_w10")
    assert "concluded" in output, output
    results = workspace / "results" / "siammask_mobilev2_w10"
    found = {path.relative_to(results).as_posix(): trajectory(path) for path in results.rglob("*.bin")}
    assert set(found) == {
        "baseline/cow/cow_001.bin",
        "unsupervised/cow/cow_001.bin",
        "anchors/cow/cow_00000000.bin",
        "anchors/cow/cow_00000015.bin",
    }
    truth = read_trajectory(str(workspace / "sequences" / "cow" / "groundtruth.txt"))
    overlaps = calculate_overlaps(found["unsupervised/cow/cow_001.bin"][1:], truth[1:], (320, 240))
    assert np.mean(overlaps) > 0.5
    confidences = (results / "unsupervised" / "cow" / "cow_001_confidence.value").read_text().split()
    assert len(confidences) == 15
    assert 0 < float(confidences[5]) <= 1


@pytest.mark.parametrize(("kind", "type_name"), [("polygon", "Polygon"), ("mask", "Mask")])
def test_rotated_boxes_and_masks_are_reported_when_asked_for(
    workspace: Path, kind: str, type_name: str
) -> None:
    registry = str(workspace / "trackers.ini")
    assert main(["vot", "register", "siammask_mobilev2_w10", "--region", kind, "--out", registry]) == 0
    run_vot(
        workspace, "evaluate", "--workspace", ".", "--experiments", "unsupervised", "siammask_mobilev2_w10"
    )
    results = workspace / "results" / "siammask_mobilev2_w10" / "unsupervised" / "cow"
    assert {type(region).__name__ for region in trajectory(results / "cow_001.bin")[1:]} == {type_name}


def test_a_tracker_without_masks_cannot_report_them(capsys: Any) -> None:
    pytest.importorskip("trax", reason="NOT TESTED: no vot-trax")
    assert main(["vot", "serve", "opencv:mil", "--region", "mask"]) == 1
    assert "opencv-mil has no masks" in capsys.readouterr().err
