"""`siam-tracker weights`: what weights there are, whether they are whole, and getting others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError

HELP = "list, check, fetch and import weight files"


class WeightsCommandError(SiamTrackerError):
    """Weights that cannot be imported as asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `weights`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listing = actions.add_parser("list", help="weights that every command and node finds by name, and where")
    listing.add_argument("--public", action="store_true", help="instead, published ones that can be fetched")
    verify = actions.add_parser("verify", help="check hash, content and fit; exit status 1 if one fails")
    verify.add_argument("names", nargs="*", metavar="NAME|PATH", help="those to check; all if none")
    fetch = actions.add_parser("fetch", help="download published weights and keep them by name")
    fetch.add_argument("name", metavar="NAME", help="one that `weights list --public` names")
    fetch.add_argument("--url", help="fetch from there instead, from a mirror for example")
    fetch.add_argument("--sha256", metavar="HEX", help="hash the download must have")
    fetch.add_argument("--folder", type=Path, metavar="DIR", help="where (default: your own weights folder)")
    fetch.add_argument("--fp32", action="store_true", help="keep full precision: twice the size")
    take = actions.add_parser("import", help="check a PySOT, SiamMask or own file and keep it by name")
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument("--model", metavar="NAME", help="zoo entry it is for, where several fit")
    take.add_argument("--name", help="name to keep it by (default: that of its zoo entry)")
    take.add_argument("--folder", type=Path, metavar="DIR", help="where (default: your own weights folder)")
    take.add_argument("--fp32", action="store_true", help="keep full precision: twice the size")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says; the exit status."""
    if args.action == "list":
        return _list_public() if args.public else _list()
    if args.action == "fetch":
        return _fetch(args)
    if args.action == "verify":
        return _verify(args.names)
    _import(args.file, args.model, args.name, args.folder, args.fp32)
    return 0


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


def _list_public() -> int:
    from siam_tracker_ros.models.public_weights import PUBLIC

    for public in PUBLIC.values():
        known = "hash known" if public.sha256 else "no hash published"
        print(
            f"{public.name}: for {public.entry}, of {public.origin}, {public.licence}, {known}, {public.url}"
        )
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from siam_tracker_ros.models.download import DownloadError, download
    from siam_tracker_ros.models.public_weights import PUBLIC
    from siam_tracker_ros.models.weights import own_folder, sha256_of

    if args.name not in PUBLIC:
        raise WeightsCommandError(f"no published weights called '{args.name}'; known are {', '.join(PUBLIC)}")
    public = PUBLIC[args.name]
    folder = args.folder or own_folder()
    _check_free(folder / f"{public.name}.safetensors")
    sha256 = args.sha256 or (public.sha256 if args.url is None else None)
    print(f"{public.name}: of {public.origin}, {public.licence}", file=sys.stderr)
    with tqdm(unit="B", unit_scale=True, desc=public.name, disable=None) as bar:

        def show(have: int, total: int | None) -> None:
            bar.total = total
            bar.update(have - bar.n)

        try:
            file = download(args.url or public.url, folder / f"{public.name}.pth", sha256, show)
        except DownloadError as error:
            raise DownloadError(
                f"{error}. A file you have from elsewhere: siam-tracker weights import FILE "
                f"--model {public.entry} --name {public.name}"
            ) from error
    if sha256 is None:
        print(
            f"no hash is published for {public.name}, so only its content could be checked; sha256 of what "
            f"came: {sha256_of(file)}",
            file=sys.stderr,
        )
    try:
        _import(file, public.entry, public.name, folder, args.fp32)
    except SiamTrackerError as error:
        raise WeightsCommandError(f"{error}; what came is kept: {file}") from error
    file.unlink()
    return 0


def _check_free(path: Path) -> None:
    if path.exists():
        raise WeightsCommandError(f"{path} is there already: give another --name, or remove it")


def _import(source: Path, model: str | None, name: str | None, folder: Path | None, fp32: bool) -> None:
    """Check `source` and keep it by name, as safetensors."""
    import torch

    from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint, save_weights
    from siam_tracker_ros.models.siamese import SiameseNetwork
    from siam_tracker_ros.models.weights import own_folder, sha256_of

    checkpoint = read_checkpoint(source)
    entry = entry_of(checkpoint, model, str(source))
    network = SiameseNetwork(entry.model)
    load_state(network, checkpoint.state, str(source))
    path = (folder or own_folder()) / f"{name or entry.name}.safetensors"
    _check_free(path)
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(network, part, entry.name, torch.float32 if fp32 else torch.float16)
        part.replace(path)
    except OSError as error:
        raise WeightsCommandError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    print(f"{source} is now {path.stem}, for {entry.name}: {path}")
    print(f"sha256 {sha256_of(path)}")
