"""Recent images by stamp, so that a target can start on the frame its box was drawn on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StampedImage:
    """An image message as it came: stamps in ns, `received_ns` of the node's clock, `size` in bytes."""

    stamp_ns: int
    received_ns: int
    message: Any
    size: int


class FrameBuffer:
    """The last images, bounded by age and by bytes, whichever is less. Not thread-safe.

    Messages are kept as they are, so raw frames are not copied and compressed ones stay small.
    """

    def __init__(self, max_seconds: float, max_bytes: int) -> None:
        self._max_ns = round(max_seconds * 1e9)
        self._max_bytes = max_bytes
        self._images: list[StampedImage] = []
        self._stamps: list[int] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    @property
    def total_bytes(self) -> int:
        """Bytes of all images held."""
        return self._bytes

    @property
    def span_s(self) -> float:
        """Seconds from the oldest image held to the newest."""
        return (self._stamps[-1] - self._stamps[0]) / 1e9 if self._stamps else 0.0

    def resize(self, max_seconds: float, max_bytes: int) -> None:
        """Change the bounds; what no longer fits is let go of."""
        self._max_ns, self._max_bytes = round(max_seconds * 1e9), max_bytes
        self._trim()

    def append(self, image: StampedImage) -> None:
        """Hold `image` too. Raises ValueError where it is older than the newest one held."""
        if self._stamps and image.stamp_ns < self._stamps[-1]:
            raise ValueError(f"stamp {image.stamp_ns} ns is before the newest one, {self._stamps[-1]} ns")
        self._images.append(image)
        self._stamps.append(image.stamp_ns)
        self._bytes += image.size
        self._trim()

    def at(self, stamp_ns: int) -> StampedImage | None:
        """The image of exactly this stamp (the last of several), None if it is not held."""
        index = bisect_right(self._stamps, stamp_ns) - 1
        return self._images[index] if index >= 0 and self._stamps[index] == stamp_ns else None

    def since(self, stamp_ns: int) -> list[StampedImage]:
        """The images after this stamp, oldest first."""
        return self._images[bisect_right(self._stamps, stamp_ns) :]

    def clear(self) -> None:
        """Let go of every image."""
        self._images.clear()
        self._stamps.clear()
        self._bytes = 0

    def _trim(self) -> None:
        if not self._stamps:
            return
        old = bisect_left(self._stamps, self._stamps[-1] - self._max_ns)
        freed = sum(image.size for image in self._images[:old])
        while old < len(self._images) and self._bytes - freed > self._max_bytes:
            freed += self._images[old].size
            old += 1
        del self._images[:old], self._stamps[:old]
        self._bytes -= freed
