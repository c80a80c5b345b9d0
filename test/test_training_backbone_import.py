"""ImageNet's MobileNetV2 as our backbone: the same function, normalisation and channel order folded in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from siam_tracker_ros.models.checkpoint import load_state
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.training.imagenet_backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneImportError,
    imagenet_backbone_state,
)

CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)


def source_state():
    """Random weights in the layout of the ImageNet file: features.0 to features.17, flat conv.N."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def conv_bn(conv, bn, outputs, inputs, size):
        state[f"{conv}.weight"] = torch.randn(outputs, inputs, size, size, generator=generator) * 0.1
        state[f"{bn}.weight"] = torch.rand(outputs, generator=generator) + 0.5
        state[f"{bn}.bias"] = torch.randn(outputs, generator=generator)
        state[f"{bn}.running_mean"] = torch.randn(outputs, generator=generator)
        state[f"{bn}.running_var"] = torch.rand(outputs, generator=generator) + 0.5

    conv_bn("features.0.0", "features.0.1", 32, 3, 3)
    inputs = 32
    for index, outputs in enumerate(CHANNELS, start=1):
        hidden = inputs if index == 1 else 6 * inputs
        name, at = f"features.{index}.conv", 0
        if index > 1:
            conv_bn(f"{name}.0", f"{name}.1", hidden, inputs, 1)
            at = 3
        conv_bn(f"{name}.{at}", f"{name}.{at + 1}", hidden, 1, 3)
        conv_bn(f"{name}.{at + 3}", f"{name}.{at + 4}", outputs, hidden, 1)
        inputs = outputs
    return state


def batch_norm(x, state, name):
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))


@pytest.fixture(scope="module")
def imported():
    state = source_state()
    network = SiameseNetwork(get_entry("siammask_mobilev2_w10").model).eval()
    backbone = {f"backbone.{k}": v for k, v in imagenet_backbone_state(state).items()}
    load_state(network, network.state_dict() | backbone, "test")
    missing = {k for k in network.backbone.state_dict() if not k.endswith("num_batches_tracked")}
    assert {f"backbone.{k}" for k in missing} == set(backbone)
    return state, network.backbone


@torch.no_grad()
def test_stem_and_first_block_see_bgr_as_the_source_sees_normalised_rgb(imported):
    state, backbone = imported
    bgr = torch.rand(2, 3, 63, 63) * 255
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    x = F.conv2d((bgr.flip(1) / 255 - mean) / std, state["features.0.0.weight"], stride=2)
    x = F.relu6(batch_norm(x, state, "features.0.1"))
    torch.testing.assert_close(backbone.layer0(bgr), x, atol=2e-4, rtol=1e-4)
    y = F.conv2d(x, state["features.1.conv.0.weight"], padding=1, groups=32)
    y = F.relu6(batch_norm(y, state, "features.1.conv.1"))
    y = batch_norm(F.conv2d(y, state["features.1.conv.3.weight"]), state, "features.1.conv.4")
    torch.testing.assert_close(backbone.layer1(backbone.layer0(bgr)), y, atol=5e-4, rtol=1e-3)


@torch.no_grad()
def test_each_block_of_the_source_is_one_of_ours(imported):
    state, backbone = imported
    blocks = [block for group in range(1, 8) for block in getattr(backbone, f"layer{group}")]
    assert len(blocks) == 17
    for index, block in enumerate(blocks[1:], start=2):
        name = f"features.{index}.conv"
        middle = block.conv[3]
        x = torch.randn(1, state[f"{name}.0.weight"].shape[1], 15, 15)
        y = F.relu6(batch_norm(F.conv2d(x, state[f"{name}.0.weight"]), state, f"{name}.1"))
        y = F.conv2d(
            y,
            state[f"{name}.3.weight"],
            stride=middle.stride,
            padding=middle.padding,
            dilation=middle.dilation,
            groups=y.shape[1],
        )
        y = batch_norm(
            F.conv2d(F.relu6(batch_norm(y, state, f"{name}.4")), state[f"{name}.6.weight"]),
            state,
            f"{name}.7",
        )
        if block.residual:
            y = y + x
        torch.testing.assert_close(block(x), y, atol=1e-4, rtol=1e-4)


def test_another_network_is_refused_by_name():
    state = source_state()
    del state["features.9.conv.3.weight"]
    with pytest.raises(BackboneImportError, match=r"features\.9\.conv\.3\.weight"):
        imagenet_backbone_state(state)
