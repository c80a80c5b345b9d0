"""Ctrl-C and SIGTERM as a request to finish what is open, not as an end in the middle of a file."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, SIGINT and SIGTERM are only noted: who works then asks `asked()` between two steps."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.count = 0
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether one of the signals has come."""
        return self.signum is not None

    @property
    def exit_status(self) -> int:
        """What shells expect of a program that the signal ended: 130 for Ctrl-C, 143 for SIGTERM; else 0."""
        return 0 if self.signum is None else 128 + self.signum

    def __enter__(self) -> Interrupt:
        for signum in (signal.SIGINT, signal.SIGTERM):
            # What the caller has us ignore (nohup, a background job) stays ignored.
            if signal.getsignal(signum) != signal.SIG_IGN:
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self.count += 1
