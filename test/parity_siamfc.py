"""Adapter between the stored numbers of siamfc-pytorch and this package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from parity_driver import Driver

from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamfc_config import KEYS, entry_from_siamfc


class ResponseMapDriver(Driver):
    """Drives a tracker with response maps; `side_key` names the stored side of the search region."""

    def __init__(self, entry: ZooEntry, state: Mapping[str, np.ndarray], side_key: str) -> None:
        super().__init__(entry, state)
        self._side_key = side_key

    def track(self, search: np.ndarray) -> dict[str, Any]:
        cls, _ = self.respond(search)
        return {"resp": cls[:, 1:]}

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        score = min(super().step(frame)["best_score"], math.nextafter(1.0, 0.0))
        # The stored score is the peak itself, ours its logistic function, which is one from 37 on.
        return {"best_score": math.log(score) - math.log1p(-score)}

    def set_state(self, row: Mapping[str, np.ndarray]) -> None:
        super().set_state(row)
        assert self.target.side is not None
        self.target.side = replace(self.target.side, px=float(row[self._side_key]))


def zoo_entry(name: str, meta: Mapping[str, Any]) -> ZooEntry:
    """The entry that a parity set, given by its entry of sets.json, describes."""
    # TRACK also has what the tracker derived from its configuration, and what it is trained with.
    config = {key: value for key, value in meta["config"]["TRACK"].items() if key in KEYS}
    return entry_from_siamfc(name, meta["backbone"], config)


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> ResponseMapDriver:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    return ResponseMapDriver(zoo_entry(name, meta), state, "x_sz_in")
