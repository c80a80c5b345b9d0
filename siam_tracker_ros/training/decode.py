"""From annotated frames to pixels: frames decoded ahead of their use, and what of them is usable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import BrokenItem, Item, TargetLabel

UInt8 = NDArray[np.uint8]
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class DecodedTarget:
    """A usable target: box in px of the decoded frame, mask, 0/255, cut to its extent at column, row."""

    track: str
    box: Box
    mask: UInt8 | None
    corner: tuple[int, int]


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A frame's pixels and usable targets; `image` is None where there are none. {item: reason} otherwise."""

    group: str
    is_still: bool
    image: UInt8 | None = None
    targets: tuple[DecodedTarget, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)


def _uint8(image: object) -> UInt8:
    return np.asarray(image, dtype=np.uint8)


def read_image(path: Path, flag: int) -> UInt8 | None:
    """An image file by OpenCV's `flag`; None where there is none that can be read."""
    try:
        decoded = cv2.imread(str(path), flag)
    except cv2.error:
        # A header that claims more pixels than OpenCV reads, for example.
        return None
    return None if decoded is None else _uint8(decoded)


def _scaled(image: UInt8, max_side: int | None) -> tuple[UInt8, float]:
    scale = 1.0 if max_side is None else min(1.0, max_side / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return _uint8(cv2.resize(image, size, interpolation=cv2.INTER_AREA)), scale


def _read_mask(label: TargetLabel, shape: tuple[int, int], scale: float) -> UInt8 | None:
    """Mask of the scaled frame, 0/255, or None where the label has none that is usable."""
    height, width = shape
    whole: UInt8 | None = None
    if label.mask is not None:
        whole = label.mask.astype(np.uint8) * 255
    elif label.mask_file is not None:
        whole = read_image(label.mask_file, cv2.IMREAD_GRAYSCALE)
    if whole is not None:
        resized = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        return np.where(resized > 127, 255, 0).astype(np.uint8)
    if not label.polygons:
        return None
    mask = np.zeros(shape, dtype=np.uint8)
    outlines = [
        np.round(np.reshape(polygon, (-1, 2)) * scale).astype(np.int32)
        for polygon in label.polygons
        if len(polygon) >= 6 and len(polygon) % 2 == 0
    ]
    cv2.fillPoly(mask, outlines, 255)
    return mask


def decode_frame(item: Item, max_side: int | None, min_target_side: float) -> DecodedFrame:
    """Pixels of a frame, longer side at most `max_side` px, and its usable targets.

    A target whose sqrt(w * h) is under `min_target_side` px after scaling, or whose box is no box or lies
    outside the frame, is named in `skipped`; so is what cannot be read. Never raises for a broken item.
    """
    if isinstance(item, BrokenItem):
        return DecodedFrame(item.name, True, skipped={item.name: item.reason})
    decoded = item.pixels if item.pixels is not None else read_image(item.image, cv2.IMREAD_COLOR)
    if decoded is None:
        reason = {str(item.image): "image missing or unreadable"}
        return DecodedFrame(item.group, item.is_still, skipped=reason)
    image, scale = _scaled(decoded, max_side)
    height, width = image.shape[:2]
    skipped: dict[str, str] = {}
    targets = []
    for label in item.targets:
        box = Box(*(value * scale for value in label.box))
        name = f"{item.image}#{label.track}"
        if not np.isfinite(box).all() or box.w <= 0 or box.h <= 0:
            skipped[name] = f"not a box: {tuple(label.box)}"
            continue
        if (box.w * box.h) ** 0.5 < min_target_side:
            skipped[name] = f"smaller than {min_target_side} px"
            continue
        if box.x >= width or box.y >= height or box.x + box.w <= 0 or box.y + box.h <= 0:
            skipped[name] = f"box outside its frame: {tuple(label.box)}"
            continue
        mask = _read_mask(label, (height, width), scale)
        if label.mask_file is not None and mask is None:
            skipped[f"{name}/mask"] = f"mask unreadable: {label.mask_file}"
        corner = (0, 0)
        if mask is not None:
            x, y, w, h = cv2.boundingRect(mask)
            corner, mask = (x, y), (np.ascontiguousarray(mask[y : y + h, x : x + w]) if w else None)
        targets.append(DecodedTarget(label.track, box, mask, corner))
    return DecodedFrame(item.group, item.is_still, image if targets else None, tuple(targets), skipped)


def mapped_ahead(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """`function` of each item, in order, several of them under way at once."""
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[B]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 4 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
