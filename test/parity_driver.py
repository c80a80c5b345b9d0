"""Drives a tracker of this package for `family/check.py`: the bare network, a target set from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from siam_tracker_ros.models.checkpoint import load_state, normalise_state
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.target import Target


class Driver:
    """A zoo entry with the weights of a set, loaded as a user's checkpoint is."""

    def __init__(self, entry: ZooEntry, state: Mapping[str, np.ndarray]) -> None:
        network = SiameseNetwork(entry.model).eval()
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}
        load_state(network, normalise_state(tensors, entry.name), entry.name)
        self.tracker = SiamTracker(entry, network, device="cpu")
        # The network that tracks, in its inference form, is the one to be compared.
        self.network = self.tracker._network
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
