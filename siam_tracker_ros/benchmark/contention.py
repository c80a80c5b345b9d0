"""How much of the processors others took while something was measured."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class CpuClock:
    """Seconds since the start of the machine: of its processors, busy and in all, and of this process.

    Ours counts children that have ended. A virtual machine's time that its host gave to others is busy time.
    """

    busy_s: float
    total_s: float
    ours_s: float

    def others_share(self, later: CpuClock) -> float:
        """The share of the processors' time from here to `later` that was not ours and not idle, 0 to 1."""
        total = later.total_s - self.total_s
        if total <= 0:
            return 0.0
        others = (later.busy_s - self.busy_s) - (later.ours_s - self.ours_s)
        return min(1.0, max(0.0, others / total))


def cpu_clock(stat: Path = _STAT) -> CpuClock:
    """The clock now; it stands still where the system does not tell."""
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks_s = 1.0 / os.sysconf("SC_CLK_TCK")
    busy = total = 0.0
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, *values = line.split()
        if name in allowed:
            # user nice system idle iowait irq softirq steal; guest times are within user and nice.
            times = [int(value) * ticks_s for value in values[:8]]
            total += sum(times)
            busy += sum(times) - sum(times[3:5])
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return CpuClock(busy, total, sum(usage.ru_utime + usage.ru_stime for usage in usages))
