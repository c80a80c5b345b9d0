"""Every layout that is read, how it is recognised, and where its sequences lie.

A layout is a function from a folder to its sequences by name; nothing is opened but lists until a sequence is
called for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from siam_tracker_ros.evaluation.datasets.davis import davis
from siam_tracker_ros.evaluation.datasets.label_files import images_in, lines_of, read_flags, read_regions
from siam_tracker_ros.evaluation.datasets.uav123 import uav123
from siam_tracker_ros.evaluation.datasets.vot import vot
from siam_tracker_ros.evaluation.regions import Region, is_visible
from siam_tracker_ros.evaluation.sequence import (
    Dataset,
    EvaluationError,
    EvaluationSequence,
    MaskFile,
    make_sequence,
)
from siam_tracker_ros.footage.sequence_folder import read_sequence
from siam_tracker_ros.tracking.boxes import Box


@dataclass(frozen=True)
class Layout:
    """How a benchmark is laid out: `read` its folder, which looks like it if `is_like` says so."""

    read: Callable[[Path], Dataset]
    is_like: Callable[[Path], bool]
    description: str


def read_dataset(folder: Path, layout: str = "auto") -> Dataset:
    """The sequences of a benchmark's folder; `layout` is a name of LAYOUTS or auto, which looks at the files.

    Raises EvaluationError where the folder is none, or no layout or more than one fits.
    """
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}")
    if layout != "auto" and layout not in LAYOUTS:
        raise EvaluationError(f"no layout is called '{layout}'; there are auto, {', '.join(LAYOUTS)}")
    fitting = [name for name, one in LAYOUTS.items() if one.is_like(folder)] if layout == "auto" else [layout]
    if len(fitting) != 1:
        told = "; ".join(f"{name}: {one.description}" for name, one in LAYOUTS.items())
        found = f"it looks like {' and like '.join(fitting)}" if fitting else "it looks like none"
        raise EvaluationError(f"which layout does {folder} have? {found}. Name one: {told}")
    dataset = LAYOUTS[fitting[0]].read(folder)
    if not dataset:
        raise EvaluationError(f"{folder} has no sequence in the layout {fitting[0]}")
    return dataset


# One folder a sequence, with boxes in a text file beside the images.


def _folders(dataset_folder: Path, mark: str) -> dict[str, Path]:
    """Folders that hold a file called `mark`, at the top or one level down, by name."""
    found = [*dataset_folder.glob(f"*/{mark}"), *dataset_folder.glob(f"*/*/{mark}")]
    return {path.parent.name: path.parent for path in sorted(found)}


def _sequence_folders(folder: Path) -> Dataset:
    return {name: partial(_sequence_folder, at) for name, at in _folders(folder, "groundtruth.txt").items()}


def _sequence_folder(folder: Path) -> EvaluationSequence:
    labelled = read_sequence(folder)
    return make_sequence(
        folder.name,
        list(labelled.images),
        [box if is_visible(box) else None for box in labelled.boxes],
        masks=[MaskFile(path) if path is not None else None for path in labelled.masks],
    )


_OTB_FIRST = {"David": 300, "BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18}
"""First labelled frames, where that is not the first image. Wu et al., TPAMI 2015, the benchmark's page."""


def _otb(folder: Path) -> Dataset:
    """OTB-50/100 and DTB70: NAME/img, NAME/groundtruth_rect.txt, or .1.txt, .2.txt for several targets."""
    dataset = {}
    for path in sorted(folder.glob("*/groundtruth_rect*.txt")):
        if not lines_of(path):
            continue
        number = path.name.removeprefix("groundtruth_rect").removesuffix(".txt").strip(".")
        name = f"{path.parent.name}.{number}" if number else path.parent.name
        dataset[name] = partial(_otb_sequence, name, path)
    return dataset


def _otb_sequence(name: str, path: Path) -> EvaluationSequence:
    truth = read_regions(path)
    images = images_in(path.parent / "img")
    # The range counts only where the images before it are really there.
    first = _OTB_FIRST.get(path.parent.name, 1) - 1
    first = first if len(images) >= first + len(truth) else 0
    listed = path.parent / "attrs.txt"
    attributes = listed.read_text(encoding="utf-8").replace(",", " ").split() if listed.is_file() else []
    return make_sequence(name, images[first : first + len(truth)], truth, attributes=frozenset(attributes))


def _lasot(folder: Path) -> Dataset:
    folders = _folders(folder, "groundtruth.txt")
    listed = folder / "testing_set.txt"
    names = [line.strip() for line in lines_of(listed)] if listed.is_file() else list(folders)
    absent = [name for name in names if name not in folders]
    if absent:
        raise EvaluationError(f"{listed} lists {', '.join(absent[:5])}, which {folder} does not have")
    return {name: partial(_lasot_sequence, folders[name]) for name in names}


def _lasot_sequence(folder: Path) -> EvaluationSequence:
    images, truth = images_in(folder / "img"), read_regions(folder / "groundtruth.txt")
    hidden = {
        name: read_flags(folder / f"{name}.txt", len(truth)) for name in ("full_occlusion", "out_of_view")
    }
    seen: list[Region | None] = [
        None if any(flags[i] for flags in hidden.values()) else region for i, region in enumerate(truth)
    ]
    return make_sequence(
        folder.name,
        images,
        seen,
        attributes=frozenset([folder.name.rsplit("-", 1)[0]]),
        frame_attributes=hidden,
    )


def _trackingnet(folder: Path) -> Dataset:
    """TEST/frames/NAME/0.jpg and TEST/anno/NAME.txt; TEST labels the first frame alone."""
    return {
        path.stem: partial(_trackingnet_sequence, path)
        for path in sorted([*folder.glob("anno/*.txt"), *folder.glob("*/anno/*.txt")])
    }


def _trackingnet_sequence(path: Path) -> EvaluationSequence:
    return make_sequence(path.stem, images_in(path.parent.parent / "frames" / path.stem), read_regions(path))


def _got10k(folder: Path) -> Dataset:
    """A split, or the folder above with val in it; test labels the first frame alone."""
    split = folder if (folder / "list.txt").is_file() else folder / "val"
    return {
        name: partial(_got10k_sequence, split / name)
        for name in (line.strip() for line in lines_of(split / "list.txt"))
    }


def _got10k_sequence(folder: Path) -> EvaluationSequence:
    images, truth = images_in(folder), read_regions(folder / "groundtruth.txt")
    absence = read_flags(folder / "absence.label", max(len(truth), len(images)))
    seen: list[Region | None] = [None if absence[i] else region for i, region in enumerate(truth)]
    meta = folder / "meta_info.ini"
    about = (
        [line.split(":", 1)[1].strip() for line in lines_of(meta) if ":" in line] if meta.is_file() else []
    )
    return make_sequence(folder.name, images, seen, attributes=frozenset(about[4:6]), rate=10.0)


def _nfs(folder: Path) -> Dataset:
    """Need for Speed: NAME/30/NAME/*.jpg and NAME/30/NAME.txt; 30 or 240 frames a second."""
    found = {rate: sorted(folder.glob(f"*/{rate}/*.txt")) for rate in (30, 240)}
    rate = 30 if found[30] else 240
    return {path.stem: partial(_nfs_sequence, path, rate) for path in found[rate]}


def _nfs_sequence(path: Path, rate: int) -> EvaluationSequence:
    images = images_in(path.parent / path.stem)
    truth: list[Region | None] = []
    lost = []
    for number, line in enumerate(lines_of(path), start=1):
        words = line.replace('"', "").split()
        try:
            left, top, right, bottom = (float(word) for word in words[1:5])
            lost.append(words[6] == "1" if len(words) > 6 else False)
        except ValueError:
            raise EvaluationError(f"{path}:{number}: expected id x1 y1 x2 y2 ..., found '{line}'") from None
        truth.append(Box(left, top, right - left, bottom - top))
    if len(images) * 8 - 8 < len(truth) <= len(images) * 8 and len(truth) > len(images):
        # Labelled at 240 frames a second, also where the images are every eighth.
        truth, lost = truth[::8], lost[::8]
    frames = min(len(images), len(truth))
    if abs(len(images) - len(truth)) > 1:
        raise EvaluationError(f"{path}: {len(images)} images, but {len(truth)} labels")
    seen = [None if gone else region for region, gone in zip(truth, lost, strict=True)]
    return make_sequence(path.stem, images[:frames], seen[:frames], rate=float(rate))


def _any(folder: Path, *patterns: str) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in patterns)


LAYOUTS = {
    "sequences": Layout(
        _sequence_folders,
        lambda folder: (
            _any(folder, "*/groundtruth.txt")
            and _any(folder, "*/img")
            and not _any(folder, "*/full_occlusion.txt", "*/*/groundtruth.txt")
        ),
        "NAME/img/*.jpg, NAME/groundtruth.txt, maybe NAME/mask/*.png",
    ),
    "otb": Layout(
        _otb,
        lambda folder: _any(folder, "*/groundtruth_rect*.txt"),
        "OTB-50, OTB-100, DTB70: NAME/img/*.jpg, NAME/groundtruth_rect.txt",
    ),
    "uav123": Layout(
        uav123,
        lambda folder: _any(folder, "anno/UAV123", "anno/UAV20L"),
        "UAV123: data_seq/UAV123/NAME/*.jpg, anno/UAV123/NAME.txt",
    ),
    "lasot": Layout(
        _lasot,
        lambda folder: _any(folder, "*/full_occlusion.txt", "*/*/full_occlusion.txt"),
        "LaSOT: CLASS/CLASS-N/img/*.jpg, groundtruth.txt, full_occlusion.txt, out_of_view.txt",
    ),
    "trackingnet": Layout(
        _trackingnet,
        lambda folder: _any(folder, "anno/*.txt", "*/anno/*.txt") and _any(folder, "frames", "*/frames"),
        "TrackingNet: TEST/frames/NAME/*.jpg, TEST/anno/NAME.txt",
    ),
    "got10k": Layout(
        _got10k,
        lambda folder: _any(folder, "*/meta_info.ini", "*/absence.label", "val/list.txt"),
        "GOT-10k: val/list.txt, val/NAME/*.jpg, val/NAME/groundtruth.txt",
    ),
    "vot": Layout(
        vot,
        lambda folder: (
            _any(folder, "list.txt", "sequences/list.txt")
            and not _any(folder, "*/meta_info.ini", "*/absence.label", "val/list.txt")
        ),
        "VOT2013 to VOT2022: list.txt, NAME/groundtruth.txt, NAME/color/*.jpg or NAME/*.jpg",
    ),
    "nfs": Layout(
        _nfs,
        lambda folder: _any(folder, "*/30/*.txt", "*/240/*.txt"),
        "NFS: NAME/30/NAME/*.jpg, NAME/30/NAME.txt",
    ),
    "davis": Layout(
        davis,
        lambda folder: _any(folder, "ImageSets") and _any(folder, "Annotations"),
        "DAVIS: JPEGImages/480p/NAME/*.jpg, Annotations/480p/NAME/*.png, ImageSets/2017/val.txt",
    ),
}
