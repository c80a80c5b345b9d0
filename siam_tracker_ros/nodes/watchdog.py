"""Notices that a loop stands still, on the steady clock and in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls `on_stall`, again every `period_s`, while the last `beat` is more than `timeout_s` ago."""

    def __init__(self, timeout_s: float, period_s: float, on_stall: Callable[[float], None]) -> None:
        """`on_stall` is called in the watchdog's thread with the time since the last beat, s."""
        self._timeout_s = timeout_s
        self._period_s = period_s
        self._on_stall = on_stall
        self._last = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """The loop is alive."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """Watch no more; returns once `on_stall` is not running."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self._period_s):
            quiet_s = time.monotonic() - self._last
            if quiet_s > self._timeout_s:
                self._on_stall(quiet_s)
