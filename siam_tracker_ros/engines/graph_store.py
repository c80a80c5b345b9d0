"""Where graphs made ready for an engine are kept, so that the next start does not make them again.

They lie in the user's cache, in a folder for every network: `graphs/KEY/` in `cache_folder()`. It may be
deleted at any time. Networks that were not used for longest go first.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from siam_tracker_ros import models
from siam_tracker_ros.engines import graphs
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork

logger = logging.getLogger(__name__)

_KEPT_NETWORKS = 8


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/siam_tracker` (`~/.cache/siam_tracker`)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "siam_tracker"


def network_key(entry: ZooEntry, network: SiameseNetwork) -> str:
    """Hex digits that change with a network's weights, its architecture and the code that cuts graphs."""
    described = (entry.model, entry.tracking.exemplar_size, entry.tracking.pyramid)
    digest = hashlib.sha256(f"{described} {torch.__version__}".encode())
    for source in (Path(graphs.__file__), *sorted(Path(models.__file__).parent.glob("*.py"))):
        digest.update(source.read_bytes())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def kept(key: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the network `key`, which `make` fills where there is none yet.

    A folder has its name only once it is whole; errors of `make` that a user can put right pass. Where the
    cache cannot be written to, that is logged, and the folder lasts as long as this process.
    """
    networks = cache_folder() / "graphs"
    folder = networks / key / name
    try:
        if not folder.is_dir():
            _make_whole(folder, make)
            _drop_unused(networks)
        os.utime(networks / key)
    except SiamTrackerError:
        raise
    except (OSError, RuntimeError) as error:
        if folder.is_dir():
            return folder
        logger.warning("%s cannot be written to, so that each start takes longer: %s", networks, error)
        folder = _for_this_process() / key / name
        if not folder.is_dir():
            _make_whole(folder, make)
    return folder


def _make_whole(folder: Path, make: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        make(part)
        part.replace(folder)
    except OSError:
        # Another process was faster: its folder holds the same.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _drop_unused(networks: Path) -> None:
    by_use = sorted(networks.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_use[_KEPT_NETWORKS:]:
        shutil.rmtree(path, ignore_errors=True)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="siam_tracker_graphs_")


def _for_this_process() -> Path:
    return Path(_temporary().name)
