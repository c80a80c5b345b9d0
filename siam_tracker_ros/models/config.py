"""What a zoo entry is made of: the architecture of a network and the constants it tracks with.

Everything is frozen: an entry is a value. `dataclasses.replace` makes a variant of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

BackboneKind = Literal["resnet18", "resnet34", "resnet50", "mobilenetv2", "alexnet", "alexnetlegacy"]
HeadKind = Literal["depthwise", "up_channel", "multi_level"]
LossSignal = Literal["score", "confidence"]


@dataclass(frozen=True)
class MaskConfig:
    """The mask branch of SiamMask (Wang et al., CVPR 2019, section 3).

    `refine_layers` are the three backbone layers, stride 2, 4 and 8, that the refinement merges, with
    their channel counts; `level` is the index, among the levels the RPN sees, of the features that the
    mask is correlated on. `coarse_size` is the side of the mask read directly from one response vector
    (63 in the paper); None leaves that layer out, as refinement does not use it.
    """

    refine_layers: tuple[int, int, int]
    refine_channels: tuple[int, int, int]
    level: int = 0
    hidden: int = 256
    coarse_size: int | None = 63


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of one Siamese network.

    `rpn_layers` are the backbone layers whose features are compared, `rpn_channels` the channels each is
    adjusted to by the neck (None: no neck, features used as they come). `multi_level` heads aggregate one
    depthwise RPN per level (SiamRPN++, Li et al., CVPR 2019, section 3.3), with learned weights where
    `weighted`.
    """

    backbone: BackboneKind
    rpn_layers: tuple[int, ...]
    rpn_channels: tuple[int, ...] | None
    head: HeadKind
    width_mult: float = 1.0
    weighted: bool = False
    anchor_num: int = 5
    mask: MaskConfig | None = None


@dataclass(frozen=True)
class AnchorConfig:
    """Anchor shapes: one per ratio (height over width) and scale, every `stride` search-region px."""

    stride: int = 8
    ratios: tuple[float, ...] = (0.33, 0.5, 1.0, 2.0, 3.0)
    scales: tuple[float, ...] = (8.0,)


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
class LongTermConfig:
    """How a lost target is searched for (SiamRPN++, long-term variant).

    While lost, frame after frame, the search region steps through `instance_sizes` (px of network input) and
    stays at the last, with `window_influence` in place of the usual one. With `coast` the box follows its
    last velocity while COASTING and then stands still, until the target is found; without, as in PySOT, it
    stands still on frames whose signal is low and follows what is seen on the others. Without
    `clip_state` the box may leave the frame and only what is returned is clipped, as PySOT has it.
    """

    instance_sizes: tuple[int, ...] = (383, 575, 831)
    window_influence: float = 0.001
    coast: bool = True
    clip_state: bool = True


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

    `context_amount` widens the box before it is cropped, `penalty_k` punishes change of scale and
    ratio, `window_influence` weighs the cosine window, `lr` damps change of size (SiamRPN, section 4.3).
    `min_target_size` is the least width and height a target shrinks to, in px of the frame.
    """

    penalty_k: float
    window_influence: float
    lr: float
    exemplar_size: int = 127
    instance_size: int = 255
    base_size: int = 8
    context_amount: float = 0.5
    min_target_size: float = 10.0
    mask_threshold: float = 0.3
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
