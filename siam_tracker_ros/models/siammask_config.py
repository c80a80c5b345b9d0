"""Reading a configuration of the original SiamMask (its config.json, as a mapping) as a zoo entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import AnchorConfig, MaskConfig, ModelConfig, ZooEntry
from siam_tracker_ros.models.config_keys import refuse_other, refuse_unknown
from siam_tracker_ros.models.zoo import SIAMMASK_TRACKING

SiamMaskVariant = Literal["box", "base", "sharp"]
"""Without masks (siamrpn_resnet), with coarse masks (siammask_base), with refined ones (siammask_sharp)."""


class SiamMaskConfigError(SiamTrackerError, ValueError):
    """A configuration of SiamMask that names something this package does not have."""


_MASKS: dict[str, MaskConfig | None] = {
    "box": None,
    "base": MaskConfig(refine_layers=None, refine_channels=None),
    "sharp": MaskConfig(refine_layers=(0, 1, 2), refine_channels=(64, 256, 512)),
}
# Side of the mask that each gives, px.
_MASK_SIZES = {"base": 63, "sharp": 127}
HP_KEYS = (
    "penalty_k",
    "windowing",
    "window_influence",
    "lr",
    "seg_thr",
    "windowing",
    "exemplar_size",
    "instance_size",
    "base_size",
    "context_amount",
    "out_size",
)
"""What `hp` may set; the original also takes there what it then reads from `anchors` or derives."""
_ANCHOR_KEYS = ("stride", "ratios", "scales", "round_dight", "anchor_density")


def entry_from_siammask(name: str, config: Mapping[str, Any], variant: SiamMaskVariant) -> ZooEntry:
    """Zoo entry of `config`'s `hp` and `anchors`, what they leave out being SiamMask's defaults.

    Raises SiamMaskConfigError for what does not exist here, and for settings that the tracker has not or
    that contradict each other. The rest of `config` is for training and not looked at.
    """
    hp, anchors = config.get("hp") or {}, config.get("anchors") or {}
    if variant not in _MASKS:
        raise SiamMaskConfigError(f"variant is '{variant}'; known are {', '.join(_MASKS)}")
    refuse_unknown(anchors, _ANCHOR_KEYS, "anchors", SiamMaskConfigError)
    if anchors.get("anchor_density", 1) != 1:
        raise SiamMaskConfigError("anchors with an anchor_density are not supported")
    windowing = hp.get("windowing", "cosine")
    if windowing not in ("cosine", "uniform"):
        raise SiamMaskConfigError(f"windowing is '{windowing}'; known are cosine, uniform")
    ours = SIAMMASK_TRACKING
    grid = AnchorConfig(
        stride=anchors.get("stride", ours.anchors.stride),
        ratios=tuple(anchors.get("ratios", ours.anchors.ratios)),
        scales=tuple(anchors.get("scales", ours.anchors.scales)),
        decimals=anchors.get("round_dight", ours.anchors.decimals),
    )
    influence = hp.get("window_influence", ours.window_influence)
    follows: dict[str, Any] = {
        "total_stride": grid.stride,
        "ratios": list(grid.ratios),
        "scales": list(grid.scales),
        "round_dight": grid.decimals,
        "anchor_num": len(grid.ratios) * len(grid.scales),
    }
    if variant in _MASK_SIZES:
        follows["out_size"] = _MASK_SIZES[variant]
    refuse_unknown(hp, {*HP_KEYS, *follows, "score_size"}, "hp", SiamMaskConfigError)
    refuse_other(hp, follows, "hp", SiamMaskConfigError)
    tracking = replace(
        ours,
        penalty_k=hp.get("penalty_k", ours.penalty_k),
        # A uniform window prefers no place, as none does.
        window_influence=influence if windowing == "cosine" else 0.0,
        lr=hp.get("lr", ours.lr),
        exemplar_size=hp.get("exemplar_size", ours.exemplar_size),
        instance_size=hp.get("instance_size", ours.instance_size),
        base_size=hp.get("base_size", ours.base_size),
        context_amount=hp.get("context_amount", ours.context_amount),
        mask_threshold=hp.get("seg_thr", ours.mask_threshold),
        anchors=grid,
    )
    refuse_other(hp, {"score_size": tracking.score_size(tracking.instance_size)}, "hp", SiamMaskConfigError)
    model = ModelConfig(
        backbone="resnet50",
        rpn_layers=(3,),
        rpn_channels=(256,),
        head="depthwise",
        anchor_num=len(grid.ratios) * len(grid.scales),
        mask=_MASKS[variant],
    )
    return ZooEntry(name, model, tracking)
