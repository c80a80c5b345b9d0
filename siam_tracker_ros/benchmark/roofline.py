"""How near a step comes to what the device can do: the roofline (Williams et al., CACM 2009).

What a step computes and has to move is counted, how fast the device computes and moves is measured, so that
no data sheet is needed. Neither can be beaten by launching kernels better, only by other arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from siam_tracker_ros.models.complexity import complexity
from siam_tracker_ros.models.config import ZooEntry

# A product and a copy this large keep any device busy, and leave its caches behind; rounds, of which the
# fastest counts.
_MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}
_COPY_BYTES = {"cuda": 2**30, "cpu": 2**26}
_ROUNDS = 5


@dataclass(frozen=True)
class Work:
    """What a step has to do at least.

    `operations` are floating-point ones, two for each multiply-accumulate of a direct convolution or a matrix
    product. `bytes` are those that no cache can spare: all weights, and the search regions' pixels.
    """

    operations: int
    bytes: int


@dataclass(frozen=True)
class Ceiling:
    """What a device was measured to do: floating-point operations, and bytes read or written, a second."""

    operations_per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Share:
    """A step under its roof: the time that work and ceiling leave it at least, ms, and that over its time."""

    least_ms: float
    share: float
    bound: Literal["compute", "memory"]


def work_of(entry: ZooEntry, dtype: torch.dtype, targets: int = 1, masks: bool = False) -> Work:
    """The work of a step with weights in `dtype`, with search regions of the entry's usual size."""
    cost, tracking = complexity(entry), entry.tracking
    macs = targets * (cost.frame_macs + (cost.mask_macs if masks else 0))
    scales = tracking.pyramid.count if tracking.pyramid is not None else 1
    pixels = targets * scales * 3 * tracking.instance_size**2
    return Work(2 * macs, cost.parameters * dtype.itemsize + pixels)


def measure_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """Time a large matrix product in `dtype` and a large copy on `device`, cpu or cuda."""
    side = _MATRIX_SIDE[device.type]
    with torch.inference_mode():
        a, b, product = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(3))
        product_s = _fastest_s(lambda: torch.mm(a, b, out=product), device)
        source = torch.ones(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
        copy = torch.empty_like(source)
        copy_s = _fastest_s(lambda: copy.copy_(source), device)
    # A copy reads and writes.
    return Ceiling(2 * side**3 / product_s, 2 * source.numel() / copy_s)


def under_roof(work: Work, ceiling: Ceiling, measured_ms: float) -> Share:
    """How much of `measured_ms` the work alone would take at the ceiling."""
    compute_ms = 1e3 * work.operations / ceiling.operations_per_s
    memory_ms = 1e3 * work.bytes / ceiling.bytes_per_s
    least_ms = max(compute_ms, memory_ms)
    return Share(least_ms, least_ms / measured_ms, "compute" if compute_ms >= memory_ms else "memory")


def _fastest_s(act: Callable[[], object], device: torch.device) -> float:
    """The least time of several rounds, s, after one that does not count."""
    act()
    return min(_seconds(act, device) for _ in range(_ROUNDS))


def _seconds(act: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    act()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
