"""Adapter between the stored numbers of SiamDW and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from parity_driver import Driver
from parity_siamfc import ResponseMapDriver

from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamdw_config import ANCHOR_KEYS, RESPONSE_MAP_KEYS, entry_from_siamdw


class AnchorDriver(Driver):
    """Drives a tracker with anchors."""

    def track(self, search: np.ndarray) -> dict[str, Any]:
        cls, loc = self.respond(search)
        config = self.network.config
        # Without the background's zeros, where the head has no logit for it.
        return {"cls": cls[:, config.anchor_num :] if config.logistic else cls, "loc": loc}


def zoo_entry(name: str, meta: Mapping[str, Any]) -> ZooEntry:
    """The entry that a parity set, given by its entry of sets.json, describes."""
    keys = RESPONSE_MAP_KEYS if meta["arch"].startswith("SiamFC") else ANCHOR_KEYS
    # TRACK also has what the tracker derived from its configuration.
    config = {key: value for key, value in meta["config"]["TRACK"].items() if key in keys}
    return entry_from_siamdw(name, meta["arch"], config, meta.get("cls_type"), meta.get("dataset_hp") or "")


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Driver:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    entry = zoo_entry(name, meta)
    if entry.tracking.pyramid is not None:
        return ResponseMapDriver(entry, state, "s_x_in")
    return AnchorDriver(entry, state)
