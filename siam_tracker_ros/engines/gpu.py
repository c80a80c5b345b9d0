"""What identifies a GPU: files compiled for one are of no use to another."""

from __future__ import annotations

import re

import torch


def gpu_key(device: torch.device) -> str:
    """Name and compute capability of a CUDA device, as part of a file name: nvidia-h200-sm90."""
    properties = torch.cuda.get_device_properties(device)
    return gpu_file_name(properties.name, properties.major, properties.minor)


def gpu_file_name(name: str, major: int, minor: int) -> str:
    """`gpu_key` of a device that is described by its name and compute capability."""
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-sm{major}{minor}"
