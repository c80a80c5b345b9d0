"""Reading an experiment configuration of PySOT (its config.yaml, as a mapping) as a zoo entry.

With it, a network trained with PySOT runs here from its own `config.yaml` and `model.pth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import (
    AnchorConfig,
    BackboneKind,
    HeadKind,
    LossConfig,
    MaskConfig,
    ModelConfig,
    RegionConfig,
    TrackingConfig,
    ZooEntry,
)
from siam_tracker_ros.models.region import BOX_STDS
from siam_tracker_ros.models.zoo import PYSOT_LONG_TERM


class PysotConfigError(SiamTrackerError, ValueError):
    """A PySOT configuration that names something this package does not have."""


_HEADS: dict[str, HeadKind] = {
    "DepthwiseRPN": "depthwise",
    "UPChannelRPN": "up_channel",
    "MultiRPN": "multi_level",
}
# Layers that a backbone gives when the configuration names none: PySOT's defaults.
_DEFAULT_LAYERS = {"mobilenetv2": (3, 5, 7), "alexnet": (5,), "alexnetlegacy": (5,)}
# PySOT's refinement has fixed channel counts, those of ResNet-50's first three layers.
_REFINE_CHANNELS = (64, 256, 512)


def _known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise PysotConfigError(f"{what} is '{value}'; known are {', '.join(known)}")


def _model(config: Mapping[str, Any]) -> ModelConfig:
    backbone = config["BACKBONE"]
    kind: BackboneKind = backbone["TYPE"]
    _known("BACKBONE.TYPE", kind, get_args(BackboneKind))
    kwargs = backbone.get("KWARGS") or {}
    layers = tuple(kwargs.get("used_layers") or _DEFAULT_LAYERS.get(kind, ()))
    if not layers:
        raise PysotConfigError(f"BACKBONE.KWARGS.used_layers is missing, and {kind} has no default")
    rpn = config["RPN"]
    _known("RPN.TYPE", rpn["TYPE"], tuple(_HEADS))
    adjust = config.get("ADJUST") or {}
    neck = None
    if adjust.get("ADJUST", True):
        neck = tuple(adjust["KWARGS"]["out_channels"])
    mask = region = None
    if _is_siamattn(config):
        layers, region = _levels_and_region(config, layers)
    elif (config.get("MASK") or {}).get("MASK"):
        if not (config.get("REFINE") or {}).get("REFINE"):
            raise PysotConfigError("MASK without REFINE is not supported")
        mask_kwargs = config["MASK"]["KWARGS"]
        # With a mask branch the last layer is correlated, and those before it are merged in refinement.
        layers, refine = layers[-1:], layers[:-1]
        if len(refine) != 3:
            raise PysotConfigError(
                f"refinement merges three layers; BACKBONE.KWARGS.used_layers gives {len(refine)}"
            )
        mask = MaskConfig(
            refine_layers=(refine[0], refine[1], refine[2]),
            refine_channels=_REFINE_CHANNELS,
            hidden=mask_kwargs["hidden"],
            coarse_size=round(mask_kwargs["out_channels"] ** 0.5),
        )
    return ModelConfig(
        backbone=kind,
        rpn_layers=layers,
        rpn_channels=neck,
        head=_HEADS[rpn["TYPE"]],
        width_mult=kwargs.get("width_mult", 1.0),
        weighted=bool(rpn["KWARGS"].get("weighted", False)),
        anchor_num=rpn["KWARGS"].get("anchor_num", 5),
        mask=mask,
        attention=region is not None,
        region=region,
    )


def _is_siamattn(config: Mapping[str, Any]) -> bool:
    """SiamAttn's code is PySOT's and more: what only its configuration has tells it."""
    return "ROIPOOL_OUTSIZE" in (config.get("TRAIN") or {})


def _levels_and_region(
    config: Mapping[str, Any], layers: tuple[int, ...]
) -> tuple[tuple[int, ...], RegionConfig]:
    """The layers that are compared, and the refinement, which merges those before them."""
    levels = len(config["ADJUST"]["KWARGS"]["out_channels"])
    if len(layers) != levels + 2:
        raise PysotConfigError(
            f"region refinement merges two layers beside the {levels} compared; "
            f"BACKBONE.KWARGS.used_layers gives {len(layers)}"
        )
    stds = tuple(config["TRAIN"].get("BBOX_NORMALIZE_STDS", BOX_STDS))
    if stds != BOX_STDS:
        raise PysotConfigError(f"TRAIN.BBOX_NORMALIZE_STDS is {stds}; known is {BOX_STDS}")
    return layers[2:], RegionConfig(stages=layers[:2], mask_pool=config["TRAIN"]["ROIPOOL_OUTSIZE"])


def _tracking(config: Mapping[str, Any]) -> TrackingConfig:
    track = config.get("TRACK") or {}
    anchor = config.get("ANCHOR") or {}
    kind = track.get("TYPE", "SiamRPNTracker")
    _known("TRACK.TYPE", kind, ("SiamRPNTracker", "SiamMaskTracker", "SiamRPNLTTracker"))
    loss, long_term = LossConfig(), None
    if kind == "SiamRPNLTTracker":
        loss = LossConfig(
            signal="score",
            low=track.get("CONFIDENCE_LOW", 0.85),
            high=track.get("CONFIDENCE_HIGH", 0.998),
            after_s=0.0,
        )
        long_term = replace(PYSOT_LONG_TERM, instance_sizes=(track.get("LOST_INSTANCE_SIZE", 831),))
    return TrackingConfig(
        penalty_k=track.get("PENALTY_K", 0.04),
        window_influence=track.get("WINDOW_INFLUENCE", 0.44),
        lr=track.get("LR", 0.4),
        exemplar_size=track.get("EXEMPLAR_SIZE", 127),
        instance_size=track.get("INSTANCE_SIZE", 255),
        base_size=track.get("BASE_SIZE", 8),
        context_amount=track.get("CONTEXT_AMOUNT", 0.5),
        # The key is misspelt in PySOT itself.
        mask_threshold=track.get("MASK_THERSHOLD", 0.3),
        anchors=AnchorConfig(
            stride=anchor.get("STRIDE", 8),
            ratios=tuple(anchor.get("RATIOS", AnchorConfig.ratios)),
            scales=tuple(anchor.get("SCALES", AnchorConfig.scales)),
        ),
        # SiamAttn keeps boxes within the last px, PySOT within the border beyond it.
        clip_inset=1 if _is_siamattn(config) else 0,
        loss=loss,
        long_term=long_term,
    )


def entry_from_pysot(name: str, config: Mapping[str, Any]) -> ZooEntry:
    """Zoo entry of a PySOT experiment configuration, PySOT's defaults filled in.

    Raises PysotConfigError where the configuration names a block that does not exist here or lacks one
    that PySOT requires.
    """
    try:
        return ZooEntry(name, _model(config), _tracking(config))
    except KeyError as error:
        raise PysotConfigError(f"the PySOT configuration has no {error.args[0]}") from error
