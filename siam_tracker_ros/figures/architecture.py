"""The architecture of a zoo entry as a picture, with the shapes that it really has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from siam_tracker_ros.footage.whole_file import told_of
from siam_tracker_ros.models.config import ModelConfig, ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

# Size of a block and of the gap to the next, inches; columns are one block and one gap apart.
_WIDTH, _GAP = 2.1, 0.55
_EXEMPLAR, _BETWEEN, _SEARCH, _BELOW, _LOWEST = 4.6, 3.1, 1.6, -0.3, -1.9
_COLOURS = {
    "image": "#e8e8e8",
    "backbone": "#cfe0f3",
    "features": "#e3eefa",
    "attention": "#f7d9c9",
    "correlation": "#fbe7b2",
    "output": "#d5ead0",
}
_HEADS = {
    "depthwise": "depthwise correlation,\ntwo 1x1 convolutions",
    "multi_level": "depthwise correlation,\ntwo 1x1 convolutions\nper level, weighted sum",
    "up_channel": "up-channel correlation",
    "similarity": "depthwise correlation,\ntwo 1x1 convolutions",
    "correlation": "plain correlation",
}


@dataclass(frozen=True)
class _Block:
    """A block of the picture: its column, the height of its middle and its own height, inches."""

    column: float
    y: float
    text: str
    kind: str
    height: float = 1.1

    @property
    def left(self) -> float:
        return self.column * (_WIDTH + _GAP)

    @property
    def right(self) -> float:
        return self.left + _WIDTH


@dataclass(frozen=True)
class _Shapes:
    """Features of both branches, layer by layer and level by level, and the head's outputs."""

    layers: tuple[dict[int, Tensor], dict[int, Tensor]]
    levels: tuple[list[Tensor], list[Tensor]]
    cls: Tensor
    loc: Tensor


def _shapes(entry: ZooEntry) -> _Shapes:
    tracking = entry.tracking
    with torch.device("meta"), torch.no_grad():
        network = SiameseNetwork(entry.model).eval()
        exemplar = torch.empty(1, 3, tracking.exemplar_size, tracking.exemplar_size)
        search = torch.empty(1, 3, tracking.instance_size, tracking.instance_size)
        layers = network.backbone(exemplar), network.backbone(search)
        features = network.features_from(layers[0]), network.features_from(layers[1])
        cls, loc = network.respond(network.template_from(features[0].levels), features[1])
    return _Shapes(layers, (features[0].levels, features[1].levels), cls, loc)


def _size(x: Tensor) -> str:
    return f"{x.shape[2]} x {x.shape[3]} x {x.shape[1]}"


def _blocks(entry: ZooEntry) -> tuple[list[_Block], list[tuple[_Block, _Block]]]:
    """What the picture is made of, and which block leads to which."""
    model, tracking, shapes = entry.model, entry.tracking, _shapes(entry)
    column = 2.0
    rows = (_EXEMPLAR, _SEARCH)
    scales = f",\nat {tracking.pyramid.count} scales" if tracking.pyramid else ""
    names = ("exemplar", f"search region{scales}")
    sizes = (tracking.exemplar_size, tracking.instance_size)
    images = [
        _Block(0, y, f"{name}\n{size} x {size} x 3", "image")
        for y, name, size in zip(rows, names, sizes, strict=True)
    ]
    tall = _EXEMPLAR - _SEARCH + 1.4
    backbone = _Block(1, _BETWEEN, f"{model.backbone}\n\nthe same weights\nfor both", "backbone", tall)
    lower = 0.3 * len(model.rpn_layers) + 0.6
    features = [
        _Block(
            column,
            y,
            "\n".join(f"layer {i}: {_size(layers[i])}" for i in model.rpn_layers),
            "features",
            lower,
        )
        for y, layers in zip(rows, shapes.layers, strict=True)
    ]
    blocks = [*images, backbone, *features]
    arrows = [(image, backbone) for image in images] + [(backbone, each) for each in features]
    last = features
    if model.rpn_channels is not None:
        column += 1
        texts = ("1x1 convolution,\nthe centre cut out", "1x1 convolution")
        adjusted = [
            _Block(
                column,
                y,
                f"{text}\n" + "\n".join(_size(level) for level in levels),
                "features",
                lower + 0.5,
            )
            for y, text, levels in zip(rows, texts, shapes.levels, strict=True)
        ]
        arrows += list(zip(last, adjusted, strict=True))
        blocks += adjusted
        last = adjusted
    if model.attention:
        column += 1
        text = (
            "deformable Siamese\nattention, per level:\n\nspatial and channel\nself-attention,\n"
            "channel\ncross-attention,\n3x3 deformable\nconvolution"
        )
        attention = _Block(column, _BETWEEN, text, "attention", tall)
        arrows += [(each, attention) for each in last]
        blocks.append(attention)
        last = [attention]
    column += 1
    head = _Block(column, _BETWEEN, _HEADS[model.head], "correlation", 1.5)
    blocks.append(head)
    arrows += [(each, head) for each in last]
    cells = shapes.cls.shape[-1]
    # A logistic head gives no logit of the background; what stands for it is made up of zeros.
    logits = model.anchor_num if model.logistic else shapes.cls.shape[1]
    outputs = [f"score\n{cells} x {cells} x {logits}"]
    if model.head in ("similarity", "correlation"):
        outputs = [f"response map\n{cells} x {cells}"]
    else:
        outputs.append(f"box\n{_size(shapes.loc)}")
    tops = (_BETWEEN + 0.75, _BETWEEN - 0.75) if len(outputs) == 2 else (_BETWEEN,)
    results = [_Block(column + 1, y, text, "output") for y, text in zip(tops, outputs, strict=True)]
    blocks += results
    arrows += [(head, result) for result in results]
    more = _mask_blocks(model, shapes, column, last[-1])
    more += _region_blocks(model, shapes, column, last[-1])
    blocks += [block for _, block in more]
    arrows += [(before, block) for before, block in more]
    return blocks, arrows


def _mask_blocks(
    model: ModelConfig, shapes: _Shapes, column: float, features: _Block
) -> list[tuple[_Block, _Block]]:
    mask = model.mask
    if mask is None:
        return []
    vector = _Block(column, _BELOW, f"response of the best\ncell: 1 x 1 x {mask.hidden}", "correlation")
    if mask.refine_layers is None:
        side = mask.coarse_size
        read = _Block(column + 1, _BELOW, f"two 1x1 convolutions:\nmask {side} x {side}", "output")
        return [(features, vector), (vector, read)]
    merged = "\n".join(f"layer {i}: {_size(shapes.layers[1][i])}" for i in reversed(mask.refine_layers))
    refine = _Block(column + 1, _BELOW, f"refinement, merging\n{merged}", "correlation", 1.5)
    result = _Block(column + 2, _BELOW, "mask 127 x 127", "output")
    return [(features, vector), (vector, refine), (refine, result)]


def _region_blocks(
    model: ModelConfig, shapes: _Shapes, column: float, features: _Block
) -> list[tuple[_Block, _Block]]:
    region = model.region
    if region is None:
        return []
    cells, stage = shapes.cls.shape[-1], shapes.layers[1][region.stages[-1]]
    side, mask = stage.shape[-1], region.mask_pool * region.mask_growth
    box_map = _Block(
        column,
        _BELOW,
        f"correlations of the\nlevels, fused\n{cells} x {cells} x {region.hidden}",
        "correlation",
    )
    merged = ", ".join(map(str, region.stages))
    mask_map = _Block(
        column,
        _LOWEST,
        f"layers {merged} and the\nlevels, fused\n{side} x {side} x {region.hidden}",
        "correlation",
    )
    pools = [
        _Block(column + 1, y, f"deformable RoI pooling\n{pool} x {pool} x {region.hidden}", "attention")
        for y, pool in ((_BELOW, region.box_pool), (_LOWEST, region.mask_pool))
    ]
    box = _Block(column + 2, _BELOW, f"two layers of {region.box_hidden}:\nrefined box", "output")
    result = _Block(
        column + 2, _LOWEST, f"four convolutions, one\ntransposed:\nmask {mask} x {mask}", "output"
    )
    return [
        (features, box_map), (box_map, pools[0]), (pools[0], box),
        (features, mask_map), (mask_map, pools[1]), (pools[1], result),
    ]  # fmt: skip


def draw_architecture(entry: ZooEntry, path: Path) -> None:
    """Write the picture of `entry` to `path` (.png, .svg or .pdf).

    Raises OutputError where it cannot be written.
    """
    blocks, arrows = _blocks(entry)
    right = max(block.right for block in blocks) + 0.2
    top = max(block.y + block.height / 2 for block in blocks) + 0.6
    bottom = min(block.y - block.height / 2 for block in blocks) - 0.2
    figure = Figure(figsize=(right + 0.2, top - bottom))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.2, right)
    axes.set_ylim(bottom, top)
    axes.axis("off")
    axes.text(0, top - 0.3, entry.name, fontsize=15, fontweight="bold", va="center")
    for block in blocks:
        _draw_block(axes, block)
    for start, end in arrows:
        _draw_arrow(axes, start, end)
    path.parent.mkdir(parents=True, exist_ok=True)
    with told_of(path):
        figure.savefig(path, dpi=110)


def _draw_block(axes: object, block: _Block) -> None:
    shape = FancyBboxPatch(
        (block.left, block.y - block.height / 2),
        _WIDTH,
        block.height,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=_COLOURS[block.kind],
        edgecolor="#555555",
    )
    axes.add_patch(shape)  # type: ignore[attr-defined]
    axes.text(  # type: ignore[attr-defined]
        block.left + _WIDTH / 2, block.y, block.text, fontsize=9, ha="center", va="center"
    )


def _draw_arrow(axes: object, start: _Block, end: _Block) -> None:
    def reach(block: _Block, y: float) -> float:
        return min(max(y, block.y - block.height / 2 + 0.2), block.y + block.height / 2 - 0.2)

    shorter, taller = sorted((start, end), key=lambda block: block.height)
    points: Sequence[tuple[float, float]] = (
        (start.right, reach(start, end.y)),
        (end.left, reach(end, start.y)),
    )
    if abs(shorter.y - taller.y) < taller.height / 2:
        points = ((start.right, shorter.y), (end.left, shorter.y))
    arrow = FancyArrowPatch(
        *points, arrowstyle="-|>", mutation_scale=12, color="#555555", shrinkA=1, shrinkB=1
    )
    axes.add_patch(arrow)  # type: ignore[attr-defined]
