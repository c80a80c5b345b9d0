"""Stamps of messages as one number."""

from __future__ import annotations

from typing import Any


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in ns."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
