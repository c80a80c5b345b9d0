"""What a run writes down as it goes: a CSV file, and curves and pictures for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.footage.whole_file import told_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FIELDS = (
    "step", "minutes", "rate", "pairs_per_s", "total", "cls", "loc", "mask", "box", "grad_norm",
    "val_iou", "val_success50", "val_mask_iou",
)  # fmt: skip
# In TensorBoard, one group of curves for each.
_GROUPS = {"total": "loss", "cls": "loss", "loc": "loss", "mask": "loss", "box": "loss"} | {
    name: "validation" for name in FIELDS if name.startswith("val_")
}


class RunLog:
    """`log.csv`, `events/` (TensorBoard) and `pictures/` of a run's folder.

    What was logged after the step that training resumes from is dropped. Close it, or use it in a `with`.
    """

    def __init__(self, folder: Path, from_step: int, tensorboard: bool) -> None:
        """Raises OutputError where the folder cannot be written."""
        self.folder = folder
        path = folder / "log.csv"
        rows = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= from_step]
        with told_of(path):
            self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, FIELDS)
        self._writer.writeheader()
        self._writer.writerows(rows)
        self._file.flush()
        self._events: SummaryWriter | None = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "events"), purge_step=from_step + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left and close the files."""
        self._file.close()
        if self._events is not None:
            self._events.close()

    def write(self, row: Mapping[str, float]) -> None:
        """A row of the CSV file and a point on each curve; keys are of `FIELDS`, `step` among them."""
        shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
        self._writer.writerow(shown)
        self._file.flush()
        if self._events is None:
            return
        step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._events.add_scalar(f"{_GROUPS.get(name, 'run')}/{name}", value, step)

    def picture(self, image: NDArray[np.uint8], step: int) -> None:
        """Keep a picture [H, W, 3] BGR as pictures/STEP.png, and show it in TensorBoard."""
        path = self.folder / "pictures" / f"{step:08d}.png"
        with told_of(path):
            path.parent.mkdir(exist_ok=True)
            written, content = cv2.imencode(".png", image)
            assert written
            path.write_bytes(np.asarray(content).tobytes())
        if self._events is not None:
            self._events.add_image("samples", image[..., ::-1].copy(), step, dataformats="HWC")
