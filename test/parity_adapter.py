"""Adapter between the stored numbers of PySOT (`check.py` in the parity folder) and this package.

`build` makes the network and the tracker of a set from its PySOT configuration and its weights, through
the same readers that a user's checkpoint takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from parity_driver import MaskDriver

from siam_tracker_ros.models.pysot_config import entry_from_pysot
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker


class _Tracker:
    """PySOT's tracker interface: one target, plain dictionaries."""

    def __init__(self, tracker: SiamTracker) -> None:
        self._tracker = tracker
        self.target: Any = None

    def init(self, frame: np.ndarray, box: list[float]) -> None:
        self.target = self._tracker.init(frame, box)

    def track(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self._tracker.track(frame, [self.target], masks=self._tracker.has_masks)
        out = {"bbox": list(result.box), "best_score": result.score}
        if result.mask is not None and result.rotated_box is not None:
            out["mask"] = result.mask.to_frame()
            out["polygon"] = result.rotated_box.corners().flatten().tolist()
        return out


class Adapter:
    """What `check.py` drives: the bare network, and the tracker with its state set from outside."""

    def __init__(self, name: str, config: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
        driver = MaskDriver(entry_from_pysot(name, config), state)
        self.template, self.track, self.mask_refine = driver.template, driver.track, driver.mask_refine
        self.tracker = _Tracker(driver.tracker)

    def set_state(self, center: np.ndarray, size: np.ndarray, lost: bool) -> None:
        target = self.tracker.target
        target.box = CenterBox(*map(float, (*center, *size)))
        target.condition = replace(target.condition, lost=lost)

    def get_state(self) -> tuple[np.ndarray, np.ndarray, bool]:
        target = self.tracker.target
        box = target.box
        return np.array([box.cx, box.cy]), np.array([box.w, box.h]), target.condition.lost


def build(name: str, config: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Adapter:
    """The adapter of one parity set: its name, PySOT configuration, and state dict of arrays."""
    return Adapter(name, config, state)
