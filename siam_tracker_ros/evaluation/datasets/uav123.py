"""UAV123 and UAV20L: data_seq/UAV123/NAME, anno/UAV123/NAME.txt. Mueller et al., ECCV 2016."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from siam_tracker_ros.evaluation.datasets.label_files import images_in, lines_of, read_regions
from siam_tracker_ros.evaluation.sequence import Dataset, EvaluationSequence, make_sequence

# Sequences that are cut from a longer one, called like it without the last number, and their first image
# (counted from 1) where it is not the first. As many images follow as there are labels.
_FIRST_IMAGE = {
    "bird1": (1, 775, 1573),
    "car1": (1, 751, 1627),
    "car6": (1, 487, 1807, 2953, 3925),
    "car8": (1, 1357),
    "car16": (1, 415),
    "group1": (1, 1333, 2515, 3925),
    "group2": (1, 907, 1771),
    "group3": (1, 1567, 2827, 4369),
    "person2": (1, 1189),
    "person4": (1, 1501),
    "person5": (1, 877),
    "person7": (1, 1249),
    "person8": (1, 1075),
    "person12": (1, 601),
    "person14": (1, 847, 1813),
    "person17": (1, 1501),
    "person19": (1, 1243, 2791),
    "truck4": (1, 577),
    "uav1": (1, 1555, 2473),
}
_ATTRIBUTES = ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB")


def uav123(folder: Path) -> Dataset:
    """The sequences of UAV123, or of UAV20L where `folder` has that alone."""
    version = "UAV123" if (folder / "anno" / "UAV123").is_dir() else "UAV20L"
    return {
        path.stem: partial(_sequence, folder, path)
        for path in sorted((folder / "anno" / version).glob("*.txt"))
    }


def _sequence(folder: Path, labels: Path) -> EvaluationSequence:
    truth = read_regions(labels)
    whole, _, part = labels.stem.rpartition("_")
    # Low-quality copies are called NAME_s: they have a folder of their own.
    cut = whole in _FIRST_IMAGE and part.isdigit()
    first = _FIRST_IMAGE[whole][int(part) - 1] - 1 if cut else 0
    images = images_in(folder / "data_seq" / "UAV123" / (whole if cut else labels.stem))
    listed = labels.parent / "att" / labels.name
    flags = ",".join(lines_of(listed)).split(",") if listed.is_file() else []
    return make_sequence(
        labels.stem,
        images[first : first + len(truth)],
        truth,
        attributes=frozenset(
            name for name, flag in zip(_ATTRIBUTES, flags, strict=False) if flag.strip() == "1"
        ),
    )
