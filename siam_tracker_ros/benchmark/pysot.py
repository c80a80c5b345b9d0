"""PySOT's own trackers, from a checkout that the user has, as the baseline of a benchmark.

PySOT keeps its configuration in one global object and expects NumPy below 1.24 and OpenCV 3 or 4.0; both are
seen to here, around its code, which stays as it is.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.siamese import SiameseNetwork


class PysotUnavailableError(SiamTrackerError):
    """A PySOT checkout that is not there or cannot be imported."""


class PysotBaseline:
    """The experiments of one PySOT checkout."""

    def __init__(self, checkout: Path) -> None:
        if not (checkout / "pysot" / "core" / "config.py").is_file():
            raise PysotUnavailableError(f"{checkout} is no PySOT checkout: it has no pysot/core/config.py")
        self._experiments = checkout / "experiments"
        sys.path.insert(0, str(checkout))
        if not hasattr(np, "float"):
            setattr(np, "float", float)  # noqa: B010
        try:
            self._cfg = importlib.import_module("pysot.core.config").cfg
            self._models = importlib.import_module("pysot.models.model_builder")
            self._trackers = importlib.import_module("pysot.tracker.tracker_builder")
            masks: Any = importlib.import_module("pysot.tracker.siammask_tracker")
        except ImportError as error:
            raise PysotUnavailableError(
                f"PySOT at {checkout} cannot be imported ({error}); it needs yacs"
            ) from error
        # It reads OpenCV's major version at a fixed place in the string.
        masks.cv2 = SimpleNamespace(**{**vars(cv2), "__version__": "4.1.0"})
        self._defaults = copy.deepcopy(dict(self._cfg))

    def has(self, name: str) -> bool:
        """Whether the checkout has an experiment of that name that it can itself read."""
        try:
            self._configure(name)
        except (OSError, KeyError):
            return False
        return True

    def _configure(self, name: str) -> None:
        self._cfg.clear()
        self._cfg.update(copy.deepcopy(self._defaults))
        self._cfg.merge_from_file(str(self._experiments / name / "config.yaml"))
        self._cfg.CUDA = False

    def tracker(self, name: str, network: SiameseNetwork, device: str = "cpu") -> Any:
        """PySOT's tracker of experiment `name` with the weights of `network`; valid until the next one.

        `device` is cpu, cuda or cuda:N. Its `track` ends with what it fetched from there, so that its time is
        that of the whole work.
        """
        self._configure(name)
        with contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
            model = self._models.ModelBuilder()
        model.load_state_dict(network.state_dict())
        model.eval()
        if device != "cpu":
            # Its crops go to the device that is current.
            torch.cuda.set_device(torch.device(device))
            self._cfg.CUDA = True
            model.cuda()
        return self._trackers.build_tracker(model)
