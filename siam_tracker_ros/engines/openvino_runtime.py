"""OpenVINO as a library: imported where it is installed, and what it can do on this machine's CPU."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

from siam_tracker_ros.engines.errors import EngineUnavailableError

_TELEMETRY = "openvino_telemetry"


@cache
def openvino() -> ModuleType:
    """The library. Raises EngineUnavailableError where it is not installed or cannot be loaded."""
    # Each import of OpenVINO is reported to its makers, unless the module that does it cannot be found.
    silenced = _TELEMETRY not in sys.modules
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"engine 'openvino' needs OpenVINO, which cannot be imported ({error}): pip install openvino, "
            "or take engine torch"
        ) from error
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]
    module: ModuleType = openvino
    return module


@cache
def core() -> Any:
    """OpenVINO's one runtime in this process."""
    return openvino().Core()


def version() -> str:
    """OpenVINO's version with its build: 2026.4.1-22982-e213a147257."""
    return "-".join(str(openvino().get_version()).split("-")[:3])


@cache
def native_precisions() -> frozenset[str]:
    """The number types that this CPU computes in: fp32, and bf16, fp16 and int8 where it has them."""
    known = {"BF16": "bf16", "FP16": "fp16", "INT8": "int8"}
    capabilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return frozenset({"fp32", *(known[name] for name in capabilities if name in known)})
