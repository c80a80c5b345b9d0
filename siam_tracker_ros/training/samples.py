"""One training sample out of a pair: exemplar and search crops, augmented, with the targets they ask for.

A sample depends on the seed and its number alone, whichever process makes it and wherever a run was resumed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate

from siam_tracker_ros.models.config import TrackingConfig
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.tracking.anchors import anchor_grid
from siam_tracker_ros.training.anchor_targets import AnchorTargets, anchor_targets
from siam_tracker_ros.training.config import TrainConfig
from siam_tracker_ros.training.device_render import pack, render_batch
from siam_tracker_ros.training.pairs import Pair, Split, draw_pair
from siam_tracker_ros.training.photometric import Colour, draw_colour
from siam_tracker_ros.training.picture import Layer, Photometric, Picture, render
from siam_tracker_ros.training.region_targets import region_targets
from siam_tracker_ros.training.response_targets import response_targets
from siam_tracker_ros.training.target_store import TargetStore
from siam_tracker_ros.training.warp import Placement, crop_affine, placed_box, tracker_scale, warp_mask

UInt8 = NDArray[np.uint8]

# Most of a target that pasted things may hide before the sample would teach a falsehood.
_MAX_HIDDEN = 0.4
_IMAGES = ("exemplar", "search")


@dataclass(frozen=True, eq=False)
class SearchCrop:
    """Layers of a search region, the target's box (cx, cy, w, h from its centre), maybe a mask [S, S]."""

    layers: tuple[Layer, ...]
    box: NDArray[np.float32]
    mask: UInt8 | None


@dataclass(frozen=True, eq=False)
class PairPlan:
    """A sample whose pixels are not made yet: both pictures, and all other tensors."""

    exemplar: Picture
    search: Picture
    tensors: dict[str, torch.Tensor]


class PairSamples(Dataset[dict[str, torch.Tensor]]):
    """Samples number 0, 1, 2, ... without end, as tensors that a DataLoader stacks.

    exemplar [3, 127, 127] and search [3, S, S], uint8 BGR; labels and may_be_negative [K, R, R], loc
    [4, K, R, R] as in AnchorTargets; box [4] (cx, cy, w, h from the search region's centre); mask_cell [2]
    (row, column; -1 where there is no mask to learn) and mask [127, 127] uint8 0/1 under that cell; pair [3]
    (exemplar's target, search region's target, 1 for a negative pair). With region refinement also what
    `region_targets` gives.
    """

    def __init__(
        self, store: TargetStore, split: Split, config: TrainConfig, tracking: TrackingConfig, seed: int
    ) -> None:
        """Samples of the tracks in `split`, made as `config` has it for a tracker with these constants."""
        self.store = store
        self.split = split
        self.config = config
        self.tracking = tracking
        self.seed = seed
        self.score_size = tracking.score_size(tracking.instance_size)
        self.anchors = anchor_grid(tracking.anchors, self.score_size)

    def _scale(self, target: int) -> float:
        return tracker_scale(
            self.store.box(target), self.tracking.exemplar_size, self.tracking.context_amount
        )

    def _exemplar(self, target: int, mirrored: bool, rng: np.random.Generator) -> Layer:
        augmentation = self.config.augmentation
        shift, scale = augmentation.exemplar_shift, augmentation.exemplar_scale
        dx, dy = rng.uniform(-shift, shift, 2)
        sx, sy = 1 + rng.uniform(-scale, scale, 2)
        size = self.tracking.exemplar_size
        affine = crop_affine(
            self.store.box(target), self._scale(target), size, Placement(dx, dy, sx, sy, 0.0, mirrored)
        )
        return Layer(self.store.frame(target), affine, self.store.frame_mean(target))

    def _background(self, not_group: str, rng: np.random.Generator) -> Layer:
        """Some other frame, from anywhere in it, to set a cut-out on."""
        size = self.tracking.instance_size
        for _ in range(8):
            tracks = self.split.stills if len(self.split.stills) else self.split.sequences
            other = int(rng.choice(self.store.targets_of(int(rng.choice(tracks)))))
            if self.store.track_groups[self.store.track_of(other)] != not_group:
                break
        frame = self.store.frame(other)
        height, width = frame.shape[:2]
        scale = rng.uniform(1.0, 2.0) * size / min(height, width)
        room_x, room_y = width * scale - size, height * scale - size
        affine = np.array([[scale, 0, -rng.uniform(0, room_x)], [0, scale, -rng.uniform(0, room_y)]])
        return Layer(frame, affine, self.store.frame_mean(other))

    def _with_paste(self, crop: SearchCrop, group: str, rng: np.random.Generator) -> SearchCrop:
        """`crop` with a cut-out of something else in it: a distractor, or an occluder over the target."""
        size = self.tracking.instance_size
        other = int(rng.choice(self.split.masked_targets))
        if self.store.track_groups[self.store.track_of(other)] == group:
            return crop
        side = float(crop.box[2] * crop.box[3]) ** 0.5 * float(rng.uniform(0.5, 1.3))
        source = self.store.box(other)
        dx, dy = rng.uniform(-size / 2, size / 2, 2)
        placement = Placement(dx, dy, mirrored=bool(rng.random() < 0.5))
        affine = crop_affine(source, side / (source.w * source.h) ** 0.5, size, placement)
        mask, x, y = self.store.mask(other)
        cover = warp_mask(mask, (x, y), affine, size)
        target = crop.mask
        if target is None:
            target = np.zeros((size, size), np.uint8)
            centre = (size - 1) / 2
            low = np.round(centre + crop.box[:2] - crop.box[2:] / 2).astype(int).clip(0)
            high = np.round(centre + crop.box[:2] + crop.box[2:] / 2).astype(int).clip(0)
            target[low[1] : high[1], low[0] : high[0]] = 255
        hidden = np.count_nonzero((target > 127) & (cover > 127))
        if hidden > _MAX_HIDDEN * max(int(np.count_nonzero(target > 127)), 1):
            return crop
        pasted = Layer(self.store.frame(other), affine, (0, 0, 0), _softened(cover))
        left = None if crop.mask is None else np.where(cover > 127, 0, crop.mask).astype(np.uint8)
        return SearchCrop((*crop.layers, pasted), crop.box, left)

    def _search(self, pair: Pair, mirrored: bool, rng: np.random.Generator) -> SearchCrop:
        augmentation = self.config.augmentation
        size = self.tracking.instance_size
        target = pair.search
        has_mask = self.store.has_mask(target)
        shift, scale = augmentation.search_shift, augmentation.search_scale
        dx, dy = rng.uniform(-shift, shift, 2)
        sx, sy = 1 + rng.uniform(-scale, scale, 2)
        angle = 0.0
        if has_mask and pair.exemplar == pair.search:
            angle = math.radians(rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg))
        box = self.store.box(target)
        affine = crop_affine(box, self._scale(target), size, Placement(dx, dy, sx, sy, angle, mirrored))
        layer = Layer(self.store.frame(target), affine, self.store.frame_mean(target))
        mask, corner = None, (0, 0)
        soft = None
        if has_mask:
            mask, *xy = self.store.mask(target)
            corner = (xy[0], xy[1])
            soft = warp_mask(mask, corner, affine, size)
        placed = np.array(placed_box(box, affine, size, mask, corner), dtype=np.float32)
        group = self.store.track_groups[self.store.track_of(target)]
        layers: tuple[Layer, ...] = (layer,)
        if soft is not None and rng.random() < augmentation.composition:
            layers = (self._background(group, rng), dataclasses.replace(layer, cover=_softened(soft)))
        crop = SearchCrop(layers, placed, soft)
        if len(self.split.masked_targets) and rng.random() < augmentation.paste:
            crop = self._with_paste(crop, group, rng)
        return crop

    def _photometric(
        self, shared: Colour, grey: bool, factor: float, rng: np.random.Generator
    ) -> Photometric:
        augmentation = self.config.augmentation
        own = draw_colour(augmentation.own_colour, rng)
        blur = None
        if rng.random() < augmentation.blur:
            blur = int(rng.choice([3, 5, 7, 9, 13])), float(rng.uniform(0, math.pi))
        return Photometric(shared, own, blur, factor, grey)

    def _mask_target(
        self, crop: SearchCrop, labels: NDArray[np.int8], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], UInt8]:
        """A positive cell and the mask of the window that its response grows to (SiamMask, section 3.2)."""
        size = self.tracking.exemplar_size
        cells = np.argwhere(labels == 1)
        if crop.mask is None or not len(cells):
            return np.array([-1, -1]), np.zeros((size, size), np.uint8)
        _, row, col = rng.choice(cells)
        stride = self.tracking.anchors.stride
        top = (row - self.tracking.base_size // 2) * stride
        left = (col - self.tracking.base_size // 2) * stride
        padded = cv2.copyMakeBorder(crop.mask, size, size, size, size, cv2.BORDER_CONSTANT, value=0)
        window = padded[top + size : top + 2 * size, left + size : left + 2 * size]
        return np.array([row, col]), (window > 127).astype(np.uint8)

    def plan(self, index: int) -> PairPlan:
        """Sample `index` with all that is random drawn, but no pixels made."""
        rng = np.random.default_rng([self.seed, index])
        augmentation = self.config.augmentation
        pair = draw_pair(self.store, self.split, self.config.pairs, rng)
        mirrored = bool(rng.random() < augmentation.flip)
        exemplar = self._exemplar(pair.exemplar, mirrored, rng)
        crop = self._search(pair, mirrored, rng)
        shared = draw_colour(augmentation.shared_colour, rng)
        grey = bool(rng.random() < augmentation.grey)
        factor = rng.uniform(1.5, 4.0) if rng.random() < augmentation.low_resolution else 1.0
        changes = [self._photometric(shared, grey, factor, rng) for _ in range(2)]
        targets = self._targets(crop.box, pair.is_negative, rng)
        cell, mask = self._mask_target(crop, targets.labels, rng)
        region = get_entry(self.config.model).model.region
        tensors = {
            "labels": torch.from_numpy(targets.labels),
            "may_be_negative": torch.from_numpy(targets.may_be_negative),
            "loc": torch.from_numpy(targets.loc),
            "box": torch.from_numpy(crop.box),
            "mask_cell": torch.from_numpy(cell),
            "mask": torch.from_numpy(mask),
            "pair": torch.tensor([pair.exemplar, pair.search, int(pair.is_negative)]),
        }
        if region is not None:
            tensors |= region_targets(crop.box, crop.mask, self.tracking.instance_size, region, rng)
        return PairPlan(
            Picture(self.tracking.exemplar_size, (exemplar,), changes[0]),
            Picture(self.tracking.instance_size, crop.layers, changes[1]),
            tensors,
        )

    def _targets(
        self, box: NDArray[np.float32], is_negative_pair: bool, rng: np.random.Generator
    ) -> AnchorTargets:
        sampling = self.config.anchors
        if self.tracking.pyramid is not None or self.tracking.box_source == "mask":
            return response_targets(
                self.anchors, self.score_size, box, is_negative_pair, sampling.response_radius
            )
        stride = self.tracking.anchors.stride
        return anchor_targets(self.anchors, self.score_size, box, is_negative_pair, sampling, stride, rng)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        plan = self.plan(index)
        images = {
            "exemplar": torch.from_numpy(render(plan.exemplar).transpose(2, 0, 1).copy()),
            "search": torch.from_numpy(render(plan.search).transpose(2, 0, 1).copy()),
        }
        return images | plan.tensors


class PlannedSamples(Dataset[PairPlan]):
    """Samples as plans, for a DataLoader whose `collate_fn` is `packed_batch`."""

    def __init__(self, samples: PairSamples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> PairPlan:
        return self.samples.plan(index)


def packed_batch(plans: list[PairPlan]) -> dict[str, torch.Tensor]:
    """A batch whose pixels are made where it is moved to, by `rendered_batch`."""
    batch: dict[str, torch.Tensor] = default_collate([plan.tensors for plan in plans])
    for name in _IMAGES:
        packed = pack([getattr(plan, name) for plan in plans])
        batch |= {f"{name}/{key}": value for key, value in packed.items()}
    return batch


def rendered_batch(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch with its images: one of `packed_batch` is rendered on its device, another is left as it is."""
    if "search" in batch:
        return batch
    rest = {key: value for key, value in batch.items() if "/" not in key}
    for name in _IMAGES:
        packed = {
            key.removeprefix(f"{name}/"): value for key, value in batch.items() if key.startswith(f"{name}/")
        }
        rest[name] = render_batch(packed)
    return rest


def _softened(cover: UInt8) -> UInt8:
    """`cover` with its edge softened by a pixel."""
    return np.asarray(cv2.GaussianBlur(cover, (3, 3), 0), np.uint8)
