"""Where targets were in the last while."""

from __future__ import annotations

from collections import deque

from siam_tracker_msgs.msg import Track, TrackArray
from siam_tracker_ros.footage.stamps import stamp_ns

Point = tuple[float, float]


class Trails:
    """Centres of the boxes of the last `seconds` of image time, px, by target id.

    A trail ends where the target is lost or gone, and starts over where it is found or initialised anew.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._generations: dict[str, int] = {}
        self._trails: dict[str, deque[tuple[int, Point]]] = {}
        self._stamp_ns = 0

    def add(self, message: TrackArray) -> None:
        """Take the targets of the next image; one that is older than the last starts everything over."""
        now_ns = stamp_ns(message.header.stamp)
        if now_ns < self._stamp_ns:
            self._trails.clear()
        self._stamp_ns = now_ns
        seen = {track.id: track for track in message.tracks if track.state != Track.LOST}
        self._trails = {
            id: self._trails[id]
            for id, track in seen.items()
            if id in self._trails and self._generations.get(id) == track.generation
        }
        self._generations = {id: track.generation for id, track in seen.items()}
        for id, track in seen.items():
            trail = self._trails.setdefault(id, deque())
            trail.append((now_ns, (track.bbox.center_x, track.bbox.center_y)))
            while trail[0][0] < now_ns - self.seconds * 1e9:
                trail.popleft()

    def points(self) -> dict[str, list[Point]]:
        """The centres as of the last image, oldest first; nothing where `seconds` is 0."""
        if not self.seconds:
            return {}
        return {id: [point for _, point in trail] for id, trail in self._trails.items()}
