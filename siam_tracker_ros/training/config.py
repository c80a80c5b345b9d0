"""The training configuration: frozen dataclasses, read from YAML with errors that name the key."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.training.anchor_targets import AnchorSampling

T = TypeVar("T")


class TrainConfigError(SiamTrackerError, ValueError):
    """A training configuration with a key or value that is not understood."""


Layout = Literal[
    "coco",
    "davis",
    "got10k",
    "imagenet_det",
    "imagenet_vid",
    "lasot",
    "sequence_folder",
    "synthetic",
    "trackingnet",
    "youtube_vos",
]


@dataclass(frozen=True)
class SyntheticConfig:
    """Composed sequences (`datasets.synthetic`): how many, how long, how large, and what happens in them.

    A target's size, sqrt(w * h), is `min_size` to `max_size` of the shorter side. Up to `distractors` of the
    same kind, up to `occluders` that cross. `blur` is the part of the sequences with motion blur; `light` and
    `camera_motion` are 1 for what is usual, 0 for none. `stills` is a COCO file to cut objects out of (its
    images: the source's `images`).
    """

    sequences: int = 500
    frames: int = 24
    width: int = 640
    height: int = 400
    min_size: float = 0.08
    max_size: float = 0.45
    distractors: int = 2
    occluders: int = 2
    blur: float = 0.35
    light: float = 1.0
    camera_motion: float = 1.0
    stills: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class DataSource:
    """One dataset: its layout and where it lies (relative paths: from the folder the command is run in).

    `sequence_folder`: NAME/img, NAME/groundtruth.txt, NAME/mask. `coco`: `path` is the JSON file,
    `images` the folder. The others: `path` is the folder as the dataset is published, with ImageSets
    (`davis`), train/list.txt (`got10k`), Annotations and Data (`imagenet_vid`, `imagenet_det`), the classes
    and training_set.txt (`lasot`), TRAIN_0 and so on (`trackingnet`), train/meta.json (`youtube_vos`);
    `split` names another part than that for training, as its reader describes. Of sequences every
    `every`-th frame. `synthetic`: `path` is a folder with cutouts/KIND, models/KIND and backgrounds.
    """

    layout: Layout
    path: str
    images: str = ""
    split: str | None = None
    every: int = 1
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass(frozen=True)
class DataConfig:
    """Footage, the store it is decoded into, and what of it is held out of training.

    The store's `format`: `frames`, scaled to `max_side` px, as bytes (fastest, a gigabyte for 2,000 frames),
    or `crops` of each target as JPEG in one LMDB (for the large sets). `threads` decode.
    """

    sources: tuple[DataSource, ...]
    store: str
    format: Literal["frames", "crops"] = "frames"
    max_side: int = 512
    min_target_side: float = 8.0
    threads: int = 1
    held_out_sequences: tuple[str, ...] = ()
    held_out_stills: float = 0.05


@dataclass(frozen=True)
class PairConfig:
    """Which two targets make a pair.

    `sequence_share` of the pairs come from sequences, at most `frame_range` stored frames apart; the others
    from one still seen twice. `negative_share` pair a target with something else.
    """

    sequence_share: float = 0.4
    frame_range: int = 60
    negative_share: float = 0.2


@dataclass(frozen=True)
class AugmentationConfig:
    """How crops vary. Shifts in px of network input, uniform in +-; scale and ratio changes as fractions.

    The search region's +-64 px shift is what keeps padded networks from learning that targets are in the
    centre (SiamRPN++, section 3.2). Probabilities otherwise.
    """

    exemplar_shift: float = 4.0
    exemplar_scale: float = 0.05
    search_shift: float = 64.0
    search_scale: float = 0.18
    rotation_deg: float = 12.0
    flip: float = 0.5
    grey: float = 0.15
    shared_colour: float = 0.25
    own_colour: float = 0.12
    blur: float = 0.2
    low_resolution: float = 0.15
    composition: float = 0.3
    paste: float = 0.3


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts (SiamRPN++: 1 and 1.2; SiamMask: 32; SiamAttn: 1, 0.2, refined box 0.2, mask 0.1).

    `hard_negatives` more negative anchors a pair are those the network is most wrong about. `masks_per_batch`
    bounds the masks refined, or regions with a mask, in a step.
    """

    cls_weight: float = 1.0
    loc_weight: float = 1.2
    mask_weight: float = 32.0
    refined_box_weight: float = 0.2
    hard_negatives: int = 0
    masks_per_batch: int = 8


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and decay; the backbone's opened layers learn at `backbone_rate` times the rate.

    An up-channel head has no batch norms, and its outputs are products of what it learns: beyond a rate of
    1e-4 its losses grow.

    With `backbone_norms` the opened layers' batch norms take the batch's statistics and learn them, as a
    backbone that starts from nothing has to; else they keep those they came with.

    With `budget_minutes` the decay follows the time spent in training instead of the step, so that a run on a
    shared machine ends when it must; such a run is not reproducible to the bit.
    """

    rate: float = 1e-3
    final_rate: float = 1e-5
    weight_decay: float = 0.01
    warm_up_steps: int = 200
    decay: Literal["cosine", "log"] = "cosine"
    gradient_clip: float = 10.0
    ema_decay: float = 0.998
    backbone_layers: tuple[int, ...] = ()
    backbone_rate: float = 0.1
    backbone_opens_at: float = 0.5
    backbone_norms: bool = False
    budget_minutes: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """Where a run writes, how often, and on what it computes.

    `precision` bf16 is autocast. `compiled` needs a C++ compiler, costs a minute or two at the start and
    makes a step about 1.8 times as fast on a CPU. `threads` of each process: on a machine shared with others,
    several processes of one thread (`torchrun`) are faster than one with several. `augment_on`: where crops
    are made, by the `workers` or on the device that trains; auto is the device where that is a GPU.
    `picture_every` steps a picture of sample predictions is kept. `tensorboard` curves lie in FOLDER/events.
    """

    folder: str
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "bf16"
    compiled: bool = False
    threads: int | None = None
    workers: int = 1
    log_every: int = 20
    checkpoint_every: int = 200
    validate_every: int = 400
    validation_pairs: int = 192
    picture_every: int = 1000
    tensorboard: bool = True
    augment_on: Literal["auto", "cpu", "device"] = "auto"


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run of one zoo entry."""

    model: str
    steps: int
    data: DataConfig
    run: RunConfig
    batch_size: int = 16
    seed: int = 0
    imagenet_backbone: str | None = None
    start_from: str | None = None
    pairs: PairConfig = field(default_factory=PairConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    anchors: AnchorSampling = field(default_factory=AnchorSampling)
    losses: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


# By name, whatever part of the file they are in.
_COUNTS = {
    "steps",
    "batch_size",
    "max_side",
    "threads",
    "frame_range",
    "sequences",
    "frames",
    "width",
    "height",
}
_COUNTS |= {"width", "height", "every", "log_every", "checkpoint_every", "validate_every", "picture_every"}
_SHARES = {"held_out_stills", "sequence_share", "negative_share", "ema_decay", "backbone_opens_at"}
_SHARES |= {"flip", "grey", "blur", "low_resolution", "composition", "paste"}


def _converted(annotation: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _from_mapping(annotation, value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (annotation,) = (a for a in arguments if a is not type(None))
        return _converted(annotation, value, where)
    if origin is Literal:
        if value not in arguments:
            raise TrainConfigError(f"{where} is {value!r}; it may be {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TrainConfigError(f"{where} must be a list, not {value!r}")
        return tuple(_converted(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, annotation) or (isinstance(value, bool) and annotation is not bool):
        raise TrainConfigError(f"{where} must be of type {annotation.__name__}, not {value!r}")
    return value


def _from_mapping(cls: type[T], content: Any, where: str) -> T:
    if not isinstance(content, dict):
        raise TrainConfigError(f"{where or 'the file'} must be a mapping of keys to values, not {content!r}")
    annotations = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in content:
        if key not in fields:
            raise TrainConfigError(f"unknown key {prefix}{key}; known here: {', '.join(fields)}")
    values = {key: _converted(annotations[key], value, f"{prefix}{key}") for key, value in content.items()}
    for key, value in values.items():
        if key in _COUNTS and value is not None and value < 1:
            raise TrainConfigError(f"{prefix}{key} must be 1 at least, not {value}")
        if key in _SHARES and not 0 <= value <= 1:
            raise TrainConfigError(f"{prefix}{key} must be from 0 to 1, not {value}")
    for name, f in fields.items():
        no_default = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise TrainConfigError(f"{prefix}{name} is missing")
    return cls(**values)


def parse_config(content: Any) -> TrainConfig:
    """A TrainConfig out of parsed YAML. Raises TrainConfigError naming the key and what it may be."""
    return _from_mapping(TrainConfig, content, "")


def read_config(path: Path) -> TrainConfig:
    """Read a configuration file. Raises TrainConfigError, with the file's name, as `parse_config` does."""
    try:
        return parse_config(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TrainConfigError) as error:
        raise TrainConfigError(f"{path}: {error}") from error
