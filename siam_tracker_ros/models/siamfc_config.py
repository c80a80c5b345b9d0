"""Reading a configuration of siamfc-pytorch (the keyword arguments of its tracker) as a zoo entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.complexity import response_cells
from siam_tracker_ros.models.config import AnchorConfig, BackboneKind, ZooEntry
from siam_tracker_ros.models.config_keys import refuse_unknown
from siam_tracker_ros.models.zoo import SIAMFC_TRACKING, get_entry


class SiamFCConfigError(SiamTrackerError, ValueError):
    """A configuration of siamfc-pytorch that names something this package does not have."""


_UNLIMITED = (0.0, float("inf"))
# Px between the cells of the maps themselves, whatever a configuration says of them.
_STRIDES = {"alexnetv1": 8, "alexnetv2": 4, "alexnetv3": 8}
KEYS = (
    "out_scale",
    "exemplar_sz",
    "instance_sz",
    "context",
    "scale_num",
    "scale_step",
    "scale_lr",
    "scale_penalty",
    "window_influence",
    "response_sz",
    "response_up",
    "total_stride",
)
"""What a configuration says of the tracker."""
# What a configuration says of training, which tracking does not depend on.
_TRAINING_KEYS = (
    "epoch_num",
    "batch_size",
    "num_workers",
    "initial_lr",
    "ultimate_lr",
    "weight_decay",
    "momentum",
    "r_pos",
    "r_neg",
)


def entry_from_siamfc(name: str, backbone: str, config: Mapping[str, Any]) -> ZooEntry:
    """Zoo entry of a backbone (AlexNetV1, V2 or V3) and a configuration, defaults filled in.

    Scale is not limited, as it is not there. Raises SiamFCConfigError for a backbone that does not exist, a
    key that is not the tracker's, or images too small for the backbone.
    """
    refuse_unknown(config, (*KEYS, *_TRAINING_KEYS), "the configuration", SiamFCConfigError)
    kind = next((k for k in get_args(BackboneKind) if k in _STRIDES and k == backbone.lower()), None)
    if kind is None:
        raise SiamFCConfigError(f"the backbone is '{backbone}'; known are AlexNetV1, AlexNetV2, AlexNetV3")
    scale = config.get("out_scale", get_entry("siamfc_alexnet").model.correlation_scale)
    model = replace(get_entry("siamfc_alexnet").model, backbone=kind, correlation_scale=scale)
    ours = SIAMFC_TRACKING
    assert ours.pyramid is not None
    exemplar_size = config.get("exemplar_sz", ours.exemplar_size)
    instance_size = config.get("instance_sz", ours.instance_size)
    stride = config.get("total_stride", ours.pyramid.stride)
    up = config.get("response_up", ours.pyramid.response_up)
    # It up-samples to the size that the configuration tells, whatever the network's own maps have.
    try:
        cells = response_cells(model, exemplar_size, instance_size)
    except RuntimeError as error:
        raise SiamFCConfigError(
            f"an exemplar of {exemplar_size} px and a search region of {instance_size} px give {backbone} "
            "no response map"
        ) from error
    resized = up * config.get("response_sz", 17) / cells
    pyramid = replace(
        ours.pyramid,
        count=config.get("scale_num", ours.pyramid.count),
        step=config.get("scale_step", ours.pyramid.step),
        penalty=config.get("scale_penalty", ours.pyramid.penalty),
        response_up=resized,
        stride=stride / up * resized,
        side_limits=_UNLIMITED,
    )
    tracking = replace(
        ours,
        window_influence=config.get("window_influence", ours.window_influence),
        lr=config.get("scale_lr", ours.lr),
        exemplar_size=exemplar_size,
        instance_size=instance_size,
        context_amount=config.get("context", ours.context_amount),
        pyramid=pyramid,
        anchors=AnchorConfig(stride=_STRIDES[kind], ratios=(1.0,)),
    )
    return ZooEntry(name, model, tracking)
