"""What the channels of the correlation respond to, and where attention looks, as pictures.

Channels are selective: those that answer to one target answer to others of its kind (SiamRPN++, Li et al.,
CVPR 2019, figure 5). A row for each search region shows the same channels, so that this can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from siam_tracker_ros.footage.whole_file import told_of
from siam_tracker_ros.models.attention import channel_weights
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.rpn import (
    CorrelationHead,
    DepthwiseRPN,
    MultiRPN,
    SimilarityHead,
    UPChannelRPN,
)
from siam_tracker_ros.models.siamese import SiameseNetwork, Template
from siam_tracker_ros.models.xcorr import xcorr_depthwise
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.crop import (
    Frame,
    centred_window,
    channel_mean,
    crop_window,
    exemplar_side,
)

CHANNELS_SHOWN = 8
_CELL_INCHES = 1.6
# Attention below this part of the strongest is drawn as none.
_WEAKEST = 1e-4
# Tensors kept of the exemplar for each level where there is attention; the features come first.
_KEPT_PER_LEVEL = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """A search region: whence it is, the picture [S, S, 3] BGR, responses [C, R, R], attention (or None).

    `spatial` [H, W] is where the middle of the region looks; `own` and `cross` [C, C] are the weights between
    channels, of the region itself and of the exemplar.
    """

    footage: str
    number: int
    image: Frame
    responses: NDArray[np.float32]
    spatial: NDArray[np.float32] | None = None
    own: NDArray[np.float32] | None = None
    cross: NDArray[np.float32] | None = None


def crop_around(frame: Frame, box: Box, entry: ZooEntry, size: int) -> Frame:
    """The exemplar (`size` its side) or search region around `box` of `frame`, [size, size, 3]."""
    tracking = entry.tracking
    center = box.center_box(tracking.crop.first_center)
    side = exemplar_side(center.w, center.h, tracking.context_amount) * size / tracking.exemplar_size
    window = centred_window(center, side, tracking.crop)
    return crop_window(frame, window, size, channel_mean(frame, tracking.crop))


def network_input(image: Frame) -> Tensor:
    """A crop as networks take it, [1, 3, S, S]."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))


@torch.no_grad()
def look(network: SiameseNetwork, template: Template, image: Frame, footage: str, number: int) -> Seen:
    """What `network`, in eval mode, makes of the search region `image` of a frame of some footage."""
    before = network.features(network_input(image))
    attended, features = network.attend(template, before)
    responses = channel_responses(network, attended, features.levels)[0].numpy()
    if not network.config.attention:
        return Seen(footage, number, image, responses)
    middle = len(before.levels) // 2
    level = before.levels[middle]
    height, width = level.shape[2:]
    pam = network.feature_enhance.pams[middle]
    spatial = pam.weights(level)[0, (height // 2) * width + width // 2].view(height, width)  # type: ignore[operator]
    exemplar = template.exemplar[_KEPT_PER_LEVEL * middle]
    return Seen(
        footage,
        number,
        image,
        responses,
        spatial.numpy(),
        channel_weights(level)[0].numpy(),
        channel_weights(exemplar)[0].numpy(),
    )


def channel_responses(network: SiameseNetwork, template: Template, levels: Sequence[Tensor]) -> Tensor:
    """The score's correlation by channel, [N, C, R, R], of the middle level where there are several."""
    head, kernels = network.rpn_head, template.rpn
    if isinstance(head, MultiRPN):
        middle = head.levels // 2
        level = getattr(head, f"rpn{middle + 2}")
        return xcorr_depthwise(level.cls.conv_search(levels[middle]), kernels[2 * middle])
    if isinstance(head, DepthwiseRPN | SimilarityHead):
        return xcorr_depthwise(head.cls.conv_search(levels[0]), kernels[0])
    if isinstance(head, UPChannelRPN):
        search = head.search_cls_conv(levels[0])
        n, channels = search.shape[:2]
        # One kernel for every anchor: their mean answers to what they have in common.
        kernel = kernels[0].view(n, -1, channels, *kernels[0].shape[2:]).mean(dim=1)
        return xcorr_depthwise(search, kernel)
    assert isinstance(head, CorrelationHead)
    return xcorr_depthwise(levels[0], kernels[0])


def strongest_channels(seen: Seen, count: int) -> NDArray[np.int64]:
    """Channels whose peak stands out most from the rest of their map, best first."""
    maps = seen.responses.reshape(len(seen.responses), -1)
    contrast = (maps.max(axis=1) - maps.mean(axis=1)) / (maps.std() + 1e-6)
    return np.argsort(-contrast)[:count]


def draw_responses(entry: ZooEntry, rows: Sequence[Seen], path: Path) -> None:
    """Write a picture with a row for every search region: it, its channels, and the attention there is.

    The channels are those that answer the first row most. Raises OutputError where `path` cannot be written.
    """
    channels = strongest_channels(rows[0], CHANNELS_SHOWN)
    attends = rows[0].spatial is not None
    columns = 1 + len(channels) + (3 if attends else 0)
    figure = Figure(
        figsize=(columns * _CELL_INCHES, len(rows) * (_CELL_INCHES + 0.15) + 0.6), layout="constrained"
    )
    figure.suptitle(f"{entry.name}: response by channel, the same channels in every row", fontsize=11)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        for cell in axes:
            cell.set_xticks([])
            cell.set_yticks([])
        axes[0].imshow(cv2.cvtColor(row.image, cv2.COLOR_BGR2RGB))
        axes[0].set_ylabel(f"{row.footage}\nframe {row.number}", fontsize=8)
        # One scale for each channel and video, so that the rows of a target can be compared.
        alike = [other.responses for other in rows if other.footage == row.footage]
        for number, channel in enumerate(channels):
            low = min(responses[channel].min() for responses in alike)
            high = max(responses[channel].max() for responses in alike)
            axes[1 + number].imshow(row.responses[channel], vmin=low, vmax=high)
        if attends:
            for cell, values in zip(axes[-3:], (row.spatial, row.own, row.cross), strict=True):
                assert values is not None
                # By powers of ten, so that what is weak beside a few peaks is seen too.
                cell.imshow(np.log10(np.maximum(values, _WEAKEST * values.max())), cmap="magma")
    for number, channel in enumerate(channels):
        grid[0][1 + number].set_title(f"channel {channel}", fontsize=8)
    if attends:
        titles = ("where the middle\nlooks", "channels, of\nthe region", "channels, of\nthe exemplar")
        for cell, title in zip(grid[0][-3:], titles, strict=True):
            cell.set_title(title, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with told_of(path):
        figure.savefig(path, dpi=110)
