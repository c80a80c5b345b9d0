"""Footage drawn for the training tests: a target of one colour on noise, box and mask known exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from siam_tracker_ros.training.config import AugmentationConfig, DataConfig, DataSource, RunConfig

TARGET_BGR = (40, 220, 250)
STILL = AugmentationConfig(
    exemplar_shift=0,
    exemplar_scale=0,
    search_shift=0,
    search_scale=0,
    rotation_deg=0,
    flip=0,
    grey=0,
    shared_colour=0,
    own_colour=0,
    blur=0,
    low_resolution=0,
    composition=0,
    paste=0,
)
"""No augmentation at all."""


def draw_sequence(folder: Path, seed: int, frames: int = 6, masks: bool = True) -> None:
    """A target that moves by 4 px a frame, in the layout of labelled sequences."""
    rng = np.random.default_rng(seed)
    (folder / "img").mkdir(parents=True)
    (folder / "mask").mkdir()
    lines = []
    noise = cv2.resize(rng.integers(0, 120, (24, 40, 3), dtype=np.uint8), (320, 192))
    for number in range(frames):
        image = noise.copy()
        x, y, w, h = 100 + 4 * number, 70, 48, 36
        image[y : y + h, x : x + w] = TARGET_BGR
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[y : y + h, x : x + w] = 255
        lines.append(f"{x},{y},{w},{h}")
        cv2.imwrite(str(folder / "img" / f"{number + 1:06d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
        if masks:
            cv2.imwrite(str(folder / "mask" / f"{number + 1:06d}.png"), mask)
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")


def draw_stills(folder: Path, count: int = 3) -> Path:
    """Stills with one polygon each; returns the COCO file."""
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        image = cv2.resize(rng.integers(0, 120, (20, 30, 3), dtype=np.uint8), (240, 160))
        polygon = [[80, 40], [150, 50], [140, 110], [90, 100]]
        cv2.fillPoly(image, [np.array(polygon)], TARGET_BGR)
        cv2.imwrite(str(folder / "images" / f"still{number}.jpg"), image)
        images.append({"id": number, "file_name": f"still{number}.jpg", "width": 240, "height": 160})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "bbox": [80, 40, 70, 70],
                "iscrowd": 0,
                "segmentation": [[float(v) for corner in polygon for v in corner]],
            }
        )
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def drawn_data(folder: Path) -> DataConfig:
    """Three sequences and three stills, drawn, with a configuration that reads them; `held` is held out."""
    for seed, name in enumerate(("first", "second", "held")):
        draw_sequence(folder / "sequences" / name, seed)
    coco = draw_stills(folder / "stills")
    return DataConfig(
        sources=(
            DataSource("sequence_folder", str(folder / "sequences")),
            DataSource("coco", str(coco), str(coco.parent / "images")),
        ),
        store=str(folder / "store"),
        held_out_sequences=("held",),
        held_out_stills=0.0,
    )


def short_run(folder: Path, **more: Any) -> RunConfig:
    """A run that is logged at every step, in this process and in single precision."""
    run = RunConfig(
        folder=str(folder),
        precision="fp32",
        workers=0,
        log_every=1,
        checkpoint_every=1000,
        validate_every=1000,
        validation_pairs=2,
    )
    return replace(run, **more)
