"""Memory that a captured step reads and writes: at one place for as long as the graph lives.

Where the step runs on a GPU each buffer has its counterpart in pinned host memory, through which it is filled
and read without the driver's own copies; on the CPU both are the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from siam_tracker_ros.models.siamese import Template, stack_templates
from siam_tracker_ros.tracking.crop import AnyFrame, Window, part_of
from siam_tracker_ros.tracking.device_step import StepResult
from siam_tracker_ros.tracking.request import Request, request_columns

_FLOAT64, _FLOAT32 = 8, 4


def _pair(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Memory on the device, and on the host."""
    on_device = torch.zeros(tuple(shape), dtype=dtype, device=device)
    if device.type != "cuda":
        return on_device, on_device
    return on_device, torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)


class FrameBuffer:
    """A frame of one shape, uint8."""

    def __init__(self, shape: Sequence[int], device: torch.device) -> None:
        self.tensor, self._host = _pair(shape, torch.uint8, device)

    def load(self, frame: AnyFrame, windows: Sequence[Window]) -> None:
        """Take over the rows of `frame` that some window covers: no other one is looked at.

        A frame in host memory is copied to pinned memory, converted if need be, and uploaded from there, one
        on a device is copied to this one; neither is waited for.
        """
        height, width = self.tensor.shape[:2]
        first = min(max(min(window.top for window in windows), 0), height)
        end = min(max(max(window.top + window.side for window in windows), first), height)
        if isinstance(frame, Tensor):
            self.tensor[first:end].copy_(frame[first:end], non_blocking=True)
            return
        if first < end:
            np.copyto(self._host.numpy()[first:end], part_of(frame, 0, first, width, end))
        if self._host is not self.tensor:
            self.tensor[first:end].copy_(self._host[first:end], non_blocking=True)


class RequestBuffer:
    """What is asked of up to `targets` targets: their rows and their templates."""

    def __init__(self, targets: int, scales: int, first: Template, device: torch.device) -> None:
        """`first` is the template of any one target: those of others have the same shapes."""
        self.table, self._host = _pair((targets, request_columns(scales)), torch.float64, device)
        self.template = first.map(lambda kernel: kernel.new_zeros((targets, *kernel.shape[1:])))
        self._loaded: list[Template] = []

    def load(self, requests: Sequence[Request], templates: Sequence[Template]) -> None:
        """Upload the rows; templates only where they are others than before."""
        if list(map(id, templates)) != list(map(id, self._loaded)):
            kernels = stack_templates(templates).tensors
            for buffer, kernel in zip(self.template.tensors, kernels, strict=True):
                buffer[: len(kernel)].copy_(kernel, non_blocking=True)
            self._loaded = list(templates)
        rows = [request.row() for request in requests]
        # Rows without a target are searched as the first one is; nobody reads what comes of it.
        self._host.numpy()[:] = rows + rows[:1] * (len(self._host) - len(rows))
        if self._host is not self.table:
            self.table.copy_(self._host, non_blocking=True)


class ResultBuffer:
    """What comes of a step, observations and masks in one block, so that one copy brings both to the host."""

    def __init__(self, like: StepResult, device: torch.device) -> None:
        """Room for a result of the shapes of `like`."""
        self._shapes = [tuple(each.shape) for each in like if each is not None]
        self._mask_start = like.observations.numel() * _FLOAT64
        self._mask_bytes = 0 if like.masks is None else like.masks[0].numel() * _FLOAT32
        length = self._mask_start + len(like.observations) * self._mask_bytes
        self._block, self._host = _pair((length,), torch.uint8, device)

    def store(self, result: StepResult) -> None:
        """Keep `result` on the device."""
        for room, values in zip(self._views(self._block), result, strict=True):
            if room is not None and values is not None:
                room.copy_(values)

    def download(self, count: int) -> None:
        """Copy what was found of the first `count` targets to the host; the copy is not waited for."""
        if self._host is not self._block:
            end = self._mask_start + count * self._mask_bytes
            self._host[:end].copy_(self._block[:end], non_blocking=True)

    def read(self) -> StepResult:
        """What was downloaded, in host memory that the next download overwrites."""
        return self._views(self._host)

    def _views(self, block: Tensor) -> StepResult:
        numbers = block[: self._mask_start].view(torch.float64).view(self._shapes[0])
        if not self._mask_bytes:
            return StepResult(numbers, None)
        return StepResult(numbers, block[self._mask_start :].view(torch.float32).view(self._shapes[1]))
