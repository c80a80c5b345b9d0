"""Where the files installed beside the package are: config/, launch/, weights/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = "siam_tracker_ros"


def share_folders() -> list[Path]:
    """Folders that may hold them, in order: the source tree, then the share of every ROS 2 prefix."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    folders = [Path(__file__).resolve().parents[1]]
    folders += [Path(prefix) / "share" / _PACKAGE for prefix in prefixes if prefix]
    return list(dict.fromkeys(folders))


def shipped_file(name: str) -> Path | None:
    """The shipped file of that name (`config/tracker.yaml`), None where it is not installed."""
    return next((folder / name for folder in share_folders() if (folder / name).is_file()), None)
