"""One pass of a batch of pairs through the network, to outputs and losses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.backbones import refine_layers
from siam_tracker_ros.models.inference import fuse_batch_norm
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.rpn import Kernels
from siam_tracker_ros.models.siamese import SearchFeatures, SiameseNetwork, Template
from siam_tracker_ros.training.config import LossConfig
from siam_tracker_ros.training.losses import (
    classification_loss,
    mask_loss,
    refined_box_loss,
    region_mask_loss,
    regression_loss,
    with_hard_negatives,
)
from siam_tracker_ros.training.region_targets import NO_MASK

Backbone = Callable[[Tensor], dict[int, Tensor]]
Batch = dict[str, Tensor]

# The gradient of one window is as large as all it is cut from, so masks are refined a few samples at a time.
_MASKS_AT_ONCE = 4
_MASK_SIDE = 127


@dataclass(frozen=True)
class Losses:
    """Parts of the loss, unweighted, and their weighted sum; `box` is that of the refined box."""

    total: Tensor
    cls: Tensor
    loc: Tensor
    mask: Tensor
    box: Tensor

    def items(self) -> dict[str, float]:
        """The values by name."""
        return {field.name: float(getattr(self, field.name).detach()) for field in fields(self)}


class FrozenBackbone(nn.Module):
    """A copy of a backbone that computes the same without gradient, its batch norms folded."""

    def __init__(self, backbone: nn.Module, dtype: torch.dtype, compiled: bool) -> None:
        super().__init__()
        fused = copy.deepcopy(backbone).eval()
        fuse_batch_norm(fused)
        self.backbone = fused.to(dtype)
        self.dtype = dtype
        self.requires_grad_(False)
        self._run: Backbone = self.backbone
        if compiled:
            # Frozen weights let the compiler merge each convolution with the clamp after it.
            self._run = torch.compile(self.backbone, dynamic=False, options={"freezing": True})

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Image batch [N, 3, H, W] -> {layer: features}."""
        with torch.autocast(images.device.type, enabled=False):
            layers: dict[int, Tensor] = self._run(images.to(self.dtype))
        return layers


def network_input(images: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] -> float32 0..255 with channels last, in which convolutions run fastest."""
    return images.to(torch.float32, memory_format=torch.channels_last)


def _samples(features: SearchFeatures, start: int, stop: int) -> SearchFeatures:
    return SearchFeatures([x[start:stop] for x in features.levels], [x[start:stop] for x in features.refine])


def refine_batch(
    network: SiameseNetwork, template: Template, search: SearchFeatures, cells: Tensor
) -> Tensor:
    """Mask logits [N, 127, 127] of one cell a sample, `cells` [N, 2] (row, column)."""
    assert template.mask is not None
    logits = []
    for start in range(0, len(cells), _MASKS_AT_ONCE):
        part = cells[start : start + _MASKS_AT_ONCE]
        stop = start + len(part)
        where = Cells(torch.arange(len(part), device=part.device), part[:, 0], part[:, 1])
        kernels = Template(template.rpn, template.mask[start:stop])
        logits.append(network.refine_masks(kernels, _samples(search, start, stop), where))
    masks = torch.cat(logits)
    if masks.shape[-1] == _MASK_SIDE:
        return masks
    # Coarse masks are compared at the size of the refined ones, as SiamMask does.
    size = (_MASK_SIDE, _MASK_SIDE)
    return F.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=True).squeeze(1)


def _select(template: Template, search: SearchFeatures, index: Tensor) -> tuple[Template, SearchFeatures]:
    mask = None if template.mask is None else template.mask[index]
    chosen = SearchFeatures([x[index] for x in search.levels], [x[index] for x in search.refine])
    return Template(template.rpn, mask, tuple(kernel[index] for kernel in template.region)), chosen


@dataclass(frozen=True)
class Outputs:
    """cls [N, 2K, S, S] and loc [N, 4K, S, S] of a batch, and what masks are refined from."""

    cls: Tensor
    loc: Tensor
    template: Template
    search: SearchFeatures

    def masks(self, network: SiameseNetwork, index: Tensor, cells: Tensor) -> Tensor:
        """Mask logits [M, 127, 127] of samples `index` [M] at `cells` [M, 2]."""
        template, search = _select(self.template, self.search, index)
        return refine_batch(network, template, search, cells)


Responded = tuple[Tensor, Tensor, Tensor | None, Kernels, list[Tensor]]
Respond = Callable[[SiameseNetwork, dict[int, Tensor], dict[int, Tensor]], Responded]


def respond(network: SiameseNetwork, exemplar: dict[int, Tensor], search: dict[int, Tensor]) -> Responded:
    """All between backbone and losses: layers of both sides -> cls, loc, mask and region kernels, levels."""
    template, features = network.attend(
        network.template_from(network.features_from(exemplar).levels), network.features_from(search)
    )
    cls, loc = network.respond(template, features)
    return cls, loc, template.mask, template.region, features.levels


def run_network(
    network: SiameseNetwork, backbone: Backbone, batch: Batch, respond: Respond = respond
) -> Outputs:
    """Outputs of a batch. `backbone` stands in for the network's own; `respond` may be compiled."""
    layers = backbone(network_input(batch["search"]))
    cls, loc, kernel, region, levels = respond(network, backbone(network_input(batch["exemplar"])), layers)
    refine = [layers[index] for index in refine_layers(network.config)]
    return Outputs(cls, loc, Template((), kernel, region), SearchFeatures(levels, refine))


def region_losses(
    network: SiameseNetwork, outputs: Outputs, batch: Batch, masks_per_batch: int
) -> tuple[Tensor, Tensor]:
    """Losses of refined boxes and of region masks, over the proposals of a batch's positive pairs."""
    zero = outputs.cls.sum() * 0.0
    count = batch["regions"].shape[1]
    # [N, R, 5], the sample's number first.
    sample = torch.arange(len(batch["regions"]), device=zero.device).repeat_interleave(count)
    regions = torch.cat((sample[:, None].float(), batch["regions"].flatten(0, 1)), dim=1)
    positive = torch.nonzero(batch["pair"][sample, 2] == 0).flatten()
    if not len(positive):
        return zero, zero
    size = batch["search"].shape[-1]
    deltas = network.region_deltas(outputs.template, outputs.search, regions[positive], size)
    box = refined_box_loss(deltas, batch["region_deltas"].flatten(0, 1)[positive])
    wanted = batch["region_masks"].flatten(0, 1)
    known = positive[wanted[positive, 0, 0] != NO_MASK][:masks_per_batch]
    if not len(known):
        return box, zero
    logits = network.region_masks(outputs.search, regions[known], size)
    return box, region_mask_loss(logits, wanted[known])


def batch_losses(
    network: SiameseNetwork,
    backbone: Backbone,
    batch: Batch,
    config: LossConfig,
    respond: Respond = respond,
) -> Losses:
    """Losses of a batch of samples (`samples.PairSamples`)."""
    outputs = run_network(network, backbone, batch, respond)
    labels = with_hard_negatives(
        batch["labels"], batch["may_be_negative"], outputs.cls, config.hard_negatives
    )
    cls = classification_loss(outputs.cls, labels)
    loc = regression_loss(outputs.loc, batch["loc"], labels)
    mask = box = cls.new_zeros(())
    index = torch.nonzero(batch["mask_cell"][:, 0] >= 0).flatten()[: config.masks_per_batch]
    if network.config.mask is not None and len(index):
        logits = outputs.masks(network, index, batch["mask_cell"][index])
        mask = mask_loss(logits, batch["mask"][index])
    if network.config.region is not None:
        box, mask = region_losses(network, outputs, batch, config.masks_per_batch)
    total = config.cls_weight * cls + config.loc_weight * loc + config.mask_weight * mask
    return Losses(total + config.refined_box_weight * box, cls, loc, mask, box)
