"""Footage played as by a camera: at a rate, held and stepped, looped, opened anew where it breaks off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from siam_tracker_ros.footage.frames import Footage, Frame, SourceError

# How often a wait is looked at again that nobody notified of, s.
_TICK_S = 0.05


@dataclass(frozen=True)
class PlaySettings:
    """How to play.

    `rate` is in frames/s: 0 takes the frames' own times, infinity gives each as soon as it is asked for.
    `loop` starts over at the end. `reconnect_s` is the time between attempts to open a camera or stream again
    that broke off; 0 for none.
    """

    rate: float = 0.0
    loop: bool = False
    reconnect_s: float = 0.0


class Player:
    """Plays footage to one thread, which takes frames from `play`; the other methods are for any thread.

    `open_footage(stopped)` opens it: first, over again, and after it broke off. `returns` says that it is a
    camera or stream, which may come back. `tell` is told in words what happens on the way.
    """

    def __init__(
        self,
        open_footage: Callable[[Callable[[], bool]], Footage],
        settings: PlaySettings,
        tell: Callable[[str], None],
        returns: bool = False,
        paused: bool = False,
    ) -> None:
        self.settings = settings
        self._open = open_footage
        self._tell = tell
        self._returns = returns
        self._changed = threading.Condition()
        self._paused = paused
        self._steps = 0
        self._stopped = False
        # When the next frame may come, on the monotonic clock; None: at once, and those after it from there.
        self._due: float | None = None

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self, paused: bool) -> None:
        """Hold the next frame back, or let the footage go on."""
        with self._changed:
            self._paused, self._steps, self._due = paused, 0, None
            self._changed.notify_all()

    def step(self) -> None:
        """Give one frame, then hold."""
        with self._changed:
            self._paused, self._steps = True, self._steps + 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End `play` soon, whatever it waits for."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def notify(self) -> None:
        """What `wait_until` waits for may have come about."""
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, done: Callable[[], bool], timeout_s: float = float("inf")) -> bool:
        """Wait for `done()`; False where `timeout_s` or `stop` came first."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not done():
                left = deadline - time.monotonic()
                if self._stopped or left <= 0:
                    return False
                self._changed.wait(min(left, _TICK_S))
        return True

    def play(self) -> Generator[Frame, None, None]:
        """Each frame when it is due; its `time` counts from the first, and on where the footage starts over.

        A frame that comes late moves those after it: none is hurried. Raises SourceError where the footage
        does not open, or breaks off and does not come back.
        """
        footage = self._open_first()
        time_s, step_s = 0.0, 0.0
        while footage is not None:
            broken: SourceError | None = None
            offset: float | None = None
            with closing(footage.frames):
                try:
                    for frame in self._due_frames(footage):
                        if offset is None:
                            offset, step_s = time_s + step_s - frame.time, 1.0 / footage.rate
                        else:
                            step_s = frame.time + offset - time_s
                        time_s = frame.time + offset
                        yield Frame(frame.number, frame.image, time_s)
                except SourceError as error:
                    broken = error
            if self._stopped:
                return
            if footage.live and self._returns and self.settings.reconnect_s:
                footage = self._wait_for_return(str(broken or f"{footage.name} has ended"))
            elif broken is not None:
                raise broken
            else:
                # Footage without a single frame is not tried over and over.
                footage = self._open(self.stopped) if self.settings.loop and offset is not None else None

    def _open_first(self) -> Footage | None:
        try:
            return self._open(self.stopped)
        except SourceError as error:
            if not (self._returns and self.settings.reconnect_s):
                raise
            return self._wait_for_return(str(error))

    def _wait_for_return(self, why: str) -> Footage | None:
        """The footage, opened once that is possible again; None where it is to end."""
        self._tell(f"{why}; trying again every {self.settings.reconnect_s:g} s")
        while not self._stops_within(self.settings.reconnect_s):
            try:
                footage = self._open(self.stopped)
            except SourceError:
                continue
            self._tell(f"{footage.name} is there")
            self._due = None
            return footage
        return None

    def _due_frames(self, footage: Footage) -> Generator[Frame, None, None]:
        """The frames of `footage`, each when it is due. A live one is asked for its newest only then."""
        before: Frame | None = None
        while True:
            if footage.live and not self._wait_for_turn(0.0):
                return
            frame = next(footage.frames, None)
            if frame is None:
                return
            own_step_s = 1.0 / footage.rate if before is None else frame.time - before.time
            if not footage.live and not self._wait_for_turn(own_step_s):
                return
            yield frame
            before = frame

    def _wait_for_turn(self, own_step_s: float) -> bool:
        """Wait while paused, and until a step after the frame before; False where it is to end."""
        with self._changed:
            while self._paused and not self._steps and not self._stopped:
                self._changed.wait()
            if self._steps:
                self._steps -= 1
                self._due = None
        now = time.monotonic()
        step_s = 1.0 / self.settings.rate if self.settings.rate else own_step_s
        self._due = now if self._due is None else max(self._due + step_s, now - step_s)
        return not self._stops_within(self._due - now)

    def _stops_within(self, seconds: float) -> bool:
        """Wait that long; True at once where it is to end."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._stopped and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._stopped
