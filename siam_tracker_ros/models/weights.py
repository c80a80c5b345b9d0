"""Where weight files are found: by path, or by name in the folders that hold them."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import yaml

from siam_tracker_ros.models.checkpoint import CheckpointError
from siam_tracker_ros.models.int8_calibration import (
    SUFFIX,
    Calibration,
    QuantisationError,
    read_calibration,
)
from siam_tracker_ros.shipped_files import share_folders

logger = logging.getLogger(__name__)

WEIGHTS_ENV = "SIAM_TRACKER_WEIGHTS"
MANIFEST_NAME = "zoo.yaml"


@dataclass(frozen=True)
class Released:
    """A weight file as the manifest beside it describes it."""

    name: str
    entry: str
    file: str
    sha256: str
    int8_sha256: str | None = None
    """Of the int8 calibration beside it, where there is one."""


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
        names = [field.name for field in fields(Released) if field.default is MISSING]
        released = [
            Released(**{name: str(item[name]) for name in names}, int8_sha256=_text(item.get("int8_sha256")))
            for item in items
        ]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no manifest of weights: {error!r}") from error
    return {item.file: item for item in released}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def calibration_beside(weights: Path) -> Calibration | None:
    """The int8 calibration that lies beside a weight file as NAME.int8.json; None where there is none.

    One that was made for other weights is passed over with a warning. Raises QuantisationError for a file
    that is none, or not the one in the manifest, and CheckpointError where the manifest is not one.
    """
    path = weights.with_name(weights.stem + SUFFIX)
    if not path.is_file():
        return None
    released = read_manifest(weights.parent).get(weights.name)
    if released is not None and released.int8_sha256 not in (None, sha256_of(path)):
        raise QuantisationError(
            f"{path} has the SHA-256 {sha256_of(path)}, but {MANIFEST_NAME} says {released.int8_sha256}: get "
            f"the file again, or correct {MANIFEST_NAME}"
        )
    calibration = read_calibration(path)
    if calibration.weights_sha256 != sha256_of(weights):
        logger.warning("%s is not used: it was made for other weights than %s", path, weights)
        return None
    return calibration
