"""Adapter between the stored numbers of SiamAttn and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from parity_driver import Driver

from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.pysot_config import entry_from_pysot
from siam_tracker_ros.models.siamese import SiameseNetwork


class AttentionDriver(Driver):
    """Drives a tracker with attention, regions refined and masks."""

    def __init__(self, entry: ZooEntry, state: Mapping[str, np.ndarray]) -> None:
        # Weights of this size take long to be drawn; all of them are loaded.
        with torch.device("meta"):
            network = SiameseNetwork(entry.model)
        super().__init__(entry, state, network.to_empty(device="cpu"))
        self._search_size = entry.tracking.instance_size

    @torch.inference_mode()
    def template(self, exemplar: np.ndarray) -> None:
        self._exemplar = self.network.template(torch.from_numpy(exemplar))

    @torch.inference_mode()
    def track(self, search: np.ndarray) -> dict[str, Any]:
        features = self.network.features(torch.from_numpy(search))
        self._template, self._features = self.network.attend(self._exemplar, features)
        cls, loc = self.network.respond(self._template, self._features)
        return {"cls": cls, "loc": loc}

    @torch.inference_mode()
    def bbox_refine(self, region: np.ndarray) -> torch.Tensor:
        fused = self.network.feature_fusion.box_features(self._template.region, self._features.levels)
        scale = fused.shape[-1] / self._search_size
        deltas: torch.Tensor = self.network.bbox_head(fused, torch.from_numpy(region), scale)
        return deltas

    @torch.inference_mode()
    def mask_refine(self, region: np.ndarray) -> torch.Tensor:
        return self.network.region_masks(self._features, torch.from_numpy(region), self._search_size)

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self.tracker.track(frame, [self.target], masks=True)
        assert result.mask is not None
        assert result.rotated_box is not None
        corners = result.rotated_box.corners()
        return {"best_score": result.score, "mask": result.mask.to_frame(), "polygon": corners}


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> AttentionDriver:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    return AttentionDriver(entry_from_pysot(name, meta["config"]), state)
