"""Adapter between the stored numbers of the original SiamMask and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from siam_tracker_ros.models.checkpoint import load_state, normalise_state
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.siammask_config import SiamMaskVariant, entry_from_siammask
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.target import Target

_VARIANTS: dict[str, SiamMaskVariant] = {
    "siamrpn_resnet": "box",
    "siammask_base": "base",
    "siammask_sharp": "sharp",
}


class Adapter:
    """What `check.py` drives: the bare network, and the tracker with its state set from outside."""

    def __init__(self, name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
        config = meta["config"]
        # TRACK has every constant of the tracker, as far as `hp` sets them and as far as it does not.
        hp = {**(config.get("hp") or {}), **(config.get("TRACK") or {})}
        entry = entry_from_siammask(
            name, {"hp": hp, "anchors": config.get("anchors")}, _VARIANTS[meta["experiment"]]
        )
        network = SiameseNetwork(entry.model).eval()
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
        load_state(network, normalise_state(tensors, name), name)
        self.tracker = SiamTracker(entry, network, device="cpu")
        # The network that tracks, in its inference form, is the one to be compared.
        self._network = self.tracker._network
        self._masks = self.tracker.has_masks and meta.get("mask", True)
        self.target: Target

    @torch.inference_mode()
    def template(self, exemplar: np.ndarray) -> None:
        self._template = self._network.template(torch.from_numpy(exemplar))

    @torch.inference_mode()
    def track(self, search: np.ndarray) -> dict[str, Any]:
        self._features = self._network.features(torch.from_numpy(search))
        cls, loc = self._network.respond(self._template, self._features)
        out = {"cls": cls, "loc": loc}
        if self._network.config.mask is not None:
            level = self._features.levels[self._network.config.mask.level]
            out["mask"] = self._network.mask_head.coarse(self._template.mask, level)
        return out

    @torch.inference_mode()
    def mask_refine(self, position: tuple[int, int]) -> torch.Tensor:
        cells = Cells([0], [position[0]], [position[1]])
        return self._network.refine_masks(self._template, self._features, cells)

    def init(self, frame: np.ndarray, box: list[float]) -> None:
        self.target = self.tracker.init(frame, box)

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self.tracker.track(frame, [self.target], masks=self._masks)
        out: dict[str, Any] = {"best_score": result.score}
        if result.mask is not None and result.rotated_box is not None:
            out["mask"] = result.mask.to_frame()
            out["polygon"] = result.rotated_box.corners()
        return out

    def set_state(self, row: Mapping[str, np.ndarray]) -> None:
        self.target.box = CenterBox(*map(float, row["state_in"]))

    def get_state(self) -> list[float]:
        return list(self.target.box)


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Adapter:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    return Adapter(name, meta, state)
