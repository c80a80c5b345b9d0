"""Images and the tracks found in them, joined by exact stamp and put out in order.

An image that the tracker passed over is left out, as soon as there are tracks of a later one. Where none come
at all, images are put out alone after a while, so that whoever looks never sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from siam_tracker_ros.footage.stamps import stamp_ns

# So many in a row whose tracks came too late are no accident.
_OFTEN = 5


class JoinedImages:
    """Calls `show(image, tracks)` for each image that is put out; `tracks` is None for one alone.

    `max_wait_s` is how long an image waits for its tracks, `max_images` how many do at a time. While no
    tracks come at all (the tracker is off) none waits. `filters` is message_filters or its stand-in.
    Times are of a steady clock, s. Not thread-safe.
    """

    def __init__(
        self, filters: ModuleType, show: Callable[[Any, Any], None], max_wait_s: float, max_images: int
    ) -> None:
        self._filters, self._show = filters, show
        self._max_wait_s, self._max_images = max_wait_s, max_images
        self._late = 0
        self.forget()

    def forget(self) -> None:
        """Start over, with no images and no tracks."""
        # Synchronizers keep the latest stamps, and have no way to let go of them.
        self._images, self._tracks = self._filters.SimpleFilter(), self._filters.SimpleFilter()
        joined = self._filters.TimeSynchronizer([self._images, self._tracks], self._max_images)
        joined.registerCallback(self._on_both)
        # By stamp, ns: the message, and until when it waits.
        self._waiting: dict[int, tuple[Any, float]] = {}
        self._newest_ns: int | None = None
        self._tracks_come = True

    @property
    def tracks_come_late(self) -> bool:
        """Whether the last images' tracks came after they had been put out alone."""
        return self._late >= _OFTEN

    def set_bounds(self, max_wait_s: float, max_images: int) -> None:
        """Change the bounds; images that wait are put out alone."""
        self._let_go(list(self._waiting))
        self._max_wait_s, self._max_images = max_wait_s, max_images
        self.forget()

    def add_image(self, message: Any, now_s: float) -> None:
        """An image came. One older than the last (a bag that was started over) starts everything over."""
        stamp = stamp_ns(message.header.stamp)
        if self._newest_ns is not None and stamp < self._newest_ns:
            self.forget()
        self._newest_ns = stamp
        self._waiting[stamp] = (message, now_s + self._max_wait_s * self._tracks_come)
        self._images.signalMessage(message)
        surplus = sorted(self._waiting)[: -self._max_images]
        self._let_go(surplus)
        self.let_go(now_s)

    def add_tracks(self, message: Any) -> None:
        """The tracks of an image came."""
        self._tracks_come = True
        self._tracks.signalMessage(message)

    def let_go(self, now_s: float) -> None:
        """Put out alone what has waited long enough, and what is older than that."""
        due = [stamp for stamp, (_, until_s) in self._waiting.items() if until_s <= now_s]
        if due:
            self._let_go([stamp for stamp in self._waiting if stamp <= max(due)])

    def _let_go(self, stamps: list[int]) -> None:
        for stamp in sorted(stamps):
            message, _ = self._waiting.pop(stamp)
            self._tracks_come = False
            self._show(message, None)

    def _on_both(self, image: Any, tracks: Any) -> None:
        stamp = stamp_ns(image.header.stamp)
        if stamp not in self._waiting:
            self._late += 1
            return
        self._late = 0
        self._waiting = {at: one for at, one in self._waiting.items() if at > stamp}
        self._show(image, tracks)
