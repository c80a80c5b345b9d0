"""The Siamese network: one backbone seen twice, and heads on the correlation of what it saw.

The figure of SiamRPN++ (Li et al., CVPR 2019, figure 1), block by block: backbone (`resnet`, `mobilenet_v2`,
`alexnet`), adjust layers (`neck`), depthwise correlation (`xcorr`), RPN heads and their weighted sum (`rpn`);
SiamMask (Wang et al., CVPR 2019, figure 2) adds the mask branch and its refinement (`mask`), SiamAttn (Yu et
al., CVPR 2020, figure 2) attention between the branches (`attention`) and region refinement (`region`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from siam_tracker_ros.models.attention import FeatureEnhance
from siam_tracker_ros.models.backbones import build_backbone, refine_layers
from siam_tracker_ros.models.config import ModelConfig
from siam_tracker_ros.models.int8_calibration import Calibration
from siam_tracker_ros.models.mask import Cells, MaskCorr, Refine, mask_windows, refine_windows
from siam_tracker_ros.models.neck import AdjustAllLayer
from siam_tracker_ros.models.region import BOX_STDS, BoxHead, FeatureFusion, RegionMaskHead
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
    """What a target leaves behind at its first frame, with a leading batch dimension.

    Correlation kernels of the RPN, the mask branch and region refinement. Where attention mixes both
    branches there are none before `SiameseNetwork.attend`, only what it takes of the exemplar.
    """

    rpn: Kernels
    mask: Tensor | None = None
    region: Kernels = ()
    exemplar: Kernels = ()

    @property
    def tensors(self) -> Kernels:
        """All of them: those of the search first, then those of masks and regions."""
        masks = () if self.mask is None else (self.mask,)
        return (*self.rpn, *self.exemplar, *masks, *self.region)

    def map(self, change: Callable[[Tensor], Tensor]) -> Template:
        """The template with `change` applied to each tensor."""

        def changed(kernels: Kernels) -> Kernels:
            return tuple(change(kernel) for kernel in kernels)

        mask = None if self.mask is None else change(self.mask)
        return Template(changed(self.rpn), mask, changed(self.region), changed(self.exemplar))


@dataclass(frozen=True)
class SearchFeatures:
    """Features of a batch of search regions: the RPN's levels, and the layers that refinement merges."""

    levels: list[Tensor]
    refine: list[Tensor]


def stack_templates(templates: Sequence[Template]) -> Template:
    """Templates of several targets as one batch, in their order."""
    if len(templates) == 1:
        return templates[0]
    masks = [t.mask for t in templates if t.mask is not None]
    return Template(
        _stacked([t.rpn for t in templates]),
        torch.cat(masks) if masks else None,
        _stacked([t.region for t in templates]),
        _stacked([t.exemplar for t in templates]),
    )


def _stacked(kernels: Sequence[Kernels]) -> Kernels:
    return tuple(torch.cat(each) for each in zip(*kernels, strict=True))


def mask_inputs(
    kernels: Tensor, level: Tensor, layers: Sequence[Tensor], cells: Cells
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All that the masks of M `cells` depend on: kernels [M, hidden, h, w] and windows of features.

    `kernels` are those of all samples, `level` the features that the mask is correlated on, `layers` those
    that refinement merges, none without it.
    """
    batch, rows, cols = cells.on(kernels.device)
    cells = Cells(batch, rows, cols)
    under_kernel = mask_windows(level, cells, kernels.shape[3])
    return kernels[batch], (under_kernel, *(refine_windows(layers, cells) if layers else ()))


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
    """Backbone, neck, RPN head and, where the configuration has them, attention, mask branch, regions.

    Images are [N, 3, H, W] float, BGR, 0..255, without mean or scale, as PySOT's weights expect.
    State dict keys are PySOT's, and those of SiamAttn's published weights.
    """

    rpn_head: Head
    mask_head: MaskCorr
    refine_head: Refine
    calibration: Calibration | None = None
    """How its search side is rounded to int8, where that was calibrated."""

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
        if config.attention:
            self.feature_enhance = FeatureEnhance(channels)
        if config.region is not None:
            if config.mask is not None:
                raise ValueError("region refinement gives the mask; there is no mask branch beside it")
            stages = tuple(self.backbone.channels[layer] for layer in config.region.stages)
            self.feature_fusion = FeatureFusion(stages, channels, config.region.hidden)
            self.bbox_head = BoxHead(config.region)
            self.add_module("mask_head", RegionMaskHead(config.region))

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
        """Exemplar features per level, after the neck -> what later frames need of them."""
        if self.config.attention:
            return Template((), exemplar=self.feature_enhance.exemplar(levels))
        return self._kernels(levels)

    def _kernels(self, levels: list[Tensor]) -> Template:
        mask = None
        if self.config.mask is not None:
            mask = self.mask_head.kernel(levels[self.config.mask.level])
        region = self.feature_fusion.kernels(levels) if self.config.region is not None else ()
        return Template(self.rpn_head.kernels(levels), mask, region)

    def attend(self, template: Template, search: SearchFeatures) -> tuple[Template, SearchFeatures]:
        """Let exemplar and search features enhance each other, where it is not done yet."""
        if not template.exemplar:
            return template, search
        exemplar, levels = self.feature_enhance(template.exemplar, search.levels)
        return self._kernels(exemplar), SearchFeatures(levels, search.refine)

    def respond(self, template: Template, search: SearchFeatures) -> tuple[Tensor, Tensor]:
        """Correlate -> cls [N, 2K, S, S] (background first), loc [N, 4K, S, S] (dx, dy, dw, dh)."""
        template, search = self.attend(template, search)
        cls, loc = self.rpn_head(template.rpn, search.levels)
        return cls, loc

    def refine_masks(self, template: Template, search: SearchFeatures, cells: Cells) -> Tensor:
        """Mask logits [len(cells), 127, 127] of cells of the response maps (SiamMask, appendix A).

        Without refinement they are the coarse ones, [len(cells), coarse_size, coarse_size].
        """
        if self.config.mask is None or template.mask is None:
            raise ValueError("this network has no mask branch")
        level = search.levels[self.config.mask.level]
        return self.masks(*mask_inputs(template.mask, level, search.refine, cells))

    def masks(self, kernel: Tensor, windows: Sequence[Tensor]) -> Tensor:
        """Mask logits of `mask_inputs`: [M, 127, 127], or [M, coarse_size, coarse_size]."""
        under_kernel, *refine = windows
        if not refine:
            return self.mask_head.coarse_at(kernel, under_kernel)
        logits: Tensor = self.refine_head(refine, self.mask_head.at(kernel, under_kernel))
        return logits

    def region_deltas(
        self, template: Template, search: SearchFeatures, regions: Tensor, search_size: int
    ) -> Tensor:
        """Refinement of boxes, [M, 4]: shifts as parts of the size, logarithms of changes of size.

        `regions` [M, 5] are (sample of the batch, x1, y1, x2, y2), px of the search region of `search_size`
        px; template and features are attended to.
        """
        fused = self.feature_fusion.box_features(template.region, search.levels)
        deltas: Tensor = self.bbox_head(fused, regions, fused.shape[-1] / search_size)
        return deltas * deltas.new_tensor(BOX_STDS)

    def region_masks(self, search: SearchFeatures, regions: Tensor, search_size: int) -> Tensor:
        """Mask logits [M, side, side] of `regions`, as `region_deltas` takes them."""
        fused = self.feature_fusion.mask_features(search.refine, search.levels)
        logits: Tensor = self.get_submodule("mask_head")(fused, regions, fused.shape[-1] / search_size)
        return logits

    def forward(self, exemplar: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """Exemplars [N, 3, 127, 127] and search regions [N, 3, S, S] -> cls, loc, as `respond`."""
        return self.respond(self.template(exemplar), self.features(search))
