"""The tracker node's diagnostics: how images come, how long they take, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from siam_tracker_ros.nodes.tracking_worker import Counts
from siam_tracker_ros.process_memory import resident_mib

# Share of images passed over above which the node is called overloaded.
_MANY_DROPPED = 0.5


@dataclass(frozen=True)
class TrackerHealth:
    """What there is to say at one moment. `stage_ms` holds the p50 and p99 of each stage, ms."""

    lifecycle: str
    trouble: str = ""
    silence: str = ""
    unheard: tuple[str, ...] = ()
    enabled: bool = True
    image_rate: float = 0.0
    track_rate: float = 0.0
    image_age_s: float | None = None
    counts: Counts = field(default_factory=Counts)
    stage_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    model: str = ""
    device: str = ""
    engine: str = ""
    buffered: tuple[int, int, float] = (0, 0, 0.0)
    last_init_error: str = ""


def diagnostic_status(name: str, health: TrackerHealth) -> DiagnosticStatus:
    """`health` as a message, with the worst of it in the summary."""
    level, message = _summary(health)
    counts = health.counts
    values = {
        "lifecycle state": health.lifecycle,
        "model": health.model,
        "device": health.device,
        "engine": health.engine,
        "targets": ", ".join(health.targets),
        "image rate (Hz)": f"{health.image_rate:.1f}",
        "track rate (Hz)": f"{health.track_rate:.1f}",
        "image age (s)": "" if health.image_age_s is None else f"{health.image_age_s:.3f}",
        "images received": str(counts.received),
        "images dropped": str(counts.dropped),
        "images refused": str(counts.refused),
        **{
            f"{stage} p50, p99 (ms)": ", ".join(f"{ms:.1f}" for ms in stage_ms)
            for stage, stage_ms in health.stage_ms.items()
        },
        "images buffered": f"{health.buffered[0]} over {health.buffered[2]:.2f} s",
        "buffer (MiB)": f"{health.buffered[1] / 2**20:.1f}",
        "memory (MiB)": f"{resident_mib():.0f}",
        "last init error": health.last_init_error,
    }
    if health.device.startswith("cuda"):
        values["GPU memory (MiB)"] = f"{torch.cuda.memory_allocated(health.device) / 2**20:.0f}"
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=health.device,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _summary(health: TrackerHealth) -> tuple[bytes, str]:
    if health.trouble:
        return DiagnosticStatus.ERROR, health.trouble
    if health.lifecycle != "active":
        verb = "activate" if health.lifecycle == "inactive" else "configure and activate"
        return DiagnosticStatus.WARN, f"{health.lifecycle}: {verb} the node to track"
    if not health.enabled:
        return DiagnosticStatus.OK, "disabled by ~/enable"
    if health.silence:
        return DiagnosticStatus.WARN, health.silence
    if health.unheard:
        return DiagnosticStatus.WARN, "; ".join(health.unheard)
    counts = health.counts
    if counts.refused and counts.refused >= counts.received - counts.dropped:
        return DiagnosticStatus.ERROR, "every image is refused: the log says why"
    if counts.received and counts.dropped > _MANY_DROPPED * counts.received:
        return DiagnosticStatus.WARN, (
            f"{counts.dropped} of {counts.received} images passed over: tracking is slower than the camera"
        )
    return DiagnosticStatus.OK, f"tracking {len(health.targets)}" if health.targets else "idle: no target"
