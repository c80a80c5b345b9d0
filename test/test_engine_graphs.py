"""A network cut into graphs does what the whole network does, for every kind of network and many targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from test_networks import seeded
from test_tracker import scene
from test_training_family import SMALL_PARTS, small
from torch import Tensor

from siam_tracker_ros.engines.build import build_engine
from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.graph_engine import GraphEngine
from siam_tracker_ros.engines.graphs import GraphName, Tensors, cut
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.tracking.siam_tracker import SiamTracker


class _EagerGraphs(GraphEngine):
    """Runs the graphs as they are, and overwrites what the last run gave, as engines may."""

    name, device, precision = "eager", torch.device("cpu"), "fp32"

    def __init__(self, entry: ZooEntry, network: SiameseNetwork) -> None:
        super().__init__(entry)
        self._graphs = cut(network, entry.tracking, entry.tracking.instance_size)
        self._last: dict[GraphName, Tensors] = {}

    def run(self, graph: GraphName, inputs: Sequence[Tensor]) -> Tensors:
        expected = self._graphs[graph].inputs
        assert [each.shape for each in inputs] == [each.shape for each in expected]
        for tensor in self._last.pop(graph, ()):
            tensor.fill_(float("nan"))
        result = self._graphs[graph].module(*(each.float() for each in inputs))
        self._last[graph] = (result,) if isinstance(result, Tensor) else result
        return self._last[graph]


every_kind = pytest.mark.parametrize(
    "entry",
    [*map(small, SMALL_PARTS), ZOO["siamfc_cir_resnet22"], ZOO["siamrpn_cir_resnet22"]],
    ids=lambda entry: entry.name,
)


@every_kind
def test_graphs_track_as_the_network_does(entry: ZooEntry) -> None:
    network = seeded(entry.model)
    tracks_as_pytorch(entry, network, _EagerGraphs(entry, network))


def tracks_as_pytorch(entry: ZooEntry, network: SiameseNetwork, engine: Engine) -> None:
    """Follow two targets, with masks where there are some, and compare what comes of it."""
    whole = SiamTracker(entry, network, device="cpu")
    parts = SiamTracker(entry, network, device="cpu")
    parts.engine = engine
    frames = [scene(240, 320, seed) for seed in (0, 1)]
    boxes = [(60, 50, 70, 60), (200, 100, 40, 90)]
    targets = [[tracker.init(frames[0], box) for box in boxes] for tracker in (whole, parts)]
    for frame in frames:
        expected, results = (
            tracker.track(frame, each, masks=tracker.has_masks)
            for tracker, each in zip((whole, parts), targets, strict=True)
        )
        for one, other in zip(expected, results, strict=True):
            np.testing.assert_allclose(other.box, one.box, rtol=1e-3, atol=0.05)
            assert other.score == pytest.approx(one.score, abs=1e-3)
            if whole.has_masks:
                assert (other.mask.to_frame() ^ one.mask.to_frame()).mean() < 0.02


def test_an_unknown_engine_is_named() -> None:
    entry = small(next(iter(SMALL_PARTS)))
    with pytest.raises(EngineUnavailableError, match=r"engine 'steam' is none of .*torch"):
        build_engine("steam", entry, seeded(entry.model), torch.device("cpu"), "auto")  # type: ignore[arg-type]
