"""Drives a tracker of this package for what checks it: the bare network, a target set from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from siam_tracker_ros.models.checkpoint import load_state, normalise_state
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.target import Target


class Driver:
    """A zoo entry with the weights of a set, loaded as a user's checkpoint is, into `network` if given."""

    def __init__(
        self, entry: ZooEntry, state: Mapping[str, np.ndarray], network: SiameseNetwork | None = None
    ) -> None:
        network = (network or SiameseNetwork(entry.model)).eval()
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
        load_state(network, normalise_state(tensors, entry.name), entry.name)
        self.tracker = SiamTracker(entry, network, device="cpu")
        # The network that tracks, in its inference form, is the one to be compared.
        self.network = self.tracker.engine.network
        self.target: Target

    @torch.inference_mode()
    def template(self, exemplar: np.ndarray) -> None:
        self._template = self.network.template(torch.from_numpy(exemplar))

    @torch.inference_mode()
    def respond(self, search: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.respond(self._template, self.network.features(torch.from_numpy(search)))

    def init(self, frame: np.ndarray, box: list[float]) -> None:
        self.target = self.tracker.init(frame, box)

    def step(self, frame: np.ndarray) -> dict[str, Any]:
        (result,) = self.tracker.track(frame, [self.target])
        return {"best_score": result.score}

    def set_state(self, row: Mapping[str, np.ndarray]) -> None:
        self.target.box = CenterBox(*map(float, row["state_in"]))

    def get_state(self) -> list[float]:
        return list(self.target.box)


class MaskDriver(Driver):
    """Drives a tracker with anchors, and with masks where it has a branch for them."""

    @torch.inference_mode()
    def track(self, search: np.ndarray) -> dict[str, Any]:
        self._features = self.network.features(torch.from_numpy(search))
        cls, loc = self.network.respond(self._template, self._features)
        out = {"cls": cls, "loc": loc}
        mask = self.network.config.mask
        if mask is not None and mask.coarse_size is not None:
            level = self._features.levels[mask.level]
            out["mask"] = self.network.mask_head.coarse(self._template.mask, level)
        return out

    @torch.inference_mode()
    def mask_refine(self, position: tuple[int, int]) -> torch.Tensor:
        cells = Cells([0], [position[0]], [position[1]])
        return self.network.refine_masks(self._template, self._features, cells)
