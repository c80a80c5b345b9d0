"""The newest frame of a source that does not wait: what a slow reader misses is dropped, not queued."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

from siam_tracker_ros.footage.frames import Frame

# How often a wait for the next frame looks whether to stop, s.
_TICK_S = 0.1
_JOIN_S = 2.0


class _Slot:
    """What the reading thread hands over: the newest frame not taken yet, and how the source ended."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.frame: Frame | None = None
        self.ended = False
        self.error: Exception | None = None
        self.closed = False


def _fill(slot: _Slot, frames: Generator[Frame, None, None]) -> None:
    error: Exception | None = None
    try:
        for frame in frames:
            with slot.changed:
                if slot.closed:
                    break
                slot.frame = frame
                slot.changed.notify()
    except Exception as raised:
        error = raised
    finally:
        # Closed where it is read: a device must not be let go of while another thread waits on it.
        frames.close()
        with slot.changed:
            slot.ended, slot.error = True, error
            slot.changed.notify()


def newest(
    frames: Generator[Frame, None, None], stopped: Callable[[], bool] = lambda: False
) -> Generator[Frame, None, None]:
    """Yield the newest of `frames`, read in a thread from the first request on, to their end or `stopped()`.

    An error of the source is raised here, after the last frame.
    """
    slot = _Slot()
    reader = threading.Thread(target=_fill, args=(slot, frames), name="live footage", daemon=True)
    reader.start()
    try:
        while True:
            with slot.changed:
                while slot.frame is None and not slot.ended and not stopped():
                    slot.changed.wait(_TICK_S)
                if stopped():
                    return
                frame, slot.frame = slot.frame, None
            if frame is None:
                if slot.error is not None:
                    raise slot.error
                return
            yield frame
    finally:
        with slot.changed:
            slot.closed = True
        reader.join(_JOIN_S)
