"""A network as the source of its graphs, which are cut when an engine asks for them."""

from __future__ import annotations

import copy

import torch

from siam_tracker_ros.engines.graphs import Graph, GraphName, cut
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.inference import fuse_batch_norm
from siam_tracker_ros.models.quantisation import rounded_copy
from siam_tracker_ros.models.siamese import SiameseNetwork


class CutNetwork:
    """Graphs of a network, its search graph `rounded` to int8 or not.

    The graphs cut last are remembered, as engines make one after the other ready, until `forget`. The network
    is kept, and must not change. Raises QuantisationError where it is to be rounded and has no calibration.
    """

    def __init__(self, entry: ZooEntry, network: SiameseNetwork, rounded: bool) -> None:
        self._tracking = entry.tracking
        self.network = network
        self.rounded = rounded_copy(network) if rounded else None
        self._last: tuple[bool, int, dict[GraphName, Graph]] | None = None

    def source(self, graph: GraphName) -> SiameseNetwork:
        """The network that `graph` is cut out of."""
        return self.rounded if self.rounded is not None and graph == "search" else self.network

    def graph(self, graph: GraphName, search_size: int) -> Graph:
        """`graph` for search regions of this size."""
        of_rounded = self.source(graph) is self.rounded
        if self._last is None or self._last[:2] != (of_rounded, search_size):
            # The tracker may be running in inference mode, whose tensors cannot be traced.
            with torch.inference_mode(False), torch.no_grad():
                network = copy.deepcopy(self.source(graph)).cpu().float().eval().requires_grad_(False)
                fuse_batch_norm(network)
                self._last = of_rounded, search_size, cut(network, self._tracking, search_size)
        return self._last[2][graph]

    def forget(self) -> None:
        """Free the graphs that were cut."""
        self._last = None
