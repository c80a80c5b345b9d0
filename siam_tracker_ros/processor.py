"""What this machine's processor is called."""

from __future__ import annotations

from pathlib import Path

_BOARD = Path("/proc/device-tree/model")


def processor_name() -> str:
    """The processor's name, or that of the board it is on where processors bear none, as ARM's do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    if models:
        return models[0]
    return _BOARD.read_text().strip("\0\n ") if _BOARD.is_file() else "unknown processor"
