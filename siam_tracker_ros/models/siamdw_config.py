"""Reading a configuration of SiamDW (architecture, and the constants of one benchmark) as a zoo entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import (
    AnchorConfig,
    BackboneKind,
    ModelConfig,
    SmallTargetConfig,
    TrackingConfig,
    ZooEntry,
)
from siam_tracker_ros.models.config_keys import refuse_other, refuse_unknown
from siam_tracker_ros.models.zoo import SIAMDW_FC_TRACKING, SIAMDW_RPN_TRACKING, get_entry


class SiamDWConfigError(SiamTrackerError, ValueError):
    """A configuration of SiamDW that names something this package does not have."""


ClassificationType = Literal["thinner", "thicker"]
"""One logit an anchor and 256 channels, or two and 512."""

_BACKBONES: dict[str, BackboneKind] = {
    "Res22": "cir_resnet22",
    "Res22W": "cir_resnet22w",
    "Incep22": "cir_incep22",
    "Next22": "cir_next22",
}
_HEAD_CHANNELS = {"thinner": 256, "thicker": 512}
# An exemplar is this much smaller than the search region, px.
_SEARCH_MARGIN = 128
# Px between the cells of all its backbones.
_STRIDE = 8
# Scales that its response-map tracker searches: it has a penalty for each of three.
_SCALES = 3
# Anchor shapes that its anchor tracker reads out of the maps.
_ANCHORS = 5
_SHARED_KEYS = (
    "windowing",
    "exemplar_size",
    "instance_size",
    "score_size",
    "total_stride",
    "context_amount",
)
RESPONSE_MAP_KEYS = (
    *_SHARED_KEYS,
    "num_scale",
    "scale_step",
    "scale_penalty",
    "scale_lr",
    "response_up",
    "w_influence",
)
ANCHOR_KEYS = (
    *_SHARED_KEYS,
    "penalty_k",
    "window_influence",
    "lr",
    "ratios",
    "scales",
    "anchor_num",
    "small_sz",
    "big_sz",
)
"""What a configuration of either tracker may have."""


def entry_from_siamdw(
    name: str,
    arch: str,
    config: Mapping[str, Any],
    cls_type: ClassificationType | None = None,
    benchmark: str = "",
) -> ZooEntry:
    """Zoo entry of `arch` (SiamFCRes22, SiamRPNRes22, ...) and its constants, defaults filled in.

    `cls_type` is that of an anchor tracker (thinner if None). On the benchmark of 2017, or with `big_sz` and
    `small_sz`, such a tracker sees small targets in a larger search region. Raises SiamDWConfigError for what
    does not exist here, and for settings that the tracker has not or that contradict each other.
    """
    for prefix, read in (("SiamFC", _response_map), ("SiamRPN", _anchors)):
        backbone = _BACKBONES.get(arch.removeprefix(prefix)) if arch.startswith(prefix) else None
        if backbone is not None:
            model, tracking = read(config, cls_type or "thinner", benchmark)
            return ZooEntry(name, replace(model, backbone=backbone), tracking)
    known = ", ".join(_BACKBONES)
    raise SiamDWConfigError(f"the architecture is '{arch}'; known are SiamFC and SiamRPN with {known}")


def _window_influence(config: Mapping[str, Any], influence: float) -> float:
    windowing = config.get("windowing", "cosine")
    if windowing not in ("cosine", "uniform"):
        raise SiamDWConfigError(f"windowing is '{windowing}'; known are cosine, uniform")
    # A uniform window prefers no place, as none does.
    return influence if windowing == "cosine" else 0.0


def _response_map(
    config: Mapping[str, Any], cls_type: str, benchmark: str
) -> tuple[ModelConfig, TrackingConfig]:
    ours = SIAMDW_FC_TRACKING
    assert ours.pyramid is not None
    instance_size = config.get("instance_size", ours.instance_size)
    exemplar_size = instance_size - _SEARCH_MARGIN
    follows = {
        "exemplar_size": exemplar_size,
        "score_size": _SEARCH_MARGIN // _STRIDE + 1,
        "total_stride": _STRIDE,
        "num_scale": _SCALES,
    }
    refuse_unknown(config, RESPONSE_MAP_KEYS, "the configuration", SiamDWConfigError)
    refuse_other(config, follows, "the configuration", SiamDWConfigError)
    pyramid = replace(
        ours.pyramid,
        step=config.get("scale_step", ours.pyramid.step),
        penalty=config.get("scale_penalty", ours.pyramid.penalty),
        response_up=config.get("response_up", ours.pyramid.response_up),
    )
    tracking = replace(
        ours,
        window_influence=_window_influence(config, config.get("w_influence", ours.window_influence)),
        lr=config.get("scale_lr", ours.lr),
        exemplar_size=exemplar_size,
        instance_size=instance_size,
        context_amount=config.get("context_amount", ours.context_amount),
        pyramid=pyramid,
    )
    return get_entry("siamfc_cir_resnet22").model, tracking


def _anchors(config: Mapping[str, Any], cls_type: str, benchmark: str) -> tuple[ModelConfig, TrackingConfig]:
    if cls_type not in _HEAD_CHANNELS:
        raise SiamDWConfigError(f"cls_type is '{cls_type}'; known are {', '.join(_HEAD_CHANNELS)}")
    ours = SIAMDW_RPN_TRACKING
    refuse_unknown(config, ANCHOR_KEYS, "the configuration", SiamDWConfigError)
    anchors = AnchorConfig(
        stride=_STRIDE,
        ratios=tuple(config.get("ratios", ours.anchors.ratios)),
        scales=tuple(config.get("scales", ours.anchors.scales)),
    )
    exemplar_size = config.get("exemplar_size", ours.exemplar_size)
    instance_size, small = _search_sizes(config, benchmark)
    sizes = (instance_size, small.instance_size) if small else (instance_size,)
    follows = {"total_stride": _STRIDE, "anchor_num": _ANCHORS}
    score_sizes = [(size - exemplar_size) // _STRIDE + 1 for size in sizes]
    if config.get("score_size") not in score_sizes:
        # Which of the sizes a target is searched with shows once it is known.
        follows["score_size"] = score_sizes[0]
    refuse_other(config, follows, "the configuration", SiamDWConfigError)
    anchor_num = len(anchors.ratios) * len(anchors.scales)
    if anchor_num != _ANCHORS:
        raise SiamDWConfigError(f"ratios and scales give {anchor_num} anchors; the tracker has {_ANCHORS}")
    tracking = replace(
        ours,
        penalty_k=config.get("penalty_k", ours.penalty_k),
        window_influence=_window_influence(config, config.get("window_influence", ours.window_influence)),
        lr=config.get("lr", ours.lr),
        exemplar_size=exemplar_size,
        instance_size=instance_size,
        context_amount=config.get("context_amount", ours.context_amount),
        anchors=anchors,
        small_target=small,
    )
    model = replace(
        get_entry("siamrpn_cir_resnet22").model,
        head_channels=_HEAD_CHANNELS[cls_type],
        logistic=cls_type == "thinner",
        anchor_num=_ANCHORS,
    )
    return model, tracking


def _search_sizes(config: Mapping[str, Any], benchmark: str) -> tuple[int, SmallTargetConfig | None]:
    """The search region's side, px, and the rule for small targets, if any."""
    given = [key for key in ("small_sz", "big_sz") if key in config]
    if len(given) == 1:
        raise SiamDWConfigError(f"the configuration has {given[0]} alone; small_sz and big_sz go together")
    if given:
        # The smaller search region is for targets that are not small.
        return config["small_sz"], SmallTargetConfig(instance_size=config["big_sz"])
    if "2017" in benchmark:
        return 271, SmallTargetConfig()
    return config.get("instance_size", SIAMDW_RPN_TRACKING.instance_size), None
