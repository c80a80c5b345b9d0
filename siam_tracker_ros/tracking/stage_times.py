"""How long the stages of a step took, measured where they are carried out."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

import torch

Stage = Literal["preprocess", "inference", "postprocess"]


class StageMs(NamedTuple):
    """Durations, ms: cutting search regions; the network; decoding boxes, states and masks."""

    preprocess: float = 0.0
    inference: float = 0.0
    postprocess: float = 0.0


class StageTimes:
    """Adds up the time between `start` and `stop` by the stage that was entered last.

    On the CPU by the clock. A GPU carries work out later than it is given, so there its own events tell when
    one stage ended and the next began; they are read once everything is done, and nothing waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._gpu = device if device.type == "cuda" else None
        self._marks: list[tuple[Stage, float | torch.cuda.Event]] = []
        self._end: float | torch.cuda.Event | None = None

    def start(self) -> None:
        """Forget what was measured before."""
        self._marks, self._end = [], None

    def enter(self, stage: Stage) -> None:
        """From here on it is this stage."""
        self._marks.append((stage, self._now()))

    def stop(self) -> None:
        """The last stage is over."""
        self._end = self._now()

    @property
    def milliseconds(self) -> StageMs:
        """The sum of each stage; zeros before the first stop."""
        sums = dict.fromkeys(StageMs._fields, 0.0)
        if self._end is None:
            return StageMs()
        ends = [at for _, at in self._marks[1:]] + [self._end]
        for (stage, begin), end in zip(self._marks, ends, strict=False):
            sums[stage] += _between_ms(begin, end)
        return StageMs(**sums)

    def _now(self) -> float | torch.cuda.Event:
        if self._gpu is None:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._gpu))
        return event


def _between_ms(begin: float | torch.cuda.Event, end: float | torch.cuda.Event) -> float:
    if isinstance(begin, float) and isinstance(end, float):
        return (end - begin) * 1e3
    assert isinstance(begin, torch.cuda.Event)
    assert isinstance(end, torch.cuda.Event)
    end.synchronize()
    return float(begin.elapsed_time(end))
