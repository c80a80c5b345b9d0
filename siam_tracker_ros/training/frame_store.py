"""The frame store: footage decoded and scaled once, so that training reads no image files.

Frames lie one after the other in one flat file of BGR bytes, cropped masks in another, both memory-mapped;
all else (sizes, boxes, tracks) is in one small `.npz`. Any crop, at any scale, shift and rotation, is one
affine warp from the mapped frame, so nothing about augmentation is fixed when the store is made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import AnnotatedFrame, TargetLabel

logger = logging.getLogger(__name__)

_FRAMES, _MASKS, _INDEX, _SKIPPED = "frames.bin", "masks.bin", "index.npz", "skipped.json"


class FrameStoreError(SiamTrackerError, ValueError):
    """A frame store that is missing, incomplete or empty."""


@dataclass(frozen=True)
class StoreSummary:
    """What went into a store, and what did not: {item: reason}."""

    frames: int
    targets: int
    masks: int
    tracks: int
    skipped: dict[str, str]


def _uint8(image: object) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)


def _scaled(image: NDArray[np.uint8], max_side: int) -> tuple[NDArray[np.uint8], float]:
    scale = min(1.0, max_side / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return _uint8(cv2.resize(image, size, interpolation=cv2.INTER_AREA)), scale


def _read_mask(label: TargetLabel, shape: tuple[int, int], scale: float) -> NDArray[np.uint8] | None:
    """Mask of the scaled frame, 0/255, or None where the label has none that is usable."""
    height, width = shape
    if label.mask_file is not None:
        decoded = cv2.imread(str(label.mask_file), cv2.IMREAD_GRAYSCALE)
        if decoded is None:
            return None
        resized = cv2.resize(decoded, (width, height), interpolation=cv2.INTER_AREA)
        return np.where(resized > 127, 255, 0).astype(np.uint8)
    if not label.polygons:
        return None
    mask = np.zeros(shape, dtype=np.uint8)
    outlines = [
        np.round(np.reshape(polygon, (-1, 2)) * scale).astype(np.int32)
        for polygon in label.polygons
        if len(polygon) >= 6
    ]
    cv2.fillPoly(mask, outlines, 255)
    return mask


def build_frame_store(
    frames: Iterable[AnnotatedFrame], folder: Path, max_side: int, min_target_side: float
) -> StoreSummary:
    """Decode `frames`, longer side at most `max_side` px, into a store in `folder` (made, overwritten).

    Targets whose sqrt(w * h) is under `min_target_side` px after scaling are left out. Items that cannot be
    read are counted and named in the summary and in `skipped.json`, never fatal. Raises FrameStoreError
    where nothing at all could be stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    frame_rows: list[tuple[int, int, int]] = []
    frame_means: list[tuple[float, ...]] = []
    target_rows: list[tuple[int, int]] = []
    boxes: list[Box] = []
    mask_rows: list[tuple[int, int, int, int, int]] = []
    tracks: dict[str, tuple[int, str, bool]] = {}
    masks = frame_offset = mask_offset = 0
    with (folder / _FRAMES).open("wb") as frame_file, (folder / _MASKS).open("wb") as mask_file:
        for frame in frames:
            decoded = cv2.imread(str(frame.image), cv2.IMREAD_COLOR)
            if decoded is None:
                skipped[str(frame.image)] = "image missing or unreadable"
                continue
            image, scale = _scaled(_uint8(decoded), max_side)
            height, width = image.shape[:2]
            kept = 0
            for label in frame.targets:
                box = Box(*(value * scale for value in label.box))
                name = f"{frame.image}#{label.track}"
                if not np.isfinite(box).all() or box.w <= 0 or box.h <= 0:
                    skipped[name] = f"not a box: {tuple(label.box)}"
                    continue
                if (box.w * box.h) ** 0.5 < min_target_side:
                    skipped[name] = f"smaller than {min_target_side} px"
                    continue
                if box.x >= width or box.y >= height or box.x + box.w <= 0 or box.y + box.h <= 0:
                    skipped[name] = f"box outside its frame: {tuple(label.box)}"
                    continue
                mask_row = (0, 0, 0, 0, 0)
                mask = _read_mask(label, (height, width), scale)
                if label.mask_file is not None and mask is None:
                    skipped[f"{name}/mask"] = f"mask unreadable: {label.mask_file}"
                if mask is not None and mask.any():
                    x, y, w, h = cv2.boundingRect(mask)
                    mask_file.write(np.ascontiguousarray(mask[y : y + h, x : x + w]).tobytes())
                    mask_row = (mask_offset, x, y, w, h)
                    mask_offset += w * h
                    masks += 1
                track = tracks.setdefault(
                    f"{frame.group}#{label.track}", (len(tracks), frame.group, frame.is_still)
                )
                target_rows.append((len(frame_rows), track[0]))
                boxes.append(box)
                mask_rows.append(mask_row)
                kept += 1
            if kept:
                frame_file.write(image.tobytes())
                frame_rows.append((frame_offset, height, width))
                frame_means.append(cv2.mean(image)[:3])
                frame_offset += image.size
    (folder / _SKIPPED).write_text(json.dumps(skipped, indent=1), encoding="utf-8")
    if not target_rows:
        raise FrameStoreError(f"no usable target among the frames given; {len(skipped)} items skipped")
    np.savez(
        folder / _INDEX,
        frames=np.array(frame_rows, dtype=np.int64),
        frame_means=np.array(frame_means, dtype=np.float32),
        targets=np.array(target_rows, dtype=np.int64),
        boxes=np.array(boxes, dtype=np.float32),
        masks=np.array(mask_rows, dtype=np.int64),
        track_names=np.array(list(tracks)),
        track_groups=np.array([group for _, group, _ in tracks.values()]),
        track_is_still=np.array([still for _, _, still in tracks.values()]),
    )
    if skipped:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        logger.warning("%d items skipped (all in %s): %s", len(skipped), folder / _SKIPPED, shown)
    return StoreSummary(len(frame_rows), len(target_rows), masks, len(tracks), skipped)


class FrameStore:
    """A store opened for reading. Targets are numbered; tracks are numbered; both in the order stored."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`. Raises FrameStoreError where there is none or it is incomplete."""
        try:
            with np.load(folder / _INDEX) as index:
                self._frames = index["frames"]
                self._frame_means = index["frame_means"]
                self._targets = index["targets"]
                self._boxes = index["boxes"]
                self._masks = index["masks"]
                self.track_names: list[str] = index["track_names"].tolist()
                self.track_groups: list[str] = index["track_groups"].tolist()
                self.track_is_still: NDArray[np.bool_] = index["track_is_still"]
            self._frame_bytes = np.memmap(folder / _FRAMES, dtype=np.uint8, mode="r")
            has_masks = (folder / _MASKS).stat().st_size > 0
            self._mask_bytes = (
                np.memmap(folder / _MASKS, dtype=np.uint8, mode="r") if has_masks else np.empty(0, np.uint8)
            )
        except (OSError, KeyError, ValueError) as error:
            raise FrameStoreError(f"no complete frame store in {folder}: {error}") from error
        offset, height, width = self._frames[-1]
        if len(self._frame_bytes) != offset + height * width * 3:
            raise FrameStoreError(f"the frame store in {folder} is cut short: make it again")
        order = np.argsort(self._targets[:, 1], kind="stable")
        ends = np.cumsum(np.bincount(self._targets[:, 1], minlength=len(self.track_names)))
        self._track_targets = np.split(order, ends[:-1])

    def targets_of(self, track: int) -> NDArray[np.int64]:
        """Targets of a track in the order of its frames."""
        return self._track_targets[track]

    def frame(self, target: int) -> NDArray[np.uint8]:
        """The frame a target is in, [H, W, 3] BGR, mapped read-only."""
        offset, height, width = self._frames[self._targets[target, 0]]
        return self._frame_bytes[offset : offset + height * width * 3].reshape(height, width, 3)

    def frame_mean(self, target: int) -> tuple[float, float, float]:
        """Channel means of the frame a target is in."""
        b, g, r = self._frame_means[self._targets[target, 0]].tolist()
        return b, g, r

    def box(self, target: int) -> Box:
        """Box of a target in px of the stored frame."""
        return Box(*self._boxes[target].tolist())

    def track_of(self, target: int) -> int:
        """The track a target belongs to."""
        return int(self._targets[target, 1])

    def has_mask(self, target: int) -> bool:
        """Whether a target has a mask."""
        return bool(self._masks[target, 3] > 0)

    def mask(self, target: int) -> tuple[NDArray[np.uint8], int, int]:
        """Mask of a target, 0/255, cut to its extent, and the column and row of its corner in the frame."""
        offset, x, y, w, h = self._masks[target]
        return self._mask_bytes[offset : offset + w * h].reshape(h, w), int(x), int(y)

    def name(self, target: int) -> str:
        """Track and number of a target, for messages."""
        return f"{self.track_names[self.track_of(target)]}@{target}"

    def __len__(self) -> int:
        return len(self._targets)
