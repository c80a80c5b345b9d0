"""The frame store: footage decoded and scaled once, so that training reads no image files.

Frames lie one after the other in one flat file of BGR bytes, cropped masks in another, both memory-mapped;
all else (sizes, boxes, tracks) is in one small `.npz`. Any crop, at any scale, shift and rotation, is one
affine warp from the mapped frame, so nothing about augmentation is fixed when the store is made. For sets
whose frames do not fit a disk as bytes there is the crop store (`crop_store`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.footage.whole_file import told_of
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.training.datasets.annotation import Item
from siam_tracker_ros.training.decode import decode_frame, mapped_ahead
from siam_tracker_ros.training.target_store import StoreError, StoreSummary, TargetStore, Tracks

logger = logging.getLogger(__name__)

_FRAMES, _MASKS, _INDEX, _SKIPPED = "frames.bin", "masks.bin", "index.npz", "skipped.json"


def write_skipped(skipped: dict[str, str], folder: Path) -> None:
    """Name every item that did not go into a store in `skipped.json`, and the first of them in the log."""
    (folder / _SKIPPED).write_text(json.dumps(skipped, indent=1), encoding="utf-8")
    if skipped:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        logger.warning("%d items skipped (all in %s): %s", len(skipped), folder / _SKIPPED, shown)


def build_frame_store(
    frames: Iterable[Item],
    folder: Path,
    max_side: int,
    min_target_side: float,
    fingerprint: str = "",
    threads: int = 1,
) -> StoreSummary:
    """Decode `frames`, longer side at most `max_side` px, into a store in `folder` (made, overwritten).

    Targets whose sqrt(w * h) is under `min_target_side` px after scaling are left out. Items that cannot be
    read are counted and named in the summary and in `skipped.json`, never fatal. `fingerprint` is kept, to
    tell later what the store was made from. Raises StoreError where nothing at all could be stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # While it is written there is no store.
    (folder / _INDEX).unlink(missing_ok=True)
    skipped: dict[str, str] = {}
    frame_rows: list[tuple[int, int, int]] = []
    frame_means: list[tuple[float, ...]] = []
    target_rows: list[tuple[int, int]] = []
    boxes: list[Box] = []
    mask_rows: list[tuple[int, int, int, int, int]] = []
    tracks: dict[str, tuple[int, str, bool]] = {}
    frame_offset = mask_offset = 0
    decode = partial(decode_frame, max_side=max_side, min_target_side=min_target_side)
    with (folder / _FRAMES).open("wb") as frame_file, (folder / _MASKS).open("wb") as mask_file:
        for frame in mapped_ahead(decode, frames, threads):
            skipped |= frame.skipped
            if frame.image is None:
                continue
            with told_of(folder):
                frame_file.write(frame.image.tobytes())
            for target in frame.targets:
                mask_row = (0, 0, 0, 0, 0)
                if target.mask is not None:
                    height, width = target.mask.shape
                    with told_of(folder):
                        mask_file.write(target.mask.tobytes())
                    mask_row = (mask_offset, *target.corner, width, height)
                    mask_offset += target.mask.size
                name = f"{frame.group}#{target.track}"
                track = tracks.setdefault(name, (len(tracks), frame.group, frame.is_still))
                target_rows.append((len(frame_rows), track[0]))
                boxes.append(target.box)
                mask_rows.append(mask_row)
            frame_rows.append((frame_offset, *frame.image.shape[:2]))
            frame_means.append(cv2.mean(frame.image)[:3])
            frame_offset += frame.image.size
    write_skipped(skipped, folder)
    if not target_rows:
        raise StoreError(f"no usable target among the frames given; {len(skipped)} items skipped")
    partial_index = folder / f"partial_{_INDEX}"
    np.savez(
        partial_index,
        frames=np.array(frame_rows, dtype=np.int64),
        frame_means=np.array(frame_means, dtype=np.float32),
        targets=np.array(target_rows, dtype=np.int64),
        boxes=np.array(boxes, dtype=np.float32),
        masks=np.array(mask_rows, dtype=np.int64),
        track_names=np.array(list(tracks)),
        track_groups=np.array([group for _, group, _ in tracks.values()]),
        track_is_still=np.array([still for _, _, still in tracks.values()]),
        fingerprint=np.array(fingerprint),
    )
    partial_index.replace(folder / _INDEX)
    masks = sum(row[3] > 0 for row in mask_rows)
    return StoreSummary(len(frame_rows), len(target_rows), masks, len(tracks), skipped)


class FrameStore(TargetStore):
    """A frame store opened for reading: `frame` is the whole frame, and one for all targets in it."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`. Raises StoreError where there is none or it is incomplete."""
        try:
            with np.load(folder / _INDEX) as index:
                self._frames = index["frames"]
                self._frame_means = index["frame_means"]
                self._frame_of = index["targets"][:, 0]
                self._mask_offsets = index["masks"][:, 0]
                self.fingerprint = str(index["fingerprint"])
                tracks = Tracks(
                    index["track_names"].tolist(), index["track_groups"].tolist(), index["track_is_still"]
                )
                super().__init__(tracks, index["targets"][:, 1], index["boxes"], index["masks"][:, 1:])
            self._frame_bytes = np.memmap(folder / _FRAMES, dtype=np.uint8, mode="r")
            has_masks = (folder / _MASKS).stat().st_size > 0
            self._mask_bytes = (
                np.memmap(folder / _MASKS, dtype=np.uint8, mode="r") if has_masks else np.empty(0, np.uint8)
            )
        except (OSError, KeyError, ValueError) as error:
            raise StoreError(f"no complete frame store in {folder}: {error}") from error
        offset, height, width = self._frames[-1]
        if len(self._frame_bytes) != offset + height * width * 3:
            raise StoreError(f"the frame store in {folder} is cut short: make it again")

    def frame(self, target: int) -> NDArray[np.uint8]:
        """The frame a target is in, [H, W, 3] BGR, mapped read-only."""
        offset, height, width = self._frames[self._frame_of[target]]
        return self._frame_bytes[offset : offset + height * width * 3].reshape(height, width, 3)

    def frame_mean(self, target: int) -> tuple[float, float, float]:
        """Channel means of the frame a target is in."""
        b, g, r = self._frame_means[self._frame_of[target]].tolist()
        return b, g, r

    def mask(self, target: int) -> tuple[NDArray[np.uint8], int, int]:
        """Mask of a target, 0/255, cut to its extent, and the column and row of its corner in the frame."""
        x, y, w, h = self._mask_places[target]
        offset = self._mask_offsets[target]
        return self._mask_bytes[offset : offset + w * h].reshape(h, w), int(x), int(y)
