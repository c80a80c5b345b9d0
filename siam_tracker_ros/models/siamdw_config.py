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


def entry_from_siamdw(
    name: str,
    arch: str,
    config: Mapping[str, Any],
    cls_type: ClassificationType | None = None,
    benchmark: str = "",
) -> ZooEntry:
    """Zoo entry of `arch` (SiamFCRes22, SiamRPNRes22, ...) and its constants, defaults filled in.

    `cls_type` is that of an anchor tracker (thinner if None). On the benchmark of 2017 such a tracker sees
    small targets in a larger search region. Raises SiamDWConfigError for what does not exist here.
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
    pyramid = replace(
        ours.pyramid,
        count=config.get("num_scale", ours.pyramid.count),
        step=config.get("scale_step", ours.pyramid.step),
        penalty=config.get("scale_penalty", ours.pyramid.penalty),
        response_up=config.get("response_up", ours.pyramid.response_up),
        stride=config.get("total_stride", ours.pyramid.stride),
    )
    tracking = replace(
        ours,
        window_influence=_window_influence(config, config.get("w_influence", ours.window_influence)),
        lr=config.get("scale_lr", ours.lr),
        exemplar_size=config.get("exemplar_size", instance_size - _SEARCH_MARGIN),
        instance_size=instance_size,
        context_amount=config.get("context_amount", ours.context_amount),
        pyramid=pyramid,
    )
    return get_entry("siamfc_cir_resnet22").model, tracking


def _anchors(config: Mapping[str, Any], cls_type: str, benchmark: str) -> tuple[ModelConfig, TrackingConfig]:
    if cls_type not in _HEAD_CHANNELS:
        raise SiamDWConfigError(f"cls_type is '{cls_type}'; known are {', '.join(_HEAD_CHANNELS)}")
    ours = SIAMDW_RPN_TRACKING
    anchors = AnchorConfig(
        stride=config.get("total_stride", ours.anchors.stride),
        ratios=tuple(config.get("ratios", ours.anchors.ratios)),
        scales=tuple(config.get("scales", ours.anchors.scales)),
    )
    instance_size, small = config.get("instance_size", ours.instance_size), None
    if "2017" in benchmark:
        instance_size, small = 271, SmallTargetConfig()
    tracking = replace(
        ours,
        penalty_k=config.get("penalty_k", ours.penalty_k),
        window_influence=_window_influence(config, config.get("window_influence", ours.window_influence)),
        lr=config.get("lr", ours.lr),
        exemplar_size=config.get("exemplar_size", ours.exemplar_size),
        instance_size=instance_size,
        context_amount=config.get("context_amount", ours.context_amount),
        anchors=anchors,
        small_target=small,
    )
    model = replace(
        get_entry("siamrpn_cir_resnet22").model,
        head_channels=_HEAD_CHANNELS[cls_type],
        logistic=cls_type == "thinner",
        anchor_num=len(anchors.ratios) * len(anchors.scales),
    )
    return model, tracking
