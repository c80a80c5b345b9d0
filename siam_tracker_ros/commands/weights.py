"""`siam-tracker weights`: what weights there are, whether they are whole, and taking in others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError

HELP = "list, check and import weight files"


class WeightsCommandError(SiamTrackerError):
    """Weights that cannot be imported as asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `weights`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    actions.add_parser("list", help="weights that every command and node finds by name, and where")
    verify = actions.add_parser("verify", help="check hash, content and fit; exit status 1 if one fails")
    verify.add_argument("names", nargs="*", metavar="NAME|PATH", help="those to check; all if none")
    take = actions.add_parser("import", help="check a PySOT, SiamMask or own file and keep it by name")
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument("--model", metavar="NAME", help="zoo entry it is for, where several fit")
    take.add_argument("--name", help="name to keep it by (default: that of its zoo entry)")
    take.add_argument("--folder", type=Path, metavar="DIR", help="where (default: your own weights folder)")
    take.add_argument("--fp32", action="store_true", help="keep full precision: twice the size")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says; the exit status."""
    if args.action == "list":
        return _list()
    if args.action == "verify":
        return _verify(args.names)
    return _import(args)


def _list() -> int:
    from siam_tracker_ros.models.checkpoint import read_checkpoint
    from siam_tracker_ros.models.weights import list_weights, own_folder, weight_folders

    found = list_weights()
    for name, path in found.items():
        entry = "?" if path.suffix != ".safetensors" else read_checkpoint(path).entry_name or "?"
        print(f"{name}: {path.stat().st_size / 1e6:.1f} MB, for {entry}, {path}")
    if not found:
        folders = ", ".join(map(str, weight_folders() or [own_folder()]))
        print(f"no weights in {folders}", file=sys.stderr)
    return 0


def _verify(names: list[str]) -> int:
    from siam_tracker_ros.models.weights import find_weights, list_weights

    paths = [find_weights(name) for name in names] or list(list_weights().values())
    failed = 0
    for path in paths:
        problem = _problem(path)
        failed += problem is not None
        print(f"{path}: {problem or 'ok'}")
    return 1 if failed else 0


def _problem(path: Path) -> str | None:
    """What is wrong with a weight file, if anything."""
    from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint
    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.weights import read_manifest, sha256_of

    try:
        released = read_manifest(path.parent).get(path.name)
        if released is not None and sha256_of(path) != released.sha256:
            return f"its SHA-256 is not the one of the manifest, {released.sha256}: download it again"
        checkpoint = read_checkpoint(path)
        entry = entry_of(checkpoint, released.entry if released else None, str(path))
        load_state(SiameseNetwork(entry.model), checkpoint.state, str(path))
    except SiamTrackerError as error:
        return str(error)
    return None


def _import(args: argparse.Namespace) -> int:
    import torch

    from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint, save_weights
    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.weights import own_folder, sha256_of

    checkpoint = read_checkpoint(args.file)
    entry = entry_of(checkpoint, args.model, str(args.file))
    network = SiameseNetwork(entry.model)
    load_state(network, checkpoint.state, str(args.file))
    path = (args.folder or own_folder()) / f"{args.name or entry.name}.safetensors"
    if path.exists():
        raise WeightsCommandError(f"{path} is there already: give another --name, or remove it")
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(network, part, entry.name, torch.float32 if args.fp32 else torch.float16)
        part.replace(path)
    except OSError as error:
        raise WeightsCommandError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    print(f"{args.file} is now {path.stem}, for {entry.name}: {path}")
    print(f"sha256 {sha256_of(path)}")
    return 0
