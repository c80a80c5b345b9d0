"""PyTorch as the engine: the network itself, in its inference form."""

from __future__ import annotations

import torch
from torch import Tensor

from siam_tracker_ros.engines.device import precision_name
from siam_tracker_ros.engines.engine import Response
from siam_tracker_ros.models.inference import inference_copy
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork, Template


class TorchEngine:
    """Runs a copy of a network, its inference form, on any device that PyTorch has."""

    name = "torch"

    def __init__(self, network: SiameseNetwork, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.precision = precision_name(dtype)
        self.network = inference_copy(network, device, dtype)

    def template(self, exemplar: Tensor) -> Template:
        """See `Engine`."""
        return self.network.template(exemplar.to(self.dtype))

    def search(self, template: Template, crops: Tensor) -> Response:
        """See `Engine`."""
        template, features = self.network.attend(template, self.network.features(crops.to(self.dtype)))
        cls, loc = self.network.respond(template, features)
        return Response(cls, loc, template, features)

    def masks(self, response: Response, cells: Cells) -> Tensor:
        """See `Engine`."""
        return self.network.refine_masks(response.template, response.features, cells)

    def region_deltas(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """See `Engine`."""
        return self.network.region_deltas(response.template, response.features, regions, search_size)

    def region_masks(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """See `Engine`."""
        return self.network.region_masks(response.features, regions, search_size)
