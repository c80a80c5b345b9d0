"""Which version of the package this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed package's version; `unknown` where it runs without having been installed."""
    try:
        return metadata.version("siam_tracker_ros")
    except metadata.PackageNotFoundError:
        return "unknown"
