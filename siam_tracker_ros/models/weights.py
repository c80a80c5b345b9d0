"""Where weight files are found: by path, or by name in the folders that hold them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from siam_tracker_ros.models.checkpoint import CheckpointError
from siam_tracker_ros.shipped_files import share_folders

WEIGHTS_ENV = "SIAM_TRACKER_WEIGHTS"
MANIFEST_NAME = "zoo.yaml"


@dataclass(frozen=True)
class Released:
    """A weight file as the manifest beside it describes it."""

    name: str
    entry: str
    file: str
    sha256: str


def own_folder() -> Path:
    """Where this user's weights are kept: `$XDG_DATA_HOME/siam_tracker/weights` (`~/.local/share/...`)."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "siam_tracker" / "weights"


def weight_folders() -> list[Path]:
    """Folders searched for weights by name, in order: the user's, the source tree's, the installed package's.

    The user's are `$SIAM_TRACKER_WEIGHTS` (several joined by the path separator) and `own_folder`.
    """
    folders = [Path(p) for p in os.environ.get(WEIGHTS_ENV, "").split(os.pathsep) if p]
    folders.append(own_folder())
    folders += [folder / "weights" for folder in share_folders()]
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


def read_manifest(folder: Path) -> dict[str, Released]:
    """What the manifest of a weight folder says of its files, by file name; empty where there is none.

    Raises CheckpointError for a manifest that lacks what it must say.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return {}
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8"))["weights"]
        names = [field.name for field in fields(Released)]
        released = [Released(**{name: str(item[name]) for name in names}) for item in items]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no manifest of weights: {error!r}") from error
    return {item.file: item for item in released}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
