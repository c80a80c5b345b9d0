"""Reading a configuration of the original SiamMask (its config.json, as a mapping) as a zoo entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import AnchorConfig, MaskConfig, ModelConfig, ZooEntry
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


def entry_from_siammask(name: str, config: Mapping[str, Any], variant: SiamMaskVariant) -> ZooEntry:
    """Zoo entry of `config`'s `hp` and `anchors`, what they leave out being SiamMask's defaults.

    Raises SiamMaskConfigError for what does not exist here.
    """
    hp, anchors = config.get("hp") or {}, config.get("anchors") or {}
    if variant not in _MASKS:
        raise SiamMaskConfigError(f"variant is '{variant}'; known are {', '.join(_MASKS)}")
    if anchors.get("round_dight", 0) or anchors.get("anchor_density", 1) != 1:
        raise SiamMaskConfigError("anchors with a round_dight or an anchor_density are not supported")
    windowing = hp.get("windowing", "cosine")
    if windowing not in ("cosine", "uniform"):
        raise SiamMaskConfigError(f"windowing is '{windowing}'; known are cosine, uniform")
    ours = SIAMMASK_TRACKING
    grid = AnchorConfig(
        stride=anchors.get("stride", ours.anchors.stride),
        ratios=tuple(anchors.get("ratios", ours.anchors.ratios)),
        scales=tuple(anchors.get("scales", ours.anchors.scales)),
    )
    influence = hp.get("window_influence", ours.window_influence)
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
    model = ModelConfig(
        backbone="resnet50",
        rpn_layers=(3,),
        rpn_channels=(256,),
        head="depthwise",
        anchor_num=len(grid.ratios) * len(grid.scales),
        mask=_MASKS[variant],
    )
    return ZooEntry(name, model, tracking)
