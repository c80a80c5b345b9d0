"""The Siamese network: one backbone seen twice, and heads on the correlation of what it saw.

The figure of SiamRPN++ (Li et al., CVPR 2019, figure 1), block by block: backbone (`resnet`, `mobilenet_v2`,
`alexnet`), adjust layers (`neck`), depthwise correlation (`xcorr`), RPN heads and their weighted sum (`rpn`);
SiamMask (Wang et al., CVPR 2019, figure 2) adds the mask branch and its refinement (`mask`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from siam_tracker_ros.models.backbones import build_backbone, refine_layers
from siam_tracker_ros.models.config import ModelConfig
from siam_tracker_ros.models.mask import Cells, MaskCorr, Refine
from siam_tracker_ros.models.neck import AdjustAllLayer
from siam_tracker_ros.models.rpn import (
    CorrelationHead,
    DepthwiseRPN,
    Kernels,
    MultiRPN,
    SimilarityHead,
    UPChannelRPN,
)


@dataclass(frozen=True)
class Template:
    """What a target leaves behind at its first frame: correlation kernels, with a leading batch dimension."""

    rpn: Kernels
    mask: Tensor | None


@dataclass(frozen=True)
class SearchFeatures:
    """Features of a batch of search regions: the RPN's levels, and the layers that mask refinement merges."""

    levels: list[Tensor]
    refine: list[Tensor]


def stack_templates(templates: Sequence[Template]) -> Template:
    """Templates of several targets as one batch, in their order."""
    if len(templates) == 1:
        return templates[0]
    rpn = tuple(torch.cat(kernels) for kernels in zip(*(t.rpn for t in templates), strict=True))
    masks = [t.mask for t in templates if t.mask is not None]
    return Template(rpn, torch.cat(masks) if masks else None)


Head = CorrelationHead | DepthwiseRPN | MultiRPN | SimilarityHead | UPChannelRPN


def _build_head(config: ModelConfig, channels: tuple[int, ...]) -> Head:
    if config.head == "multi_level":
        return MultiRPN(config.anchor_num, channels, config.weighted)
    if len(channels) != 1:
        raise ValueError(f"a '{config.head}' head compares one level, not {len(channels)}")
    if config.head == "depthwise":
        return DepthwiseRPN(config.anchor_num, channels[0], channels[0])
    if config.head == "similarity":
        return SimilarityHead(channels[0], channels[0])
    if config.head == "correlation":
        return CorrelationHead(config.correlation_scale)
    hidden = config.head_channels or channels[0]
    return UPChannelRPN(config.anchor_num, channels[0], hidden, config.logistic)


class SiameseNetwork(nn.Module):
    """Backbone, neck, RPN head and, where the configuration has one, mask branch.

    Images are [N, 3, H, W] float, BGR, 0..255, without mean or scale, as PySOT's weights expect.
    State dict keys are PySOT's.
    """

    rpn_head: Head
    mask_head: MaskCorr
    refine_head: Refine

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        backbone_channels = tuple(self.backbone.channels[layer] for layer in config.rpn_layers)
        self.neck: AdjustAllLayer | None = None
        if config.rpn_channels is not None:
            self.neck = AdjustAllLayer(backbone_channels, config.rpn_channels)
        channels = config.rpn_channels or backbone_channels
        self.rpn_head = _build_head(config, channels)
        if config.mask is not None:
            mask = config.mask
            self.mask_head = MaskCorr(channels[mask.level], mask.hidden, mask.coarse_size)
            if mask.refine_channels is not None:
                self.refine_head = Refine(mask.refine_channels, mask.hidden)
            elif mask.coarse_size is None:
                raise ValueError("a mask branch without refinement needs a coarse_size")

    def features(self, images: Tensor) -> SearchFeatures:
        """Features of [N, 3, H, W] images; also serves exemplars, which the neck tells by their size."""
        return self.features_from(self.backbone(images))

    def features_from(self, layers: dict[int, Tensor]) -> SearchFeatures:
        """What the heads read of the backbone's layers."""
        levels = [layers[index] for index in self.config.rpn_layers]
        if self.neck is not None:
            levels = self.neck(levels)
        return SearchFeatures(levels, [layers[index] for index in refine_layers(self.config)])

    def template(self, exemplar: Tensor) -> Template:
        """Exemplar images [N, 3, 127, 127] -> the kernels that all later frames are correlated with."""
        return self.template_from(self.features(exemplar).levels)

    def template_from(self, levels: list[Tensor]) -> Template:
        """Exemplar features per level, after the neck -> kernels."""
        mask = None
        if self.config.mask is not None:
            mask = self.mask_head.kernel(levels[self.config.mask.level])
        return Template(self.rpn_head.kernels(levels), mask)

    def respond(self, template: Template, search: SearchFeatures) -> tuple[Tensor, Tensor]:
        """Correlate -> cls [N, 2K, S, S] (background first), loc [N, 4K, S, S] (dx, dy, dw, dh)."""
        cls, loc = self.rpn_head(template.rpn, search.levels)
        return cls, loc

    def refine_masks(self, template: Template, search: SearchFeatures, cells: Cells) -> Tensor:
        """Mask logits [len(cells), 127, 127] of cells of the response maps (SiamMask, appendix A).

        Without refinement they are the coarse ones, [len(cells), coarse_size, coarse_size].
        """
        if self.config.mask is None or template.mask is None:
            raise ValueError("this network has no mask branch")
        level = search.levels[self.config.mask.level]
        if self.config.mask.refine_layers is None:
            return self.mask_head.coarse_at(template.mask, level, cells)
        response = self.mask_head.at(template.mask, level, cells)
        logits: Tensor = self.refine_head(search.refine, response, cells)
        return logits

    def forward(self, exemplar: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """Exemplars [N, 3, 127, 127] and search regions [N, 3, S, S] -> cls, loc, as `respond`."""
        return self.respond(self.template(exemplar), self.features(search))
