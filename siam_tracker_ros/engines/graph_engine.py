"""What all engines share that run a network as graphs: which tensors go in and out of which graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from siam_tracker_ros.engines.engine import Response
from siam_tracker_ros.engines.graphs import GraphName, Tensors, layout
from siam_tracker_ros.engines.one_thread import one_thread
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import Template, mask_inputs


class GraphEngine(ABC):
    """An engine whose graphs hold one target each; several targets take turns.

    A subclass runs graphs, and has `name`, `device` and `precision` as `Engine` asks.
    """

    name: str
    device: torch.device
    precision: str

    def __init__(self, entry: ZooEntry) -> None:
        self._config = entry.model
        self._layout = layout(entry.model, entry.tracking)

    @abstractmethod
    def run(self, graph: GraphName, inputs: Sequence[Tensor]) -> Tensors:
        """Run `graph` (`engines.graphs.cut`); images come as [N, 3, H, W] of any number type.

        Outputs are float32 on `device`, and may be overwritten by the next run of the same graph. The side
        of the search regions is that of the first input.
        """

    def template(self, exemplar: Tensor) -> Template:
        """See `Engine`."""
        flat = self._in_turns("template", [_samples((exemplar,), i) for i in range(len(exemplar))])
        # Kept for as long as the target lives, which is past the next run.
        return self._layout.template(tuple(tensor.clone() for tensor in flat))

    def search(self, template: Template, crops: Tensor) -> Response:
        """See `Engine`."""
        lay = self._layout
        compared = template.tensors[: lay.compared]
        targets = len(compared[0])
        # The search regions of one target, its scales, are `targets` apart.
        inputs = [(crops[i::targets], *_samples(compared, i)) for i in range(targets)]
        cls, loc, *kept = self._in_turns("search", inputs)
        if self._config.attention:
            template = Template((), region=tuple(kept[: lay.region]))
            kept = kept[lay.region :]
        return Response(cls, loc, template, lay.features(tuple(kept)))

    def masks(self, response: Response, cells: Cells) -> Tensor:
        """See `Engine`."""
        if response.template.mask is None:
            raise ValueError("this network has no mask branch")
        features = response.features
        with one_thread(self.device):
            kernels, windows = mask_inputs(response.template.mask, features.levels[0], features.refine, cells)
        inputs = [_samples((kernels, *windows), i) for i in range(len(kernels))]
        return self._in_turns("mask", inputs)[0]

    def region_deltas(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """See `Engine`."""
        return self._of_regions("region_box", regions, (*response.template.region, *response.features.levels))

    def region_masks(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """See `Engine`."""
        features = response.features
        return self._of_regions("region_mask", regions, (*features.levels, *features.refine))

    def _of_regions(self, graph: GraphName, regions: Tensor, tensors: Tensors) -> Tensor:
        inputs = []
        for region in regions:
            # A graph sees one sample, whose number is 0.
            alone = torch.cat((region.new_zeros(1), region[1:]))[None]
            inputs.append((alone, *_samples(tensors, int(region[0]))))
        return self._in_turns(graph, inputs)[0]

    def _in_turns(self, graph: GraphName, inputs: Sequence[Tensors]) -> Tensors:
        """Run `graph` for each of `inputs` and join what it gives: all at the first scale first."""
        if len(inputs) == 1:
            return self.run(graph, inputs[0])
        results = [tuple(tensor.clone() for tensor in self.run(graph, each)) for each in inputs]
        return tuple(torch.stack(each, dim=1).flatten(0, 1) for each in zip(*results, strict=True))


def _samples(tensors: Tensors, index: int) -> Tensors:
    return tuple(tensor[index : index + 1] for tensor in tensors)
