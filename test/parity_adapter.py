"""Adapter between the stored numbers of PySOT (`check.py` in the parity folder) and this package.

`build` makes the network and the tracker of a set from its PySOT configuration and its weights, through
the same readers that a user's checkpoint takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from siam_tracker_ros.models.checkpoint import load_state, normalise_state
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.pysot_config import entry_from_pysot
from siam_tracker_ros.models.siamese import SiameseNetwork
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
        entry = entry_from_pysot(name, config)
        network = SiameseNetwork(entry.model).eval()
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
        load_state(network, normalise_state(tensors, name), name)
        tracker = SiamTracker(entry, network, device="cpu")
        # The network that tracks, in its inference form, is the one to be compared.
        self._network = tracker._network
        self.tracker = _Tracker(tracker)

    @torch.inference_mode()
    def template(self, exemplar: np.ndarray) -> None:
        self._template = self._network.template(torch.from_numpy(exemplar))

    @torch.inference_mode()
    def track(self, search: np.ndarray) -> dict[str, Any]:
        self._features = self._network.features(torch.from_numpy(search))
        cls, loc = self._network.respond(self._template, self._features)
        out = {"cls": cls, "loc": loc}
        mask = self._network.config.mask
        if mask is not None and mask.coarse_size is not None:
            level = self._features.levels[mask.level]
            out["mask"] = self._network.mask_head.coarse(self._template.mask, level)
        return out

    @torch.inference_mode()
    def mask_refine(self, position: tuple[int, int]) -> torch.Tensor:
        cells = Cells([0], [position[0]], [position[1]])
        return self._network.refine_masks(self._template, self._features, cells)

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
