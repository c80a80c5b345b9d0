"""A trace of one call by PyTorch's profiler, for Perfetto or chrome://tracing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from siam_tracker_ros.footage.whole_file import OutputError


def write_trace(call: Callable[[], object], file: Path, warm_up: int = 3) -> None:
    """Trace `call` once, after `warm_up` times that are not traced. Raises OutputError.

    On a GPU the trace has what was launched and copied there; it shows where the host waits for the device.
    """
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    for _ in range(warm_up):
        call()
    with profile(activities=activities) as recorded:
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(file))
    except (OSError, RuntimeError) as error:
        raise OutputError(f"cannot write {file}: {error}") from error
