"""One entry of each kind of network from end to end: the command line, evaluation, the node."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_networks import seeded

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.zoo import ZOO

# Each head, backbone and kind of mask that the tests of the shipped models leave out.
ENTRIES = (
    "siamfc_alexnet",
    "siamfc_cir_incep22",
    "siamrpn_alex_dwxcorr",
    "siamrpn_cir_resnet22",
    "siammask_r50_base",
    "siammask_r50_two_branch",
    "siamattn_r50",
)
FRAMES = 2


@pytest.fixture(scope="module", params=ENTRIES)
def named_weights(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple]:
    """A zoo name and a file of seeded weights for it, which say which entry they are for."""
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    save_weights(seeded(ZOO[request.param].model), path, request.param)
    yield request.param, path
    path.unlink()


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """A data set of one sequence: the first frames of real footage, half as large."""
    source, folder = data_dir / "sequences" / "davis_dog", tmp_path_factory.mktemp("sequences")
    (folder / "dog" / "img").mkdir(parents=True)
    for path in sorted((source / "img").iterdir())[:FRAMES]:
        image = cv2.imread(str(path))
        cv2.imwrite(str(folder / "dog" / "img" / path.name), cv2.resize(image, None, fx=0.5, fy=0.5))
    truth = np.loadtxt(source / "groundtruth.txt", delimiter=",")[:FRAMES] / 2
    np.savetxt(folder / "dog" / "groundtruth.txt", truth, "%.2f", ",")
    return folder


def test_footage_is_tracked_and_measured_by_command(
    named_weights: tuple[str, Path], sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    name, weights = named_weights
    table, scores, masks = tmp_path / "tracks.csv", tmp_path / "scores.json", tmp_path / "masks"
    box = np.loadtxt(sequences / "dog" / "groundtruth.txt", delimiter=",")[0]
    asked = ["--weights", str(weights), "--device", "cpu", "--engine", "torch"]
    drawn = [f"--box={','.join(map(str, box))}", "--csv", str(table)]
    if ZOO[name].model.has_mask:
        drawn += ["--masks", str(masks)]
    assert main(["track", str(sequences / "dog" / "img"), *asked, *drawn]) == 0
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == FRAMES
    for row in rows:
        x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
        assert all(map(math.isfinite, (x, y, w, h, float(row["score"]))))
        assert min(w, h) > 0
    assert len(list(masks.glob("*.png"))) == (FRAMES if ZOO[name].model.has_mask else 0)

    assert main(["eval", "--dataset", str(sequences), *asked, "--json", str(scores)]) == 0
    assert "dog" in scores.read_text()
    assert json.loads(scores.read_text())
    capsys.readouterr()


@pytest.fixture(scope="module")
def shared_graph(module_ros_domain: int) -> Iterator:
    """One node process for every entry."""
    pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")
    from graph_tracker import Graph, tracker_process

    with tracker_process() as process:
        graph = Graph(process=process)
        yield graph
        graph.close()


def test_the_node_tracks_with_it(named_weights: tuple[str, Path], shared_graph) -> None:
    from graph_tracker import box_in_scene

    name, weights = named_weights
    graph = shared_graph
    for parameter, value in (("weights", str(weights)), ("device", "cpu"), ("engine", "torch")):
        assert graph.set_parameter(parameter, value) == ""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    graph.track_one()
    answer = graph.init(box_in_scene(graph.number + 1), id="square")
    assert answer.success, answer.message
    (track,) = graph.track_one().tracks
    box = track.bbox
    assert track.id == "square"
    assert all(map(math.isfinite, (box.center_x, box.center_y, track.confidence, track.raw_score)))
    assert min(box.size_x, box.size_y) > 0
    assert track.has_rotated_box == ZOO[name].model.has_mask
    assert (track.mask.encoding != track.mask.NONE) == ZOO[name].model.has_mask
    assert graph.change_state("deactivate")
    assert graph.change_state("cleanup")
