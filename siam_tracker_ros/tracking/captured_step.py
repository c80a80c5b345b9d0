"""The step captured in CUDA graphs, one for each kind of step, and replayed frame by frame.

A step is a few hundred kernels, which a GPU is done with sooner than the host has launched them one by one. A
graph is launched once. It reads and writes the same memory each time, so what changes is copied there before.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch

from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.torch_engine import TorchEngine
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import Template
from siam_tracker_ros.tracking.crop import AnyFrame, Window
from siam_tracker_ros.tracking.device_step import DeviceStep, StepResult, reason_against
from siam_tracker_ros.tracking.request import Request
from siam_tracker_ros.tracking.static_buffers import FrameBuffer, RequestBuffer, ResultBuffer

logger = logging.getLogger(__name__)

MAX_TARGETS = 16
"""Targets that go through the network together; more take turns."""

# Before a capture everything is to have run: libraries are loaded, and cuDNN has tried its algorithms.
_WARM_UPS = 3
# Four sizes of the search region, with and without masks, for one and for several targets.
_MAX_GRAPHS = 16


class StepKey(NamedTuple):
    """What a graph is made for: so many targets, the side of the search region, masks, the frame's shape."""

    targets: int
    instance_size: int
    masks: bool
    frame: tuple[int, ...]


def captured_step(entry: ZooEntry, engine: Engine) -> CapturedStep | None:
    """The step of `entry` on the device of `engine`; None where it does not run on tensors alone there."""
    if not isinstance(engine, TorchEngine) or engine.device.type != "cuda" or reason_against(entry):
        return None
    return CapturedStep(DeviceStep(entry, engine.network, engine.device, engine.dtype))


def room_for(targets: int) -> int:
    """Targets that a step is made for where `targets` are searched for: the next power of two.

    Each number of targets has its own graph, and capturing one takes as long as hundreds of frames. By powers
    of two there are five in place of sixteen, so that targets may come, go and get lost without waiting for a
    capture; at worst a step does twice the work, on a device that one target does not fill.
    """
    return 1 << (targets - 1).bit_length()


@dataclass
class _Prepared:
    """A step made ready: its memory, and its graph where it could be captured."""

    frame: FrameBuffer
    request: RequestBuffer
    result: ResultBuffer
    graph: torch.cuda.CUDAGraph | None = None


class CapturedStep:
    """Runs a `DeviceStep`, on CUDA as a graph.

    Use: in `owned`, `load` a frame, then `submit` and `wait` for each group of targets. Any thread may do so,
    one at a time. Where a capture fails, that is logged once, and from then on each kernel is launched on its
    own. On the CPU, where there are no graphs, the same memory is filled and read around the plain step.
    """

    def __init__(self, step: DeviceStep) -> None:
        self._step = step
        self._device = step.device
        self._captures = step.device.type == "cuda"
        self._lock = threading.Lock()
        self._prepared: OrderedDict[StepKey, _Prepared] = OrderedDict()
        self._frames: WeakValueDictionary[tuple[int, ...], FrameBuffer] = WeakValueDictionary()
        self._frame: FrameBuffer | None = None
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None

    @property
    def captured(self) -> list[StepKey]:
        """The steps there are graphs of, the one used last at the end."""
        return [key for key, prepared in self._prepared.items() if prepared.graph is not None]

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Have the device's memory to oneself, and give the device work on a stream of its own.

        Raises RuntimeError where another thread has it.
        """
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("a tracker is used by one thread at a time; another one is in it now")
        try:
            if self._device.type != "cuda":
                yield
                return
            with torch.cuda.device(self._device):
                if self._stream is None:
                    self._stream = torch.cuda.Stream(self._device, priority=-1)  # type: ignore[no-untyped-call]
                # Frames on the device, and templates, were made on the stream of whoever calls.
                self._stream.wait_stream(torch.cuda.current_stream(self._device))
                with torch.cuda.stream(self._stream):
                    yield
        finally:
            self._lock.release()

    @torch.inference_mode()
    def load(self, frame: AnyFrame, windows: Sequence[Window]) -> None:
        """Take the parts of `frame`, uint8, that some window covers to the device, once for all groups."""
        shape = tuple(frame.shape)
        buffer = self._frames.get(shape)
        if buffer is None:
            buffer = self._frames[shape] = FrameBuffer(shape, self._device)
        buffer.load(frame, windows)
        self._frame = buffer

    @torch.inference_mode()
    def submit(
        self, requests: Sequence[Request], templates: Sequence[Template], instance_size: int, masks: bool
    ) -> StepResult:
        """Search for up to MAX_TARGETS targets in the frame loaded last.

        Returns host memory that holds the results, a row a target, once the device has come so far, until
        the next call. A step that was prepared before is not waited for.
        """
        assert self._frame is not None
        count = len(requests)
        shape = tuple(self._frame.tensor.shape)
        key = StepKey(room_for(count), instance_size, masks, shape)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepare(key, self._frame, requests, templates)
        else:
            self._prepared.move_to_end(key)
            prepared.request.load(requests, templates)
        if prepared.graph is not None:
            prepared.graph.replay()
        else:
            prepared.result.store(self._run(key, prepared.frame, prepared.request))
        prepared.result.download(count)
        result = prepared.result.read()
        found = None if result.masks is None else result.masks[:count]
        return StepResult(result.observations[:count], found)

    def wait(self) -> None:
        """Until what was submitted is done. Belongs inside `owned`."""
        if self._stream is not None:
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._stream)
            done.synchronize()

    def release(self) -> None:
        """Give back graphs and memory. The next frame makes them anew."""
        with self.owned():
            self.wait()
            while self._prepared:
                self._drop_oldest()
            self._frame = None
            self._pool = None

    def _run(self, key: StepKey, frame: FrameBuffer, request: RequestBuffer) -> StepResult:
        with _chosen_algorithms():
            return self._step(frame.tensor, request.table, request.template, key.instance_size, key.masks)

    def _prepare(
        self,
        key: StepKey,
        frame: FrameBuffer,
        requests: Sequence[Request],
        templates: Sequence[Template],
    ) -> _Prepared:
        """Memory and, where it can be had, a graph for `key`; the request is loaded."""
        while len(self._prepared) >= _MAX_GRAPHS:
            self.wait()
            self._drop_oldest()
        request = RequestBuffer(key.targets, len(requests[0].windows), templates[0], self._device)
        request.load(requests, templates)
        for _ in range(_WARM_UPS if self._captures else 1):
            first = self._run(key, frame, request)
        prepared = _Prepared(frame, request, ResultBuffer(first, self._device))
        del first
        if self._captures:
            self._capture(key, prepared)
        self._prepared[key] = prepared
        return prepared

    def _capture(self, key: StepKey, prepared: _Prepared) -> None:
        if self._pool is None:
            # Graphs that never run at once may use the same memory for what lies between input and result.
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use CUDA meanwhile, for other work.
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                prepared.result.store(self._run(key, prepared.frame, prepared.request))
        except RuntimeError as error:
            self._captures = False
            reason = str(error).strip().splitlines()
            logger.warning(
                "no CUDA graphs, each kernel is launched on its own: %s",
                reason[0] if reason else type(error).__name__,
            )
            return
        prepared.graph = graph

    def _drop_oldest(self) -> None:
        _, prepared = self._prepared.popitem(last=False)
        if prepared.graph is not None:
            prepared.graph.reset()


@contextmanager
def _chosen_algorithms() -> Iterator[None]:
    """Let cuDNN measure which algorithm is fastest, which pays where shapes stay; fp32 stays fp32.

    The settings are the process's own, so they are put back: what a graph was captured with stays in it.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
        yield
