"""Engines by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from siam_tracker_ros.engines.device import Precision, resolve_dtype
from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.torch_engine import TorchEngine
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

EngineName = Literal["torch"]


def build_engine(
    name: EngineName, entry: ZooEntry, network: SiameseNetwork, device: torch.device, precision: Precision
) -> Engine:
    """The engine called `name`, running `network`, which `entry` describes. The network is left as it is.

    Raises EngineUnavailableError, or ValueError for a precision that does not exist.
    """
    if name == "torch":
        return TorchEngine(network, device, resolve_dtype(precision, device))
    raise EngineUnavailableError(f"engine '{name}' is none of {', '.join(get_args(EngineName))}")
