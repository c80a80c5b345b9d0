"""Adapter between the stored numbers of the original SiamMask and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from parity_driver import MaskDriver

from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siammask_config import HP_KEYS, SiamMaskVariant, entry_from_siammask

_VARIANTS: dict[str, SiamMaskVariant] = {
    "siamrpn_resnet": "box",
    "siammask_base": "base",
    "siammask_sharp": "sharp",
}


class MaskTrackDriver(MaskDriver):
    """Drives the tracker with masks too, where it has them and `masks` wants them."""

    def __init__(self, entry: ZooEntry, state: Mapping[str, np.ndarray], masks: bool) -> None:
        super().__init__(entry, state)
        self._masks = self.tracker.has_masks and masks

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self.tracker.track(frame, [self.target], masks=self._masks)
        out: dict[str, Any] = {"best_score": result.score}
        if result.mask is not None and result.rotated_box is not None:
            out["mask"] = result.mask.to_frame()
            out["polygon"] = result.rotated_box.corners()
        return out


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> MaskTrackDriver:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    config = meta["config"]
    # TRACK has every constant of the tracker, as far as `hp` sets them and as far as it does not, and more
    # that it derives from them.
    given = {**(config.get("hp") or {}), **(config.get("TRACK") or {})}
    hp = {key: given[key] for key in HP_KEYS if key in given and key != "out_size"}
    variant = _VARIANTS[meta["experiment"]]
    if not meta.get("refine", True) and variant == "sharp":
        # The masks of the refined network before refinement.
        variant = "base"
        state = {key: value for key, value in state.items() if not key.startswith("refine_model.")}
    entry = entry_from_siammask(name, {"hp": hp, "anchors": config.get("anchors")}, variant)
    return MaskTrackDriver(entry, state, meta.get("mask", True))
