"""Memory of a process, as Linux tells it."""

from __future__ import annotations

from pathlib import Path


def resident_mib(process: int | str = "self") -> float:
    """Resident memory of a process, MiB; 0 where the system does not tell."""
    return _status_mib("VmRSS", process)


def peak_mib(process: int | str = "self") -> float:
    """The most that was resident since the process began, MiB; 0 where the system does not tell."""
    return _status_mib("VmHWM", process)


def _status_mib(field: str, process: int | str) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    values = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(values[0]) / 1024 if values else 0.0
