"""Adapter between the stored numbers of SiamAttn and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from siam_tracker_ros.models.checkpoint import load_state, normalise_state
from siam_tracker_ros.models.pysot_config import entry_from_pysot
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.target import Target


class Adapter:
    """What `check.py` drives: the bare network, and the tracker with its state set from outside."""

    def __init__(self, name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
        entry = entry_from_pysot(name, meta["config"])
        with torch.device("meta"):
            network = SiameseNetwork(entry.model).eval()
        network.to_empty(device="cpu")
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
        load_state(network, normalise_state(tensors, name), name)
        self.tracker = SiamTracker(entry, network, device="cpu")
        # The network that tracks, in its inference form, is the one to be compared.
        self._network = self.tracker._network
        self._search_size = entry.tracking.instance_size
        self.target: Target

    @torch.inference_mode()
    def template(self, exemplar: np.ndarray) -> None:
        self._exemplar = self._network.template(torch.from_numpy(exemplar))

    @torch.inference_mode()
    def track(self, search: np.ndarray) -> dict[str, Any]:
        features = self._network.features(torch.from_numpy(search))
        self._template, self._features = self._network.attend(self._exemplar, features)
        cls, loc = self._network.respond(self._template, self._features)
        return {"cls": cls, "loc": loc}

    @torch.inference_mode()
    def bbox_refine(self, region: np.ndarray) -> torch.Tensor:
        fused = self._network.feature_fusion.box_features(self._template.region, self._features.levels)
        scale = fused.shape[-1] / self._search_size
        deltas: torch.Tensor = self._network.bbox_head(fused, torch.from_numpy(region), scale)
        return deltas

    @torch.inference_mode()
    def mask_refine(self, region: np.ndarray) -> torch.Tensor:
        return self._network.region_masks(self._features, torch.from_numpy(region), self._search_size)

    def init(self, frame: np.ndarray, box: list[float]) -> None:
        self.target = self.tracker.init(frame, box)

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self.tracker.track(frame, [self.target], masks=True)
        assert result.mask is not None
        assert result.rotated_box is not None
        corners = result.rotated_box.corners()
        return {"best_score": result.score, "mask": result.mask.to_frame(), "polygon": corners}

    def set_state(self, row: Mapping[str, np.ndarray]) -> None:
        self.target.box = CenterBox(*map(float, row["state_in"]))

    def get_state(self) -> list[float]:
        return list(self.target.box)


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Adapter:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    return Adapter(name, meta, state)
