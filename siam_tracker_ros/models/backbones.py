"""Which backbone a configuration names."""

from __future__ import annotations

from siam_tracker_ros.models import alexnet, cir_resnet
from siam_tracker_ros.models.backbone import Backbone
from siam_tracker_ros.models.config import ModelConfig
from siam_tracker_ros.models.mobilenet_v2 import MobileNetV2
from siam_tracker_ros.models.resnet import resnet18, resnet34, resnet50

_RESNETS = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}


def refine_layers(config: ModelConfig) -> tuple[int, ...]:
    """Backbone layers that refinement merges, of masks or of regions; none without it."""
    if config.region is not None:
        return config.region.stages
    return (config.mask.refine_layers if config.mask else None) or ()


def used_layers(config: ModelConfig) -> tuple[int, ...]:
    """Backbone layers that `config` reads, for the RPN and for mask refinement, in ascending order."""
    return tuple(sorted({*config.rpn_layers, *refine_layers(config)}))


def build_backbone(config: ModelConfig) -> Backbone:
    """Backbone of `config`: [N, 3, H, W] -> {layer: features}; `.channels` maps layer -> channels."""
    layers = used_layers(config)
    if config.backbone in _RESNETS:
        return _RESNETS[config.backbone](layers)
    if config.backbone == "mobilenetv2":
        return MobileNetV2(config.width_mult, layers)
    if config.backbone in cir_resnet.VARIANTS:
        return cir_resnet.CIRNet(cir_resnet.VARIANTS[config.backbone], layers)
    return alexnet.AlexNet(config.width_mult, layers, alexnet.VARIANTS[config.backbone])
