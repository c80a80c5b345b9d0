"""Which device and number type the network runs in."""

from __future__ import annotations

import torch

from siam_tracker_ros.engines.errors import DeviceUnavailableError, EngineUnavailableError

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def resolve_device(name: str) -> tuple[torch.device, str]:
    """The device meant by `auto`, `cpu`, `cuda` or `cuda:N`, and words on what was chosen and why.

    Raises DeviceUnavailableError for a CUDA device that is not there, and for any other name.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        if count:
            return torch.device("cuda:0"), f"auto chose cuda:0 ({torch.cuda.get_device_name(0)})"
        reason = "this torch has no CUDA" if torch.version.cuda is None else "torch sees no CUDA device"
        return torch.device("cpu"), f"auto chose cpu ({reason})"
    if name == "cpu":
        return torch.device("cpu"), "cpu, as asked"
    kind, _, index = name.partition(":")
    if kind != "cuda" or not (index.isdecimal() or name == "cuda"):
        raise DeviceUnavailableError(f"device '{name}' is none of auto, cpu, cuda, cuda:N")
    number = int(index or 0)
    if number >= count:
        reason = (
            "this torch was built without CUDA"
            if torch.version.cuda is None
            else f"torch sees {count} CUDA devices"
        )
        raise DeviceUnavailableError(f"device '{name}' was asked for, but {reason}; use cpu or auto")
    return torch.device("cuda", number), f"cuda:{number} ({torch.cuda.get_device_name(number)}), as asked"


def resolve_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Number type of the network: half precision on CUDA and single on the CPU unless asked otherwise.

    Raises ValueError for a precision that does not exist, EngineUnavailableError for int8.
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision == "int8":
        raise EngineUnavailableError("engine 'torch' has no int8; it has fp32, fp16, bf16")
    if precision not in _DTYPES:
        raise ValueError(f"precision '{precision}' is none of auto, {', '.join(_DTYPES)}")
    return _DTYPES[precision]


def precision_name(dtype: torch.dtype) -> str:
    """What `dtype` is called among the precisions: fp32, fp16 or bf16."""
    return next(name for name, known in _DTYPES.items() if known == dtype)
