"""A sequence to measure on: images, where the target is in each, and what is hard about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.evaluation.regions import MaskRegion, Polygon, Region, bounding_box
from siam_tracker_ros.tracking.boxes import Box, polygon_equal_area_box
from siam_tracker_ros.tracking.crop import Frame


class EvaluationError(SiamTrackerError, ValueError):
    """Footage, ground truth or results that cannot be measured."""


@dataclass(frozen=True)
class MaskFile:
    """A mask in an image file: the px of value `label`, or of any object if it is None.

    Palette images hold the number of each px's object, others black and white.
    """

    path: Path
    label: int | None = None

    def read(self) -> MaskRegion:
        """The mask, of the frame's size. Raises EvaluationError where the file cannot be read."""
        try:
            with Image.open(self.path) as image:
                # OpenCV would give the colours of the objects in place of their numbers.
                if image.mode == "P":
                    numbers = np.asarray(image)
                    mask = numbers == self.label if self.label is not None else numbers != 0
                else:
                    gray = np.asarray(image.convert("L"))
                    mask = gray == self.label if self.label is not None else gray > 127
        except (OSError, ValueError) as error:
            raise EvaluationError(f"cannot read mask {self.path}: {error}") from error
        return MaskRegion(mask, 0, 0)


ImageSource = Path | Callable[[], Frame]
"""An image file, or what gives an image that lies elsewhere: px [height, width, 3], BGR."""


@dataclass(frozen=True, eq=False)
class EvaluationSequence:
    """One target in one sequence.

    `truth` [frames] is its region, None where it is not in view; where `labelled` says False nothing is
    known. `masks` are there for datasets that measure masks. `attributes` hold for the whole sequence,
    `frame_attributes` name the frames [frames] they hold for. `anchors` are the frames of an anchor-based
    experiment: forward from i is i, backward is -i. `frame_size` is (width, height), px, `rate` frames a
    second.
    """

    name: str
    images: tuple[ImageSource, ...]
    truth: tuple[Region | None, ...]
    labelled: tuple[bool, ...]
    frame_size: tuple[int, int]
    masks: tuple[MaskFile | None, ...]
    attributes: frozenset[str] = frozenset()
    frame_attributes: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    anchors: tuple[int, ...] = ()
    rate: float = 30.0

    @property
    def truth_boxes(self) -> NDArray[np.float64]:
        """The boxes around the truth [frames, 4], px; NaN where there is none."""
        return boxes_of(self.truth)

    def start_box(self, frame: int) -> Box:
        """The box to start on in `frame`, px. Raises EvaluationError where the target is not in view."""
        region = self.truth[frame]
        if region is None:
            raise EvaluationError(f"{self.name}: nothing to start on in frame {frame}")
        return box_to_start_on(region)


Dataset = Mapping[str, Callable[[], EvaluationSequence]]
"""Sequences by name, each read when called for."""


def box_to_start_on(region: Region) -> Box:
    """The box of a region, px; a polygon's is upright and of its area, as VOT and PySOT have it."""
    if isinstance(region, Polygon) and len(region.points) == 4:
        cx, cy, w, h = polygon_equal_area_box(region.points)
        return Box(cx - (w - 1) / 2, cy - (h - 1) / 2, w, h)
    return bounding_box(region)


def boxes_of(regions: tuple[Region | None, ...] | list[Region | None]) -> NDArray[np.float64]:
    """The boxes around regions [N, 4], px; NaN where there is none."""
    rows = [bounding_box(region) if region is not None else Box(*[np.nan] * 4) for region in regions]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def make_sequence(
    name: str,
    images: list[Path],
    truth: list[Region | None],
    *,
    masks: list[MaskFile | None] | None = None,
    attributes: frozenset[str] = frozenset(),
    frame_attributes: Mapping[str, NDArray[np.bool_]] | None = None,
    anchors: tuple[int, ...] = (),
    rate: float = 30.0,
) -> EvaluationSequence:
    """A sequence whose parts fit together: truth for every image, or for the first ones alone.

    Raises EvaluationError where there are no images, the first image has no target, or there are more labels
    than images.
    """
    if not images:
        raise EvaluationError(f"{name}: no images")
    if not truth or truth[0] is None:
        raise EvaluationError(f"{name}: the first image has no target to start on")
    if len(truth) > len(images):
        raise EvaluationError(f"{name}: {len(images)} images, but {len(truth)} labels")
    missing = len(images) - len(truth)
    if missing and len(truth) > 1:
        raise EvaluationError(f"{name}: {len(images)} images, but {len(truth)} labels")
    height, width = read_image(images[0], cv2.IMREAD_COLOR).shape[:2]
    return EvaluationSequence(
        name=name,
        images=tuple(images),
        truth=(*truth, *[None] * missing),
        labelled=(*[True] * len(truth), *[False] * missing),
        frame_size=(width, height),
        masks=tuple(masks or [None] * len(images)),
        attributes=attributes,
        frame_attributes=frame_attributes or {},
        anchors=anchors,
        rate=rate,
    )


def read_image(image: ImageSource, flags: int = cv2.IMREAD_COLOR) -> Frame:
    """An image as px [height, width(, 3)], BGR; `flags` are OpenCV's, for files. Raises EvaluationError."""
    if not isinstance(image, Path):
        return image()
    read = cv2.imread(str(image), flags)
    if read is None:
        raise EvaluationError(f"cannot read image {image}")
    return np.asarray(read, dtype=np.uint8)
