"""The crop store: every target cut out once with its surroundings, in one LMDB that many processes read.

A crop is what the widest search region can show of a target (511 px at the exemplar's scale, as SiamFC and
PySOT cut them), as JPEG, in the frame's own resolution where that is coarser; masks are PNG. One file system
that all machines see is enough: readers take no lock. Preparing can be interrupted at any time and goes on
with the items that are not yet in.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import lmdb
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from siam_tracker_ros.training.datasets.annotation import Item
from siam_tracker_ros.training.decode import DecodedFrame, DecodedTarget, decode_frame, mapped_ahead
from siam_tracker_ros.training.frame_store import write_skipped
from siam_tracker_ros.training.target_store import StoreError, StoreSummary, TargetStore, Tracks
from siam_tracker_ros.training.warp import Placement, crop_affine, placed_box, tracker_scale, warp_image

UInt8 = NDArray[np.uint8]

_FILE = "crops.lmdb"
_FINGERPRINT, _PROGRESS, _COMPLETE = b"fingerprint", b"progress", b"complete"
# The file grows as it is written; this is only how far it may.
_MAP_SIZE = 1 << 42
_JPEG_QUALITY = 95


class CropGeometry(NamedTuple):
    """Side of a crop in px at the exemplar's scale, and what that scale is: the tracker's constants."""

    side: int = 511
    exemplar_size: int = 127
    context_amount: float = 0.5


PYSOT_CROP = CropGeometry()


class _Row(NamedTuple):
    track: str
    group: str
    is_still: bool
    box: tuple[float, float, float, float]
    mean: tuple[float, float, float]
    mask: tuple[int, int, int, int]


class _Cut(NamedTuple):
    row: _Row
    jpeg: bytes
    png: bytes


def _encoded(extension: str, image: UInt8, *options: int) -> bytes:
    done, content = cv2.imencode(extension, image, list(options))
    assert done, f"OpenCV cannot write {extension}"
    return bytes(np.asarray(content, np.uint8))


def _cut(frame: DecodedFrame, target: DecodedTarget, geometry: CropGeometry) -> _Cut:
    assert frame.image is not None
    wanted = tracker_scale(target.box, geometry.exemplar_size, geometry.context_amount)
    # Enlarging a small target would store nothing but interpolation.
    scale = min(wanted, 1.0)
    side = max(2, round(geometry.side * scale / wanted))
    affine = crop_affine(target.box, scale, side, Placement())
    if scale == 1.0:
        affine[:, 2] = np.round(affine[:, 2])
    b, g, r, _ = cv2.mean(frame.image)
    crop = warp_image(frame.image, affine, side, (b, g, r))
    centre = (side - 1) / 2
    placed = placed_box(target.box, affine, side, None, (0, 0))
    # A corner lies half of w - 1 from the centre.
    x, y = placed.cx + centre - (placed.w - 1) / 2, placed.cy + centre - (placed.h - 1) / 2
    box = (x, y, placed.w, placed.h)
    mask, png = (0, 0, 0, 0), b""
    if target.mask is not None:
        moved = affine.copy()
        moved[:, 2] += affine[:, :2] @ np.array(target.corner, float)
        warped = np.asarray(cv2.warpAffine(target.mask, moved, (side, side)), np.uint8)
        left, top, width, height = cv2.boundingRect((warped > 127).astype(np.uint8))
        if width:
            extent = np.where(warped[top : top + height, left : left + width] > 127, 255, 0)
            mask, png = (left, top, width, height), _encoded(".png", extent.astype(np.uint8))
    row = _Row(f"{frame.group}#{target.track}", frame.group, frame.is_still, box, (b, g, r), mask)
    return _Cut(row, _encoded(".jpg", crop, cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY), png)


def _cut_item(
    item: Item, min_target_side: float, geometry: CropGeometry
) -> tuple[list[_Cut], dict[str, str]]:
    frame = decode_frame(item, None, min_target_side)
    return [_cut(frame, target, geometry) for target in frame.targets], frame.skipped


def _pack(rows: list[_Row]) -> bytes:
    columns: dict[str, Any] = {name: np.array([getattr(row, name) for row in rows]) for name in _Row._fields}
    packed = io.BytesIO()
    np.savez_compressed(packed, **columns)
    return packed.getvalue()


def _open(folder: Path, **how: Any) -> lmdb.Environment:
    return lmdb.open(str(folder / _FILE), map_size=_MAP_SIZE, subdir=False, max_readers=1024, **how)


# LMDB opens a file once in a process, and not over a fork: path -> (process, environment).
_readers: dict[Path, tuple[int, lmdb.Environment]] = {}


def _reader(folder: Path) -> lmdb.Environment:
    path = folder.resolve()
    process, environment = _readers.get(path, (0, None))
    if environment is None or process != os.getpid():
        if environment is not None:
            environment.close()
        # Read-ahead would fetch what nobody asked for.
        environment = _open(path, readonly=True, lock=False, readahead=False)
        _readers[path] = (os.getpid(), environment)
    return environment


def _close_reader(folder: Path) -> None:
    _, environment = _readers.pop(folder.resolve(), (0, None))
    if environment is not None:
        environment.close()


def _key(kind: bytes, number: int) -> bytes:
    return b"%s%012d" % (kind, number)


def build_crop_store(
    items: Iterable[Item],
    folder: Path,
    min_target_side: float,
    fingerprint: str,
    geometry: CropGeometry = PYSOT_CROP,
    threads: int = 1,
    items_per_commit: int = 256,
    remake: bool = False,
) -> StoreSummary:
    """Cut the targets of `items` into a store in `folder`, or go on with one that was interrupted.

    A store of another `fingerprint` is made anew, with `remake` a finished one too. `items` have to come in
    the same order each time. What cannot be read is counted and named in the summary and in `skipped.json`,
    never fatal. Raises StoreError where nothing could be stored, or another process is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _close_reader(folder)
    try:
        environment = _open(folder)
    except lmdb.Error as error:
        raise StoreError(f"cannot write the crop store in {folder}: {error}") from error
    with environment:
        with environment.begin(write=True) as transaction:
            is_other = transaction.get(_FINGERPRINT) != fingerprint.encode()
            if is_other or (remake and transaction.get(_COMPLETE) is not None):
                transaction.drop(environment.open_db(txn=transaction), delete=False)
                transaction.put(_FINGERPRINT, fingerprint.encode())
            progress: dict[str, int] = json.loads(transaction.get(_PROGRESS, b"{}"))
            is_complete = transaction.get(_COMPLETE) is not None
        done, targets, chunks = (progress.get(key, 0) for key in ("items", "targets", "chunks"))

        def commit(rows: list[_Cut], skipped: dict[str, str]) -> None:
            try:
                put(rows, skipped)
            except lmdb.Error as error:
                raise StoreError(
                    f"cannot write the crop store in {folder}: {error}; what is in it is whole, and "
                    "preparing it again goes on"
                ) from error

        def put(rows: list[_Cut], skipped: dict[str, str]) -> None:
            nonlocal targets, chunks
            with environment.begin(write=True) as transaction:
                for number, cut in enumerate(rows, start=targets):
                    transaction.put(_key(b"image", number), cut.jpeg)
                    if cut.png:
                        transaction.put(_key(b"mask", number), cut.png)
                if rows:
                    transaction.put(_key(b"rows", chunks), _pack([cut.row for cut in rows]))
                    targets, chunks = targets + len(rows), chunks + 1
                if skipped:
                    transaction.put(_key(b"skipped", done), json.dumps(skipped).encode())
                state = {"items": done, "targets": targets, "chunks": chunks}
                transaction.put(_PROGRESS, json.dumps(state).encode())

        if not is_complete:
            cut = partial(_cut_item, min_target_side=min_target_side, geometry=geometry)
            pending: list[_Cut] = []
            skipped: dict[str, str] = {}
            rest = mapped_ahead(cut, islice(items, done, None), threads)
            for cuts, reasons in tqdm(rest, desc=str(folder), unit="frame", initial=done, disable=None):
                pending += cuts
                skipped |= reasons
                done += 1
                if done % items_per_commit == 0:
                    commit(pending, skipped)
                    pending, skipped = [], {}
            commit(pending, skipped)
            with environment.begin(write=True) as transaction:
                transaction.put(_COMPLETE, b"1")
        with environment.begin() as transaction:
            named: dict[str, str] = {}
            cursor = transaction.cursor()
            if cursor.set_range(b"skipped"):
                for key, value in cursor:
                    if not key.startswith(b"skipped"):
                        break
                    named |= json.loads(value)
    write_skipped(named, folder)
    if not targets:
        raise StoreError(f"no usable target among the frames given; {len(named)} items skipped")
    store = CropStore(folder)
    masks = sum(store.has_mask(target) for target in range(len(store)))
    return StoreSummary(done, len(store), masks, len(store.track_names), named)


class CropStore(TargetStore):
    """A crop store opened for reading; each process opens the file for itself at its first read."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`. Raises StoreError where there is none or it is not finished."""
        self.folder = folder
        if not (folder / _FILE).is_file():
            raise StoreError(f"no crop store in {folder}")
        _close_reader(folder)
        try:
            environment = _reader(folder)
            pages, page = environment.info()["last_pgno"] + 1, environment.stat()["psize"]
            if (folder / _FILE).stat().st_size < pages * page:
                # Reading what is mapped but not there would end the process.
                raise StoreError(f"the crop store in {folder} is cut short: copy or prepare it again")
            with environment.begin() as transaction:
                if transaction.get(_COMPLETE) is None:
                    raise StoreError(f"the crop store in {folder} is not finished: prepare it again to go on")
                self.fingerprint = transaction.get(_FINGERPRINT, b"").decode()
                chunks = json.loads(transaction.get(_PROGRESS, b"{}"))["chunks"]
                parts = [
                    dict(np.load(io.BytesIO(transaction.get(_key(b"rows", number), b""))))
                    for number in range(chunks)
                ]
        except StoreError:
            raise
        except (lmdb.Error, OSError, ValueError, KeyError) as error:
            raise StoreError(f"no readable crop store in {folder}: {error}") from error
        finally:
            # Workers that are forked off later shall open it for themselves.
            _close_reader(folder)
        column = {name: np.concatenate([part[name] for part in parts]) for name in _Row._fields}
        tracks: dict[str, int] = {}
        track_of = np.array([tracks.setdefault(name, len(tracks)) for name in column["track"].tolist()])
        first = np.unique(track_of, return_index=True)[1]
        self._means = column["mean"].astype(np.float32)
        super().__init__(
            Tracks(list(tracks), column["group"][first].tolist(), column["is_still"][first]),
            track_of,
            column["box"].astype(np.float32),
            column["mask"].astype(np.int64),
        )

    def _decoded(self, kind: bytes, target: int, flag: int) -> UInt8:
        try:
            with _reader(self.folder).begin() as transaction:
                content = transaction.get(_key(kind, target))
        except lmdb.Error as error:
            raise StoreError(
                f"cannot read {kind.decode()} {target} ({self.name(target)}) of {self.folder}: {error}"
            ) from error
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if content else None
        if image is None:
            what = "damaged" if content else "missing"
            raise StoreError(f"{kind.decode()} {target} ({self.name(target)}) of {self.folder} is {what}")
        return np.asarray(image, np.uint8)

    def frame(self, target: int) -> UInt8:
        """The crop of a target, [side, side, 3] BGR. Raises StoreError naming what cannot be read."""
        return self._decoded(b"image", target, cv2.IMREAD_COLOR)

    def frame_mean(self, target: int) -> tuple[float, float, float]:
        """Channel means of the frame a target is in."""
        b, g, r = self._means[target].tolist()
        return b, g, r

    def mask(self, target: int) -> tuple[UInt8, int, int]:
        """Mask of a target, 0/255, cut to its extent, and the column and row of its corner in the crop."""
        x, y, _, _ = self._mask_places[target]
        return self._decoded(b"mask", target, cv2.IMREAD_GRAYSCALE), int(x), int(y)
