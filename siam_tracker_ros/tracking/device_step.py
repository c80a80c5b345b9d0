"""One step of tracking as a function of tensors: a frame and a table of numbers in, another table out.

Crop, backbone, neck, heads, decoding, penalty, window, arg-max, size, confidence and the mask of the selected
cell, for several targets at once. Shapes depend on no value and nothing waits for the device, so that a CUDA
graph can hold all of it. The network runs in the number type it was given; boxes are decoded in float32, and
what is measured of them is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SearchFeatures, SiameseNetwork, Template
from siam_tracker_ros.tracking.crop import sample_squares
from siam_tracker_ros.tracking.observation import measured_boxes, observe
from siam_tracker_ros.tracking.request import Requests
from siam_tracker_ros.tracking.response_decoder import ResponseDecoder


class StepResult(NamedTuple):
    """What a step gives, on the device.

    `observations` [N, OBSERVATION_COLUMNS] float64; `masks` [N, side, side] float32, probabilities, where
    they were asked for.
    """

    observations: Tensor
    masks: Tensor | None


def reason_against(entry: ZooEntry) -> str | None:
    """Why a step of `entry` is no function of tensors alone; None where it is."""
    if entry.model.region is not None or entry.model.attention:
        return "attention and region refinement look at the selected box on the host"
    pyramid = entry.tracking.pyramid
    if pyramid is not None and pyramid.nested:
        return "nested scales are cut from an image whose size depends on the target"
    return None


class DeviceStep:
    """The step of one tracker on one device."""

    def __init__(
        self, entry: ZooEntry, network: SiameseNetwork, device: torch.device, dtype: torch.dtype
    ) -> None:
        """`network` is in its inference form, on `device`, and takes images of `dtype`.

        Raises ValueError where `reason_against` has one.
        """
        reason = reason_against(entry)
        if reason is not None:
            raise ValueError(f"{entry.name}: {reason}")
        self.entry = entry
        self.device = device
        self._network = network
        self._dtype = dtype
        self._decoder = ResponseDecoder(entry, device)

    @torch.inference_mode()
    def __call__(
        self, frame: Tensor, table: Tensor, template: Template, instance_size: int, masks: bool
    ) -> StepResult:
        """Search for N targets in `frame`: [H, W, 3], [H, W, 1] or [H, W] uint8.

        `table` has a row of `Requests` a target, `template` the targets' kernels, [N, ...]; `instance_size`
        is the side of the search region in px of network input. Raises InconsistentModelError where the
        entry's constants do not belong to the network.
        """
        requests = Requests(table)
        squares = requests.squares
        fills = requests.fills.repeat(len(squares) // len(table), 1)
        crops = sample_squares(frame, squares, instance_size, fills)
        # [N, size, size, 3] seen as [N, 3, size, size] is laid out channels last.
        features = self._network.features(crops.permute(0, 3, 1, 2).to(self._dtype))
        cls, loc = self._network.respond(template, features)
        selected = self._decoder.select(cls, loc, requests.sizes, instance_size, requests.window_influence)
        measured = measured_boxes(selected, requests)
        observations = observe(selected, measured, requests, self.entry.tracking)
        found = self._masks(selected, template, features, cls.shape[-1]) if masks else None
        return StepResult(observations, found)

    def _masks(self, selected: Tensor, template: Template, features: SearchFeatures, side: int) -> Tensor:
        """Probabilities [N, mask side, mask side] of the masks of the selected cells."""
        cell = selected[:, 0].to(torch.int64) % (side * side)
        batch = torch.arange(len(cell), device=cell.device)
        cells = Cells(batch, torch.div(cell, side, rounding_mode="floor"), cell % side)
        return torch.sigmoid(self._network.refine_masks(template, features, cells).float())
