"""The servo node's diagnostics: what it does, how punctually, and what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from siam_tracker_ros.control.servo import ServoCommand
from siam_tracker_ros.control.supervisor import ServoState


@dataclass(frozen=True)
class ServoHealth:
    """What there is to say at one moment. `loop_ms` holds the p50 and p95 of each stage, ms."""

    lifecycle: str
    trouble: str = ""
    command: ServoCommand | None = None
    target_id: str = ""
    loop_rate: float = 0.0
    track_rate: float = 0.0
    attitude_rate: float = 0.0
    loop_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    standstills: int = 0
    time_jumps: int = 0
    outputs: tuple[str, ...] = ()
    camera: str = ""


def diagnostic_status(name: str, health: ServoHealth) -> DiagnosticStatus:
    """`health` as a message, with the worst of it in the summary."""
    level, message = _summary(health)
    command = health.command
    values = {
        "lifecycle state": health.lifecycle,
        "servo state": command.state.name if command else "",
        "reason": command.reason if command else "",
        "manual": str(bool(command and command.manual)).lower(),
        "target": health.target_id,
        "error (deg)": _number(None if command is None else command.error, math.degrees(1), 2),
        "track age (s)": _number(None if command is None else command.track_age, 1.0, 3),
        "loop rate (Hz)": f"{health.loop_rate:.1f}",
        "track rate (Hz)": f"{health.track_rate:.1f}",
        "attitude rate (Hz)": f"{health.attitude_rate:.1f}",
        **{
            f"{stage} p50, p95 (ms)": ", ".join(f"{ms:.1f}" for ms in stage_ms)
            for stage, stage_ms in health.loop_ms.items()
        },
        "standstills of the loop": str(health.standstills),
        "jumps of the clock": str(health.time_jumps),
        "outputs": ", ".join(health.outputs),
        "camera": health.camera,
    }
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _number(value: float | None, scale: float, digits: int) -> str:
    return "" if value is None else f"{scale * value:.{digits}f}"


def _summary(health: ServoHealth) -> tuple[bytes, str]:
    if health.trouble:
        return DiagnosticStatus.ERROR, health.trouble
    if health.lifecycle != "active":
        verb = "activate" if health.lifecycle == "inactive" else "configure and activate"
        return DiagnosticStatus.WARN, f"{health.lifecycle}: {verb} the node to follow a target"
    if health.command is None:
        return DiagnosticStatus.WARN, "active, but the loop has not run yet"
    state, reason = health.command.state, health.command.reason
    if state == ServoState.FAULT:
        return DiagnosticStatus.ERROR, f"fault, disarm to clear it: {reason}"
    if state in (ServoState.HOLDING, ServoState.COASTING):
        return DiagnosticStatus.WARN, f"{state.name.lower()}: {reason}"
    return DiagnosticStatus.OK, f"{state.name.lower()}: {reason}"
