"""What a network makes of some pairs, as one picture: to see at a glance whether training goes right."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.training.losses import split_cls
from siam_tracker_ros.training.step import Backbone, Batch, run_network
from siam_tracker_ros.training.validation import decode_best

UInt8 = NDArray[np.uint8]

TRUE_BGR, PREDICTED_BGR = (80, 220, 60), (40, 40, 240)
_GAP = 3


def heat_map(response: NDArray[np.float32], size: int, stride: int) -> UInt8:
    """A response map [S, S], 0..1, in colours, each cell where it lies in a search region of `size` px."""
    levels = np.clip(np.round(response * 255), 0, 255).astype(np.uint8)
    side = len(response) * stride
    large = cv2.resize(levels, (side, side), interpolation=cv2.INTER_NEAREST)
    before, after = (size - side) // 2, size - side - (size - side) // 2
    whole = cv2.copyMakeBorder(large, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.applyColorMap(whole, cv2.COLORMAP_VIRIDIS), np.uint8)


def target_probability(cls: Tensor) -> Tensor:
    """Classification maps [N, 2K, S, S] -> the best anchor's probability at each cell, [N, S, S]."""
    return split_cls(cls.float()).softmax(dim=1)[:, 1].amax(dim=1)


def _with_box(image: UInt8, box: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    centre = (image.shape[0] - 1) / 2
    # Early in training a box may be anywhere and of any size.
    beyond = 2.0 * image.shape[0]
    low, high = (
        np.nan_to_num(corner, nan=-beyond).clip(-beyond, beyond).round().astype(int)
        for corner in (centre + box[:2] - box[2:] / 2, centre + box[:2] + box[2:] / 2)
    )
    cv2.rectangle(image, low.tolist(), high.tolist(), colour, 2)


def _with_mask(image: UInt8, logits: Tensor, corner: tuple[int, int], threshold: float) -> None:
    """Colour the mask [127, 127] whose upper left is at `corner` (row, column) of the image."""
    found = (torch.sigmoid(logits.float()) > threshold).cpu().numpy()
    size, (top, left) = image.shape[0], corner
    rows = slice(max(top, 0), min(top + len(found), size))
    cols = slice(max(left, 0), min(left + len(found), size))
    inside = found[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    part = image[rows, cols]
    part[inside] = (0.5 * part[inside] + 0.5 * np.array(PREDICTED_BGR)).astype(np.uint8)


def _shown(image: Tensor) -> UInt8:
    return np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0))


@torch.no_grad()
def sample_picture(
    network: SiameseNetwork,
    backbone: Backbone,
    batch: Batch,
    anchors: NDArray[np.float32],
    stride: int,
    mask_threshold: float,
    rows: int = 6,
) -> UInt8:
    """The first pairs of a batch, one a row: exemplar; search region with the true box and the predicted one.

    Then the predicted mask at the best cell where the network has a mask branch, and the response: the best
    anchor's probability at each cell. [H, W, 3] BGR. The network has to be in eval mode.
    """
    batch = {key: value[:rows] for key, value in batch.items()}
    outputs = run_network(network, backbone, batch)
    boxes, cells = decode_best(outputs.cls, outputs.loc, anchors)
    response = target_probability(outputs.cls).cpu().numpy()
    masks = None
    if network.config.mask is not None:
        masks = outputs.masks(network, torch.arange(len(cells), device=cells.device), cells)
    lines = []
    for number in range(len(cells)):
        search = _shown(batch["search"][number])
        size = search.shape[0]
        exemplar = np.full_like(search, 40)
        small = _shown(batch["exemplar"][number])
        inset = (size - small.shape[0]) // 2
        exemplar[inset : inset + small.shape[0], inset : inset + small.shape[0]] = small
        boxed = search.copy()
        if not bool(batch["pair"][number, 2]):
            _with_box(boxed, batch["box"][number].cpu().numpy(), TRUE_BGR)
        _with_box(boxed, boxes[number], PREDICTED_BGR)
        tiles = [exemplar, boxed]
        if masks is not None:
            masked = search.copy()
            middle = (response.shape[-1] - 1) // 2
            start = (size - masks.shape[-1]) // 2
            row, col = cells[number].tolist()
            corner = (start + (row - middle) * stride, start + (col - middle) * stride)
            _with_mask(masked, masks[number], corner, mask_threshold)
            tiles.append(masked)
        tiles.append(heat_map(response[number], size, stride))
        gap = np.full((size, _GAP, 3), 255, np.uint8)
        line = np.hstack([part for tile in tiles for part in (tile, gap)][:-1])
        lines += [line, np.full((_GAP, line.shape[1], 3), 255, np.uint8)]
    return np.vstack(lines[:-1])
