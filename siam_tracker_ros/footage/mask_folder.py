"""Masks as PNGs of the frame's size, 0 and 255, named by frame number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from siam_tracker_ros.footage.whole_file import OutputError, Unfinished, told_of
from siam_tracker_ros.tracking.result import TargetMask


class MaskFolder:
    """Writes masks to `path`/000123.png; with `per_target`, to `path`/ID/000123.png. Errors are OutputError.

    The folder gets its name only when it is whole, so it must not exist, or be empty.
    """

    def __init__(self, path: Path, per_target: bool) -> None:
        self.output = Unfinished(path)
        self._per_target = per_target
        self._begun = False

    def write(self, frame: int, target_id: str, mask: TargetMask) -> None:
        """Add the mask of one target in frame number `frame`."""
        with told_of(self.output.path):
            if not self._begun:
                self.output.begin().mkdir()
                self._begun = True
            folder = self.output.part / target_id if self._per_target else self.output.part
            folder.mkdir(exist_ok=True)
            good, png = cv2.imencode(".png", mask.to_frame().astype(np.uint8) * 255)
            if not good:
                raise OutputError(
                    f"cannot write {self.output.path}: OpenCV did not encode the mask of frame {frame}"
                )
            (folder / f"{frame:06d}.png").write_bytes(png.tobytes())

    def close(self) -> None:
        """Nothing is left to write: each mask was written as it came."""
