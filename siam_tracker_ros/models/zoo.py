"""The model zoo: every tracker this package knows, by name.

Adding one is adding one `ZooEntry` here. The `siamrpn_*` and `siammask_*` names without a width are PySOT's
experiments, with PySOT's constants (MODEL_ZOO.md and experiments/ there); the `*_w10` entries are this
package's own small ones.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import (
    AnchorConfig,
    ConfidenceConfig,
    CropRule,
    LongTermConfig,
    LossConfig,
    MaskConfig,
    ModelConfig,
    PyramidConfig,
    RegionConfig,
    SmallTargetConfig,
    TrackingConfig,
    ZooEntry,
)


class UnknownModelError(SiamTrackerError, KeyError):
    """A model name that the zoo does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


_R50 = ModelConfig(
    backbone="resnet50",
    rpn_layers=(2, 3, 4),
    rpn_channels=(256, 256, 256),
    head="multi_level",
    weighted=True,
)
_R50_UNWEIGHTED = replace(_R50, weighted=False)
_R50_LONG_TERM = replace(_R50, rpn_channels=(128, 256, 512))
_ALEX = ModelConfig(backbone="alexnet", rpn_layers=(5,), rpn_channels=None, head="depthwise")
_ALEX_LEGACY = replace(_ALEX, backbone="alexnetlegacy")
_MOBILE = ModelConfig(
    backbone="mobilenetv2",
    width_mult=1.4,
    rpn_layers=(3, 5, 7),
    rpn_channels=(256, 256, 256),
    head="multi_level",
)
_MOBILE_W10 = replace(_MOBILE, width_mult=1.0, rpn_channels=(128, 128, 128), weighted=True)
_MASK_W10 = MaskConfig(refine_layers=(1, 2, 3), refine_channels=(16, 24, 32), level=1, coarse_size=None)

_SIAMMASK_SHARP = ModelConfig(
    backbone="resnet50",
    rpn_layers=(3,),
    rpn_channels=(256,),
    head="depthwise",
    mask=MaskConfig(refine_layers=(0, 1, 2), refine_channels=(64, 256, 512)),
)
_SIAMMASK_BASE = replace(_SIAMMASK_SHARP, mask=MaskConfig(refine_layers=None, refine_channels=None))
"""SiamMask's networks, as its own repository and PySOT have them."""

_SIAMFC_ALEX = ModelConfig(
    backbone="alexnetv1",
    rpn_layers=(5,),
    rpn_channels=None,
    head="correlation",
    anchor_num=1,
    correlation_scale=0.001,
)
_SIAMFC_CIR = replace(_SIAMFC_ALEX, backbone="cir_resnet22", rpn_layers=(2,), correlation_scale=0.1)
_SIAMRPN_ALEX = replace(_ALEX_LEGACY, head="up_channel")
_SIAMRPN_CIR = ModelConfig(
    backbone="cir_resnet22",
    rpn_layers=(2,),
    rpn_channels=None,
    head="up_channel",
    head_channels=256,
    logistic=True,
)

SIAMFC_TRACKING = TrackingConfig(
    window_influence=0.176,
    lr=0.59,
    base_size=0,
    clip_state=False,
    crop=CropRule(result_center="px", corner_ties="even", symmetric=True, round_fill=True),
    pyramid=PyramidConfig(),
    anchors=AnchorConfig(ratios=(1.0,)),
    # Not fitted. The logistic score of a correlation is soon one, on target and off: sharpness has to tell.
    confidence=ConfidenceConfig(bias=-2.8, score=0.15, margin=6.0, plausibility=1.0),
)
"""The constants of SiamFC's PyTorch implementation, with the limits of scale of the authors' own."""

SIAMDW_FC_TRACKING = replace(
    SIAMFC_TRACKING,
    window_influence=0.35,
    clip_state=True,
    crop=CropRule(first_center="edge", corner_ties="even"),
    pyramid=PyramidConfig(nested=True, scaled_shift=False, centered=False, whole_exemplar=True),
)
"""The constants that SiamDW's response-map tracker has where its configuration says nothing."""

SIAMDW_RPN_TRACKING = TrackingConfig(
    penalty_k=0.055,
    window_influence=0.42,
    lr=0.295,
    base_size=0,
    crop=CropRule(first_center="edge", side_ties="up", corner_ties="even"),
)
"""The constants that SiamDW's anchor tracker has where its configuration says nothing."""

SIAMMASK_TRACKING = TrackingConfig(
    penalty_k=0.09,
    window_influence=0.39,
    lr=0.38,
    crop=CropRule(first_center="edge", corner_ties="even"),
    mask_border=-1.0,
)
"""The constants that SiamMask's own tracker has where its configuration says nothing."""

_DAVIS_TRACKING = replace(
    SIAMMASK_TRACKING, penalty_k=0.04, window_influence=0.4, lr=1.0, mask_threshold=0.35
)

# PySOT's long-term tracker: one jump to the large search region, nothing predicted, nothing clipped.
PYSOT_LONG_TERM = LongTermConfig(scan=None, instance_sizes=(831,), coast=False, clip_state=False)

_R50_TRACKING = TrackingConfig(penalty_k=0.05, window_influence=0.42, lr=0.38)
_OTB_TRACKING = TrackingConfig(penalty_k=0.24, window_influence=0.5, lr=0.25)
_ALEX_TRACKING = TrackingConfig(
    penalty_k=0.16, window_influence=0.40, lr=0.30, instance_size=287, base_size=0
)
_W10_TRACKING = TrackingConfig(
    penalty_k=0.04,
    window_influence=0.4,
    lr=0.5,
    min_target_size=4.0,
    long_term=LongTermConfig(),
    # Logistic fit, siammask_mobilev2_w10 on 1,650 frames of training and held-out footage, half the weight on
    # each, 444 of them with the target painted out; weights/README.md has the reliability.
    confidence=ConfidenceConfig(bias=-1.32, score=0.57, margin=1.96, plausibility=0.72),
)


def _siamdw_fc(step: float, penalty: float, lr: float, window_influence: float) -> TrackingConfig:
    base = SIAMDW_FC_TRACKING
    assert base.pyramid is not None
    pyramid = replace(base.pyramid, step=step, penalty=penalty)
    return replace(base, pyramid=pyramid, lr=lr, window_influence=window_influence)


_ENTRIES = (
    ZooEntry("siamrpn_alex_dwxcorr", _ALEX_LEGACY, _ALEX_TRACKING),
    ZooEntry("siamrpn_alex_dwxcorr_16gpu", _ALEX, _ALEX_TRACKING),
    ZooEntry("siamrpn_alex_dwxcorr_otb", _ALEX_LEGACY, _ALEX_TRACKING),
    ZooEntry(
        "siamrpn_mobilev2_l234_dwxcorr",
        _MOBILE,
        TrackingConfig(penalty_k=0.04, window_influence=0.4, lr=0.5),
    ),
    ZooEntry("siamrpn_r50_l234_dwxcorr", _R50, _R50_TRACKING),
    ZooEntry(
        "siamrpn_r50_l234_dwxcorr_8gpu",
        _R50,
        TrackingConfig(penalty_k=0.04, window_influence=0.44, lr=0.33),
    ),
    ZooEntry(
        "siamrpn_r50_l234_dwxcorr_16gpu",
        _R50,
        TrackingConfig(penalty_k=0.01, window_influence=0.40, lr=0.38),
    ),
    ZooEntry(
        "siamrpn_r50_l234_dwxcorr_lt",
        _R50_LONG_TERM,
        TrackingConfig(
            penalty_k=0.05,
            window_influence=0.28,
            lr=0.22,
            loss=LossConfig(signal="score", low=0.8, high=0.998, after_s=0.0),
            long_term=PYSOT_LONG_TERM,
        ),
    ),
    ZooEntry("siamrpn_r50_l234_dwxcorr_otb", _R50_UNWEIGHTED, _OTB_TRACKING),
    ZooEntry("siamrpn_r50_l234_dwxcorr_otb_8gpu", _R50_UNWEIGHTED, _OTB_TRACKING),
    ZooEntry(
        "siammask_r50_l3",
        _SIAMMASK_SHARP,
        TrackingConfig(penalty_k=0.10, window_influence=0.41, lr=0.32, mask_threshold=0.15),
    ),
    ZooEntry("siammask_r50_base", _SIAMMASK_BASE, SIAMMASK_TRACKING),
    ZooEntry("siammask_r50_sharp", _SIAMMASK_SHARP, _DAVIS_TRACKING),
    ZooEntry(
        "siammask_r50_sharp_vot",
        _SIAMMASK_SHARP,
        replace(_DAVIS_TRACKING, window_influence=0.42, lr=0.25, mask_threshold=0.30),
    ),
    ZooEntry(
        "siammask_r50_sharp_vot18",
        _SIAMMASK_SHARP,
        replace(_DAVIS_TRACKING, penalty_k=0.10, window_influence=0.41, lr=0.32, mask_threshold=0.15),
    ),
    ZooEntry(
        "siammask_r50_two_branch",
        replace(_SIAMMASK_SHARP, head="similarity", anchor_num=1),
        # The paper reads the mask at one half, and the next reference from it; what it does not give is
        # SiamMask's own.
        replace(
            SIAMMASK_TRACKING,
            penalty_k=0.0,
            mask_threshold=0.5,
            box_source="mask",
            anchors=AnchorConfig(ratios=(1.0,)),
        ),
    ),
    ZooEntry("siamfc_alexnet", _SIAMFC_ALEX, SIAMFC_TRACKING),
    # SiamDW's response-map trackers, with its constants for VOT 2017; for the wide one none are public.
    ZooEntry("siamfc_cir_resnet22", _SIAMFC_CIR, _siamdw_fc(1.1466, 0.9994, 0.2061, 0.3242)),
    ZooEntry(
        "siamfc_cir_incep22",
        replace(_SIAMFC_CIR, backbone="cir_incep22"),
        _siamdw_fc(1.1679, 0.9285, 0.6782, 0.2566),
    ),
    ZooEntry(
        "siamfc_cir_next22",
        replace(_SIAMFC_CIR, backbone="cir_next22"),
        _siamdw_fc(1.1531, 0.9489, 0.5706, 0.2581),
    ),
    ZooEntry("siamfc_cir_resnet22w", replace(_SIAMFC_CIR, backbone="cir_resnet22w"), SIAMDW_FC_TRACKING),
    # DaSiamRPN's release of SiamRPN, with its constants for VOT.
    ZooEntry(
        "siamrpn_alexnet",
        _SIAMRPN_ALEX,
        replace(
            SIAMDW_RPN_TRACKING,
            penalty_k=0.04,
            window_influence=0.44,
            lr=0.45,
            instance_size=271,
            crop=CropRule(first_center="edge", corner_ties="even"),
        ),
    ),
    ZooEntry(
        "siamrpn_cir_resnet22",
        _SIAMRPN_CIR,
        replace(
            SIAMDW_RPN_TRACKING,
            penalty_k=0.038,
            window_influence=0.347,
            lr=0.388,
            instance_size=271,
            small_target=SmallTargetConfig(),
        ),
    ),
    # SiamAttn's configuration was never published: the network is as deduced from the paper and the keys of
    # its weights, the constants of tracking are defaults (those its numbers were made with are not known).
    ZooEntry(
        "siamattn_r50",
        replace(_R50, attention=True, region=RegionConfig()),
        TrackingConfig(penalty_k=0.04, window_influence=0.44, lr=0.4, mask_threshold=0.3, clip_inset=1),
    ),
    ZooEntry("siamrpn_mobilev2_w10", _MOBILE_W10, _W10_TRACKING),
    ZooEntry("siammask_mobilev2_w10", replace(_MOBILE_W10, mask=_MASK_W10), _W10_TRACKING),
    # Without the level of layer 7 the backbone ends at layer 5: half the operations of a frame.
    ZooEntry(
        "siammask_mobilev2_w10_l23",
        replace(_MOBILE_W10, rpn_layers=(3, 5), rpn_channels=(128, 128), mask=_MASK_W10),
        _W10_TRACKING,
    ),
)

ZOO = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def get_entry(name: str) -> ZooEntry:
    """The zoo entry called `name`.

    Raises UnknownModelError, listing the names there are.
    """
    try:
        return ZOO[name]
    except KeyError:
        raise UnknownModelError(f"no model called '{name}'; the zoo has: {', '.join(ZOO)}") from None


def with_long_term(entry: ZooEntry, enabled: bool) -> ZooEntry:
    """`entry` with long-term search on or off; its own long-term constants are kept where it has them."""
    long_term = (entry.tracking.long_term or LongTermConfig()) if enabled else None
    return replace(entry, tracking=replace(entry.tracking, long_term=long_term))
