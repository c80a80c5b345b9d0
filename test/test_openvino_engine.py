"""OpenVINO tracks as PyTorch does: every kind of network, many targets, any size, real footage."""

from __future__ import annotations

import logging
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_engine_graphs import every_kind, tracks_as_pytorch
from test_networks import SMALL, seeded
from test_tracker import ENTRY, scene

from siam_tracker_ros.engines import cut_network, openvino_runtime
from siam_tracker_ros.engines.build import build_engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.openvino_engine import OpenVinoEngine
from siam_tracker_ros.models.config import LongTermConfig, ZooEntry
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.tracking.siam_tracker import SiamTracker

pytest.importorskip("openvino", reason="NOT TESTED: no OpenVINO here")


@every_kind
def test_tracks_as_pytorch_does(entry: ZooEntry) -> None:
    network = seeded(entry.model)
    tracks_as_pytorch(entry, network, OpenVinoEngine(entry, network, "fp32"))


def test_wide_search_regions_of_lost_targets_give_the_same() -> None:
    sizes = (287, 383)
    long_term = LongTermConfig(scan=None, instance_sizes=sizes)
    entry = replace(ENTRY, tracking=replace(ENTRY.tracking, long_term=long_term))
    network = seeded(SMALL)
    engines = [
        build_engine(name, entry, network, torch.device("cpu"), "fp32") for name in ("torch", "openvino")
    ]
    exemplar = torch.from_numpy(scene(127, 127)[None]).permute(0, 3, 1, 2)
    for size in (entry.tracking.instance_size, *sizes):
        crops = torch.from_numpy(scene(size, size)[None]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            expected, response = (engine.search(engine.template(exemplar), crops) for engine in engines)
        np.testing.assert_allclose(response.cls, expected.cls, atol=1e-4)
        np.testing.assert_allclose(response.loc, expected.loc, atol=1e-4)


def test_real_footage_is_followed_as_in_pytorch(data_dir: Path) -> None:
    """The shipped weights, within the tolerances that PySOT's own numbers are held to."""
    folder = data_dir / "sequences" / "davis_car-shadow"
    frames = [cv2.imread(str(path)) for path in sorted((folder / "img").iterdir())[:12]]
    box = np.loadtxt(folder / "groundtruth.txt", delimiter=",")[0][:4]
    theirs, ours = (
        SiamTracker.from_weights(DEFAULT_WEIGHTS, device="cpu", engine=engine, precision="fp32")
        for engine in ("torch", "openvino")
    )
    targets = [tracker.init(frames[0], box) for tracker in (theirs, ours)]
    for frame in frames[1:]:
        (expected,), (result,) = (
            tracker.track(frame, [target], masks=True)
            for tracker, target in zip((theirs, ours), targets, strict=True)
        )
        np.testing.assert_allclose(result.box, expected.box, rtol=0, atol=0.05)
        assert result.score == pytest.approx(expected.score, abs=1e-3)
        our_mask, their_mask = result.mask.to_frame(), expected.mask.to_frame()
        assert (our_mask & their_mask).sum() > 0.985 * (our_mask | their_mask).sum()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A cache that holds the graphs of one network, and what that answers."""
    cache = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        return cache, _cls(_engine_in(cache, patch))


def _engine_in(cache: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> OpenVinoEngine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return OpenVinoEngine(ENTRY, seeded(SMALL, seed), "fp32")


def _never(*args: object) -> None:
    raise AssertionError("this was to be found in the cache")


def _cls(engine: OpenVinoEngine) -> torch.Tensor:
    exemplar, crops = (torch.from_numpy(scene(px, px)[None]).permute(0, 3, 1, 2) for px in (127, 255))
    return engine.search(engine.template(exemplar), crops).cls.clone()


def test_graphs_are_converted_once_for_the_same_weights(
    made: tuple[Path, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, first = made
    monkeypatch.setattr(cut_network, "cut", _never)
    assert torch.equal(_cls(_engine_in(cache, monkeypatch)), first)
    with pytest.raises(AssertionError, match="found in the cache"):
        _engine_in(cache, monkeypatch, seed=1)


def test_a_cache_that_cannot_be_written_is_said_and_survived(
    made: tuple[Path, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert torch.equal(_cls(_engine_in(tmp_path / "file", monkeypatch)), made[1])
    assert "cannot be written to" in caplog.text


@pytest.mark.parametrize("spoilt", ["graph.xml", "graph.bin"])
def test_a_graph_that_was_spoilt_is_made_again(
    spoilt: str, made: tuple[Path, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.blob"):
        path.unlink()
    for path in tmp_path.rglob(spoilt):
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(_cls(_engine_in(tmp_path, monkeypatch)), made[1])


def test_what_the_cpu_has_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "native_precisions", lambda: frozenset({"fp32", "int8"}))
    with pytest.raises(EngineUnavailableError, match=r"'openvino' has no bf16 on this CPU, .* in fp32"):
        OpenVinoEngine(ENTRY, seeded(SMALL), "bf16")


def test_where_openvino_is_missing_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino_runtime.openvino.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineUnavailableError, match="pip install openvino"):
        openvino_runtime.openvino()


def test_other_devices_are_refused() -> None:
    with pytest.raises(EngineUnavailableError, match="runs on the CPU, not on cuda"):
        build_engine("openvino", ENTRY, seeded(SMALL), torch.device("cuda", 0), "fp32")
