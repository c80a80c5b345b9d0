"""One clock for a control loop, and stamps of messages on it."""

from __future__ import annotations

import time
from typing import Any

from siam_tracker_ros.footage.stamps import stamp_ns

# A clock that is set by less is being slewed, which the loop need not notice.
_JUMP_NS = 50_000_000


class LoopClock:
    """Seconds on the steady clock, or on the simulation's where there is one.

    Stamps are of the node's clock. On a robot that is the system's, which may be set at any time: how far it
    is ahead of the steady clock is measured anew with every reading, so that a slewed clock is followed and
    one that was set is noticed. Simulated time is taken as it is, so that gains and limits keep their meaning
    whatever the simulation's pace. Not thread-safe.
    """

    def __init__(self, node_clock: Any) -> None:
        """`node_clock`: what `get_clock()` of a node gives."""
        self._node_clock = node_clock
        self._simulated = bool(node_clock.ros_time_is_active)
        self._ahead_ns: int | None = None
        self._newest_ns = 0
        self._jumped = False

    def now(self) -> float:
        """The present time, s."""
        return self._read() * 1e-9

    def of_stamp(self, stamp: Any) -> float:
        """The time of a builtin_interfaces/Time, s on this clock."""
        self._read()
        return (stamp_ns(stamp) - (self._ahead_ns or 0)) * 1e-9

    def has_jumped(self) -> bool:
        """Whether stamps given before no longer fit: time went back, was set, or changed its source.

        Says so once for each jump.
        """
        self._read()
        jumped, self._jumped = self._jumped, False
        return jumped

    def _read(self) -> int:
        node_ns = int(self._node_clock.now().nanoseconds)
        simulated = bool(self._node_clock.ros_time_is_active)
        if simulated:
            ahead_ns, now_ns = 0, node_ns
            moved = now_ns < self._newest_ns
        else:
            now_ns = time.monotonic_ns()
            ahead_ns = node_ns - now_ns
            moved = self._ahead_ns is not None and abs(ahead_ns - self._ahead_ns) > _JUMP_NS
        if moved or simulated != self._simulated:
            self._jumped = True
        self._simulated, self._ahead_ns, self._newest_ns = simulated, ahead_ns, now_ns
        return now_ns
