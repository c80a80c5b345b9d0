"""How large a network is and how much it computes: parameters, and multiply-accumulate operations (MACs)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from siam_tracker_ros.models.config import ModelConfig, ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork


@dataclass(frozen=True)
class Complexity:
    """Parameters, and MACs of convolutions and matrix products.

    `exemplar_macs` are spent once a target, `frame_macs` every frame on all scales searched, `mask_macs` on
    each mask besides (0 where there is none). `response_cells` is the side of the response map.
    """

    parameters: int
    exemplar_macs: int
    frame_macs: int
    mask_macs: int
    response_cells: int


def response_cells(model: ModelConfig, exemplar_size: int, instance_size: int) -> int:
    """Side of the response map for images of these sides, px. Nothing is computed: shapes alone are followed.

    Raises RuntimeError where the images are too small for the network.
    """
    with torch.device("meta"), torch.no_grad():
        network = SiameseNetwork(model).eval()
        exemplar = torch.empty(1, 3, exemplar_size, exemplar_size)
        cls, _ = network(exemplar, torch.empty(1, 3, instance_size, instance_size))
    return int(cls.shape[-1])


def complexity(entry: ZooEntry) -> Complexity:
    """What `entry` costs. Nothing is computed: shapes alone are followed."""
    tracking = entry.tracking
    scales = tracking.pyramid.count if tracking.pyramid else 1
    with torch.device("meta"), torch.no_grad():
        network = SiameseNetwork(entry.model).eval()
        exemplar = torch.empty(1, 3, tracking.exemplar_size, tracking.exemplar_size)
        search = torch.empty(scales, 3, tracking.instance_size, tracking.instance_size)
        with FlopCounterMode(display=False) as counted:
            template = network.template(exemplar)
        exemplar_macs = counted.get_total_flops() // 2
        with FlopCounterMode(display=False) as counted:
            features = network.features(search)
            cls, _ = network.respond(template, features)
        frame_macs = counted.get_total_flops() // 2
        mask_macs = 0
        if entry.model.mask is not None:
            with FlopCounterMode(display=False) as counted:
                network.refine_masks(template, features, Cells([0], [0], [0]))
            mask_macs = counted.get_total_flops() // 2
        if entry.model.region is not None:
            template, features = network.attend(template, features)
            region = torch.empty(1, 5)
            with FlopCounterMode(display=False) as counted:
                network.region_deltas(template, features, region, tracking.instance_size)
            frame_macs += counted.get_total_flops() // 2
            with FlopCounterMode(display=False) as counted:
                network.region_masks(features, region, tracking.instance_size)
            mask_macs = counted.get_total_flops() // 2
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, exemplar_macs, frame_macs, mask_macs, cls.shape[-1])
