"""Engines by name."""

from __future__ import annotations

import torch

from siam_tracker_ros.engines.device import resolve_dtype
from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.names import ENGINES, EngineName, Precision
from siam_tracker_ros.engines.onnxruntime_engine import OnnxRuntimeEngine, offers_tensorrt
from siam_tracker_ros.engines.openvino_engine import OpenVinoEngine
from siam_tracker_ros.engines.tensorrt_engine import TensorRtEngine
from siam_tracker_ros.engines.torch_engine import TorchEngine
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork


def build_engine(
    name: EngineName, entry: ZooEntry, network: SiameseNetwork, device: torch.device, precision: Precision
) -> Engine:
    """The engine called `name`, running `network`, which `entry` describes. The network is left as it is.

    Raises EngineUnavailableError, or ValueError for a precision that does not exist.
    """
    if name == "torch":
        return TorchEngine(network, device, resolve_dtype(precision, device))
    if name == "openvino":
        if device.type != "cpu":
            raise EngineUnavailableError(
                f"engine 'openvino' runs on the CPU, not on {device}; use device cpu"
            )
        return OpenVinoEngine(entry, network, precision)
    if name == "onnxruntime":
        return OnnxRuntimeEngine(entry, network, device, precision)
    if name == "tensorrt":
        if offers_tensorrt():
            return OnnxRuntimeEngine(entry, network, device, precision, "TensorrtExecutionProvider")
        return TensorRtEngine(entry, network, device, precision)
    raise EngineUnavailableError(f"engine '{name}' is none of {', '.join(ENGINES)}")
