"""What a zoo entry is made of: the architecture of a network and the constants it tracks with.

Everything is frozen: an entry is a value. `dataclasses.replace` makes a variant of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

BackboneKind = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenetv2",
    "alexnet",
    "alexnetlegacy",
    "alexnetv1",
    "alexnetv2",
    "alexnetv3",
    "cir_resnet22",
    "cir_resnet22w",
    "cir_incep22",
    "cir_next22",
]
HeadKind = Literal["depthwise", "up_channel", "multi_level", "similarity", "correlation"]
LossSignal = Literal["score", "confidence"]
BoxCenter = Literal["px", "edge"]
Ties = Literal["up", "even"]
BoxSource = Literal["regression", "mask"]
BoxFit = Literal["min_max", "min_area", "optimised"]


@dataclass(frozen=True)
class MaskConfig:
    """The mask branch of SiamMask (Wang et al., CVPR 2019, section 3).

    `refine_layers` are the three backbone layers, stride 2, 4 and 8, that the refinement merges, with
    their channel counts; None for both leaves refinement out, and the mask is the coarse one. `level` is
    the index, among the levels the RPN sees, of the features that the mask is correlated on.
    `coarse_size` is the side of the mask read directly from one response vector (63 in the paper); None
    leaves that layer out, as refinement does not use it.
    """

    refine_layers: tuple[int, int, int] | None
    refine_channels: tuple[int, int, int] | None
    level: int = 0
    hidden: int = 256
    coarse_size: int | None = 63


@dataclass(frozen=True)
class RegionConfig:
    """Region refinement (SiamAttn, Yu et al., CVPR 2020, section 3.3).

    `stages` are the backbone's layers that the mask's features take in beside the levels, the last of them
    giving their size. Regions are pooled to `box_pool` and `mask_pool` bins a side; the mask has
    `mask_growth` times as many px. `offset_hidden` and `box_hidden` are the widths of the fully connected
    layers.
    """

    stages: tuple[int, ...] = (0, 1)
    hidden: int = 256
    box_pool: int = 4
    mask_pool: int = 16
    mask_growth: int = 4
    box_hidden: int = 512
    offset_hidden: int = 1024


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of one Siamese network.

    `rpn_layers` are the backbone layers whose features are compared, `rpn_channels` the channels each is
    adjusted to by the neck (None: no neck, features used as they come). `multi_level` heads aggregate one
    depthwise RPN per level (SiamRPN++, Li et al., CVPR 2019, section 3.3), with learned weights where
    `weighted`. A `similarity` head scores cells alone, with one anchor and no regression (SiamMask's
    two-branch variant).
    With `attention` exemplar and search features enhance each other before they are compared, and with a
    `region` the best box is refined and given its mask (SiamAttn); such a network has no `mask` branch.

    An `up_channel` head correlates `head_channels` channels (None: as many as it is given), and is `logistic`
    where it gives one logit an anchor in place of two. A `correlation` head gives one response map, the
    plain correlation times `correlation_scale` (SiamFC, Bertinetto et al., ECCVW 2016).
    """

    backbone: BackboneKind
    rpn_layers: tuple[int, ...]
    rpn_channels: tuple[int, ...] | None
    head: HeadKind
    width_mult: float = 1.0
    weighted: bool = False
    anchor_num: int = 5
    mask: MaskConfig | None = None
    attention: bool = False
    region: RegionConfig | None = None
    head_channels: int | None = None
    logistic: bool = False
    correlation_scale: float = 1.0

    @property
    def has_mask(self) -> bool:
        """Whether the network gives masks."""
        return self.mask is not None or self.region is not None


@dataclass(frozen=True)
class AnchorConfig:
    """Anchor shapes: one per ratio (height over width) and scale, every `stride` search-region px.

    Before they are scaled their sides are truncated to whole px, or rounded to `decimals` if that is not 0.
    """

    stride: int = 8
    ratios: tuple[float, ...] = (0.33, 0.5, 1.0, 2.0, 3.0)
    scales: tuple[float, ...] = (8.0,)
    decimals: int = 0


@dataclass(frozen=True)
class CropRule:
    """How boxes and crops lie on whole px, where published trackers differ. The defaults are PySOT's.

    A box x, y, w, h has its centre at x + (w - 1) / 2 ("px": that of the px it covers) or at x + w / 2
    ("edge"); `first_center` says which for the box that a target is taken from, `result_center` for those
    that are returned. `side_ties` and `corner_ties` say where the side of a crop and its first px go when
    they lie halfway between two whole numbers. The first px is (side + 1) / 2 before the centre, or
    (side - 1) / 2 where `symmetric`. With `round_fill` the frame's mean colour is rounded, else truncated.
    """

    first_center: BoxCenter = "px"
    result_center: BoxCenter = "edge"
    side_ties: Ties = "even"
    corner_ties: Ties = "up"
    symmetric: bool = False
    round_fill: bool = False


@dataclass(frozen=True)
class PyramidConfig:
    """How a response map is searched for place and scale (SiamFC, Bertinetto et al., ECCVW 2016, section 3).

    The search region is seen at `count` scales, `step` apart; the maximum of every scale but the middle one
    is multiplied by `penalty`. The map of the best scale has `stride` px of the search region per cell and is
    up-sampled `response_up` times.

    `nested`: one crop at the largest scale is resized once and the smaller ones are cut from it; else every
    scale is cropped from the frame. `scaled_shift`: a shift in the map counts at the chosen scale, else at
    the middle one. `centered`: no shift is the middle of the up-sampled map, (n - 1) / 2, else its sample
    n / 2. `whole_exemplar`: the search region is derived from the exemplar's side in whole px. The region's
    side stays within `side_limits` times the first one.
    """

    count: int = 3
    step: float = 1.0375
    penalty: float = 0.9745
    response_up: float = 16.0
    stride: float = 8.0
    nested: bool = False
    scaled_shift: bool = True
    centered: bool = True
    whole_exemplar: bool = False
    side_limits: tuple[float, float] = (0.2, 5.0)


@dataclass(frozen=True)
class SmallTargetConfig:
    """A search region of `instance_size` px if a target first covers less than `area_share` of the frame."""

    area_share: float = 0.004
    instance_size: int = 287


@dataclass(frozen=True)
class LossConfig:
    """When a target counts as lost and when as found again.

    `signal` below `low` for longer than `after_s` seconds makes the target lost; above `high` it is found.
    A target that is lost counts as COASTING for `coast_s` seconds, as LOST from then on.
    """

    signal: LossSignal = "confidence"
    low: float = 0.25
    high: float = 0.75
    after_s: float = 0.1
    coast_s: float = 1.0


@dataclass(frozen=True)
class ScanConfig:
    """How a lost target is looked for in windows of the usual size (`tracking.lost_search`).

    Each frame looks through `windows` of them. One is at the place that is predicted, every second frame at
    the one that has looked most like the target. The others sweep the frame, their sides `zoom` usual ones,
    `step` of such a side apart at most: the first sweep `reach` usual sides around the predicted place, each
    later one `growth` times as far, until the frame is covered, and then anew. What is surer than `hold` is
    looked at again at once, up to `patience` times in succession. The target is found where `sure_looks` of
    these looks, not zoomed and at one place, are sure of it, or more of them nearly.
    """

    windows: int = 2
    zoom: float = 1.4
    step: float = 0.6
    reach: float = 1.0
    growth: float = 1.7
    sure_looks: int = 2
    hold: float = 0.4
    patience: int = 6


@dataclass(frozen=True)
class LongTermConfig:
    """How a lost target is searched for.

    With a `scan`, in windows of the usual size, and the box follows its last velocity while COASTING and then
    stands still, until the target is found. Without one the search region steps through `instance_sizes` (px
    of network input), frame after frame, and stays at the last (SiamRPN++, long-term variant); the box does
    the same with `coast`, else, as in PySOT, it stands still on frames whose signal is low and follows what
    is seen on the others. Either way `window_influence` takes the place of the usual one. Without
    `clip_state` the box may leave the frame and only what is returned is clipped, as PySOT has it.
    """

    scan: ScanConfig | None = field(default_factory=ScanConfig)
    instance_sizes: tuple[int, ...] = (383, 575, 831)
    window_influence: float = 0.001
    coast: bool = True
    clip_state: bool = True

    @property
    def waits(self) -> bool:
        """Whether the box of a lost target goes nowhere but to where the target is found."""
        return self.coast or self.scan is not None


@dataclass(frozen=True)
class ConfidenceConfig:
    """Logistic model of "the box is on the target", and the thresholds of the states read from it.

    confidence = sigmoid(bias + score * logit(raw score) + margin * peak margin + plausibility * p), each term
    as `tracking.confidence` defines it. The defaults suit any entry; a trained entry carries
    its own, fitted on held-out footage. TRACKING turns UNCERTAIN below `uncertain_below` and back above
    `tracking_above`; ACQUIRING lasts until `acquire_s` seconds after the first frame.
    """

    bias: float = -2.0
    score: float = 0.5
    margin: float = 2.0
    plausibility: float = 2.0
    tracking_above: float = 0.6
    uncertain_below: float = 0.45
    acquire_s: float = 0.1


@dataclass(frozen=True)
class TrackingConfig:
    """Constants of tracking, named as in the papers and in PySOT; sizes in px of network input.

    `context_amount` widens the box before it is cropped, `window_influence` weighs the cosine window, `lr`
    damps change of size, `penalty_k` punishes change of scale and ratio (SiamRPN, section 4.3).
    `min_target_size` is the least width and height a target shrinks to, in px of the frame. Without
    `clip_state` the box may leave the frame and only what is returned is clipped. With a `pyramid` the
    network gives response maps and size is searched for: `penalty_k`, `base_size` and `anchors` say nothing.

    Boxes are kept within the frame, its width and height taken `clip_inset` px smaller.
    `mask_threshold` cuts the mask, `mask_border` is the value it is interpolated with beyond its border;
    `box_fit` is how a box is fitted to it (SiamMask, section 3.3): the axis-aligned one, the rotated one of
    least area, or the rotated one that trades pixels left out against background taken in. `box_source`
    says where the tracked box comes from: the regression, or the mask, whose axis-aligned box it then is.
    """

    window_influence: float
    lr: float
    penalty_k: float = 0.0
    exemplar_size: int = 127
    instance_size: int = 255
    base_size: int = 8
    context_amount: float = 0.5
    min_target_size: float = 10.0
    clip_state: bool = True
    crop: CropRule = field(default_factory=CropRule)
    pyramid: PyramidConfig | None = None
    small_target: SmallTargetConfig | None = None
    mask_threshold: float = 0.3
    mask_border: float = 0.0
    clip_inset: int = 0
    box_fit: BoxFit = "min_area"
    box_source: BoxSource = "regression"
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    long_term: LongTermConfig | None = None
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)

    def score_size(self, instance_size: int) -> int:
        """Side of the response map for a search region of `instance_size` px."""
        return (instance_size - self.exemplar_size) // self.anchors.stride + 1 + self.base_size


@dataclass(frozen=True)
class ZooEntry:
    """One tracker of the zoo: a name, a network and the constants it is used with."""

    name: str
    model: ModelConfig
    tracking: TrackingConfig
