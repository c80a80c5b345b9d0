"""The interface between the tracker and what runs its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SearchFeatures, Template


@dataclass(frozen=True)
class Response:
    """What a network answers to a batch of search regions.

    `cls` [N, 2K, S, S] (background first) and `loc` [N, 4K, S, S] (dx, dy, dw, dh). `template` and `features`
    belong to the engine that made them: it takes them back for the masks and regions of the same frame.
    """

    cls: Tensor
    loc: Tensor
    template: Template
    features: SearchFeatures


class Engine(Protocol):
    """Runs one network on one device. Not thread-safe.

    Images are [N, 3, H, W], BGR, 0..255, uint8 or floating point, best channels last. What is returned is on
    `device`; a response and what was computed of it stay valid until the next `search`.
    """

    name: str
    device: torch.device
    precision: str
    """Number type of the computation: fp32, fp16, bf16 or int8."""

    def template(self, exemplar: Tensor) -> Template:
        """Exemplar images [N, 3, 127, 127] -> what later frames are compared with."""

    def search(self, template: Template, crops: Tensor) -> Response:
        """Compare N templates with R * N search regions [R * N, 3, S, S], all targets at one scale first."""

    def masks(self, response: Response, cells: Cells) -> Tensor:
        """Mask logits [len(cells), side, side] of cells of the response maps."""

    def region_deltas(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """Refinement [M, 4] of regions [M, 5], as `SiameseNetwork.region_deltas`."""

    def region_masks(self, response: Response, regions: Tensor, search_size: int) -> Tensor:
        """Mask logits [M, side, side] of regions [M, 5], as `SiameseNetwork.region_masks`."""
