"""Where weight files are found: by path, or by name in the folders that hold them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from siam_tracker_ros.models.checkpoint import CheckpointError

WEIGHTS_ENV = "SIAM_TRACKER_WEIGHTS"
_PACKAGE = "siam_tracker_ros"


def weight_folders() -> list[Path]:
    """Folders searched for weights by name, in order: the user's, the source tree's, the installed package's.

    The user's is `$SIAM_TRACKER_WEIGHTS`, or several joined by the system's path separator.
    """
    folders = [Path(p) for p in os.environ.get(WEIGHTS_ENV, "").split(os.pathsep) if p]
    folders.append(Path(__file__).resolve().parents[2] / "weights")
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [sys.prefix]
    folders += [Path(prefix) / "share" / _PACKAGE / "weights" for prefix in prefixes]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def list_weights() -> dict[str, Path]:
    """Every weight file found, by name (file name without suffix); the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in weight_folders():
        for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.pth")]):
            found.setdefault(path.stem, path)
    return found


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """The weight file that is meant: an existing path, or a name in one of the weight folders.

    Raises CheckpointError, naming what was searched and what there is.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    known = list_weights()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    folders = " and ".join(str(folder) for folder in weight_folders())
    where = f"{folders} have {', '.join(known) or 'none'}" if folders else "there is no folder of weights"
    raise CheckpointError(
        f"no weights called '{name_or_path}': it is no file, and {where}; {WEIGHTS_ENV} names more folders"
    )
