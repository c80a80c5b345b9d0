"""A Siamese network cut into graphs: functions of tensors alone, with fixed shapes, for any engine to run.

The template graph runs once a target, and what it gives are inputs of the others: a new target needs no new
graph. Windows of features that a mask is computed from are cut between the graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.config import ModelConfig, TrackingConfig
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SearchFeatures, SiameseNetwork, Template, mask_inputs

GraphName = Literal["template", "search", "mask", "region_box", "region_mask"]
Tensors = tuple[Tensor, ...]

OF_IMAGES: tuple[GraphName, ...] = ("template", "search")
"""Graphs whose first input is images."""
OF_ONE_SIZE: tuple[GraphName, ...] = ("template", "mask")
"""Graphs that are the same for every size of search regions."""


def graph_names(config: ModelConfig) -> tuple[GraphName, ...]:
    """The graphs that a network is cut into."""
    names: tuple[GraphName, ...] = ("template", "search")
    if config.mask is not None:
        names = (*names, "mask")
    if config.region is not None:
        names = (*names, "region_box", "region_mask")
    return names


def search_sizes(tracking: TrackingConfig) -> tuple[int, ...]:
    """Sides of the search regions that a tracker is known to use, px, the usual one first."""
    small, long_term = tracking.small_target, tracking.long_term
    sizes = [tracking.instance_size]
    if small is not None:
        sizes.append(small.instance_size)
    if long_term is not None and long_term.scan is None:
        sizes += long_term.instance_sizes
    return tuple(dict.fromkeys(sizes))


@dataclass(frozen=True)
class Layout:
    """How many tensors of each kind stand, in this order, in a flat template and in kept features."""

    rpn: int
    exemplar: int
    mask: int
    region: int
    levels: int
    refine: int

    @property
    def compared(self) -> int:
        """Tensors of a template that the search graph takes: they come first."""
        return self.rpn + self.exemplar

    def template(self, tensors: Tensors) -> Template:
        """Tensors -> template."""
        rpn, rest = tensors[: self.rpn], tensors[self.rpn :]
        exemplar, rest = rest[: self.exemplar], rest[self.exemplar :]
        mask, region = rest[: self.mask], rest[self.mask :]
        return Template(rpn, mask[0] if mask else None, region, exemplar)

    def features(self, tensors: Tensors) -> SearchFeatures:
        """What the search graph keeps, after cls, loc and attended kernels -> features."""
        return SearchFeatures(list(tensors[: self.levels]), list(tensors[self.levels :]))


def layout(config: ModelConfig, tracking: TrackingConfig) -> Layout:
    """The layout of a network. Nothing is computed: shapes alone are followed."""
    with torch.device("meta"), torch.no_grad():
        network = SiameseNetwork(config).eval()
        template = network.template(torch.empty(1, 3, tracking.exemplar_size, tracking.exemplar_size))
        search = network.features(torch.empty(1, 3, tracking.instance_size, tracking.instance_size))
    levels, refine = _kept(config, search)
    region = len(config.rpn_layers) if config.region is not None else 0
    mask = 1 if config.mask is not None else 0
    return Layout(len(template.rpn), len(template.exemplar), mask, region, len(levels), len(refine))


def _kept(config: ModelConfig, search: SearchFeatures) -> tuple[list[Tensor], list[Tensor]]:
    """The features that masks or regions are computed from after the search: levels, layers."""
    if config.mask is not None:
        return [search.levels[config.mask.level]], search.refine
    if config.region is not None:
        return search.levels, search.refine
    return [], []


class TemplateGraph(nn.Module):
    """Exemplar [1, 3, 127, 127] -> a flat template."""

    def __init__(self, network: SiameseNetwork, layout: Layout) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, exemplar: Tensor) -> Tensors:
        return self.network.template(exemplar).tensors


class SearchGraph(nn.Module):
    """Search regions [R, 3, S, S] and the compared part of one flat template -> cls, loc, kept tensors.

    Kept are, where the network attends, the attended kernels of regions; then what `Layout.features` takes.
    """

    def __init__(self, network: SiameseNetwork, layout: Layout) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, crops: Tensor, *compared: Tensor) -> Tensors:
        network = self.network
        template = Template(compared[: self.layout.rpn], exemplar=compared[self.layout.rpn :])
        template, search = network.attend(template, network.features(crops))
        cls, loc = network.respond(template, search)
        attended = template.region if network.config.attention else ()
        levels, refine = _kept(network.config, search)
        return (cls, loc, *attended, *levels, *refine)


class MaskGraph(nn.Module):
    """Mask kernel [1, hidden, h, w] and windows of features of one cell -> mask logits [1, side, side]."""

    def __init__(self, network: SiameseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, kernel: Tensor, *windows: Tensor) -> Tensor:
        return self.network.masks(kernel, windows)


class RegionBoxGraph(nn.Module):
    """Regions [1, 5], kernels of regions and levels -> deltas [1, 4]."""

    def __init__(self, network: SiameseNetwork, layout: Layout, search_size: int) -> None:
        super().__init__()
        self.network, self.layout, self.search_size = network, layout, search_size

    def forward(self, regions: Tensor, *tensors: Tensor) -> Tensor:
        kernels, levels = tensors[: self.layout.region], tensors[self.layout.region :]
        template, search = Template((), region=kernels), SearchFeatures(list(levels), [])
        return self.network.region_deltas(template, search, regions, self.search_size)


class RegionMaskGraph(nn.Module):
    """Regions [1, 5] and kept features -> mask logits [1, side, side]."""

    def __init__(self, network: SiameseNetwork, layout: Layout, search_size: int) -> None:
        super().__init__()
        self.network, self.layout, self.search_size = network, layout, search_size

    def forward(self, regions: Tensor, *features: Tensor) -> Tensor:
        return self.network.region_masks(self.layout.features(features), regions, self.search_size)


@dataclass(frozen=True)
class Graph:
    """One graph: its module, inputs such as it gets (`cut`), and names for both ends."""

    module: nn.Module
    inputs: Tensors
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


@torch.no_grad()
def cut(
    network: SiameseNetwork, tracking: TrackingConfig, search_size: int, targets: int = 1
) -> dict[GraphName, Graph]:
    """The graphs of `network` (float32, on the CPU, in eval mode) for search regions of `search_size` px.

    Where shapes above begin with 1 or R, graphs for N `targets` at once have N or R * N, all targets at one
    scale first. Their inputs come of search regions with as much detail at every scale, as photographs have
    it, and of exemplars from the middle of them.
    """
    config, lay = network.config, layout(network.config, tracking)
    scales = tracking.pyramid.count if tracking.pyramid is not None else 1
    crops = _images(scales * targets, search_size)
    before = (search_size - tracking.exemplar_size) // 2
    middle_px = slice(before, before + tracking.exemplar_size)
    exemplar = crops[:targets, :, middle_px, middle_px].clone()
    template = TemplateGraph(network, lay)
    flat = template(exemplar)
    template_names = _numbered("template", len(flat))
    search, compared = SearchGraph(network, lay), flat[: lay.compared]
    answers = search(crops, *compared)
    kept = answers[2:]
    kept_names = _numbered("kept", len(kept))
    graphs: dict[GraphName, Graph] = {
        "template": Graph(template, (exemplar,), ("exemplar",), template_names),
        "search": Graph(
            search,
            (crops, *compared),
            ("search", *template_names[: lay.compared]),
            ("cls", "loc", *kept_names),
        ),
    }
    if config.mask is not None:
        features, kernel = lay.features(kept), lay.template(flat).mask
        assert kernel is not None
        centre = [answers[0].shape[-1] // 2] * targets
        cells = Cells(range(targets), centre, centre)
        kernel, windows = mask_inputs(kernel, features.levels[0], features.refine, cells)
        names = ("kernel", *_numbered("window", len(windows)))
        graphs["mask"] = Graph(MaskGraph(network), (kernel, *windows), names, ("mask",))
    if config.region is not None:
        quarter, half = search_size / 4, search_size / 2
        middle = torch.tensor([[number, quarter, quarter, half, half] for number in range(targets)])
        kernels = kept[: lay.region] if config.attention else lay.template(flat).region
        features = lay.features(kept[lay.region :] if config.attention else kept)
        graphs["region_box"] = Graph(
            RegionBoxGraph(network, lay, search_size),
            (middle, *kernels, *features.levels),
            ("regions", *_numbered("kernel", lay.region), *_numbered("level", lay.levels)),
            ("deltas",),
        )
        graphs["region_mask"] = Graph(
            RegionMaskGraph(network, lay, search_size),
            (middle, *features.levels, *features.refine),
            ("regions", *_numbered("level", lay.levels), *_numbered("stage", lay.refine)),
            ("mask",),
        )
    for graph in graphs.values():
        # A wrapper in training mode would take the network with it when an exporter sets its mode again.
        graph.module.eval()
    return graphs


def _images(count: int, side: int) -> Tensor:
    """Images [count, 3, side, side], 0..255, the same at every call: noise of many scales."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(count, 3, side, side)
    cells = 4
    while cells < side:
        octave = torch.randn(count, 3, cells, cells, generator=generator) / cells
        total += F.interpolate(octave, size=(side, side), mode="bilinear", align_corners=False)
        cells *= 2
    total -= total.mean(dim=(2, 3), keepdim=True)
    return (128 + 60 * total / total.std(dim=(2, 3), keepdim=True)).clamp(0, 255)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{index}" for index in range(count))
