"""Small tensors on the CPU, without other threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Let PyTorch compute on this thread alone, where `device` is the CPU.

    A response map, or the window that a mask is computed from, is just large enough for PyTorch to share out
    what is done to it. Each time the other threads have to be woken, and waited for, which takes longer than
    the work, and long where their cores are busy, as with the threads of an inference engine.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
