"""Int8 after training: ranges of activations seen on footage, biases corrected for what rounding does.

Dense convolutions that search regions go through take whole numbers of eight bits: inputs with one range a
tensor, weights with one a channel, symmetric. What stays in floating point: depthwise convolutions and the
correlation with the target, which are cheap and lose most, and the first layers of the backbone (`FLOATING`).
Rounding shifts the mean of every channel, most in networks of depthwise convolutions; the bias of each takes
that back (Nagel et al., ICCV 2019, section 4.2, by the means seen on data).

A quantised network is a network whose convolutions round by PyTorch's own operators. OpenVINO knows them as
FakeQuantize, ONNX as QuantizeLinear and DequantizeLinear, so it is cut into the same graphs as any other, for
any size of search region.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siam_tracker_ros.models.inference import fuse_batch_norm
from siam_tracker_ros.models.int8_calibration import Calibration, QuantisationError, Rounding
from siam_tracker_ros.models.siamese import SiameseNetwork, Template

FLOATING = ("backbone.layer0", "backbone.layer1", "backbone.layer2")
"""Layers that stay in floating point: rounding moves their features most, and with them all that follow."""

_LEVELS = 255
_WEIGHT_LIMIT = 127


@dataclass(frozen=True)
class SearchInputs:
    """One run of the search side: search regions [R, 3, S, S], and the kernels it was compared with."""

    crops: Tensor
    kernels: tuple[Tensor, ...]


class RoundedConv2d(nn.Module):
    """A convolution of rounded inputs with rounded weights."""

    weight_scale: Tensor
    weight_zero: Tensor

    def __init__(self, conv: nn.Conv2d, low: float, high: float) -> None:
        super().__init__()
        self.conv = conv
        # Zero has to be one of the levels: it is what padding is made of.
        low, high = min(low, 0.0), max(high, 0.0)
        self.scale = max((high - low) / _LEVELS, 1e-8)
        self.zero = round(-low / self.scale)
        # For what tells networks apart by their tensors.
        self.register_buffer("input_range", torch.tensor([low, high], dtype=torch.float64))
        largest = conv.weight.detach().abs().amax((1, 2, 3))
        self.register_buffer("weight_scale", (largest / _WEIGHT_LIMIT).clamp(min=1e-8))
        self.register_buffer("weight_zero", torch.zeros(len(largest), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        x = torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, 0, _LEVELS)
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight, self.weight_scale, self.weight_zero, 0, -_WEIGHT_LIMIT - 1, _WEIGHT_LIMIT
        )
        assert isinstance(conv.padding, tuple)
        return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@torch.no_grad()
def calibrate(network: SiameseNetwork, inputs: Sequence[SearchInputs], weights_sha256: str) -> Calibration:
    """Observe the float32 `network` on `inputs`, all of one size, and correct the biases of its rounded form.

    The network is left as it is. Raises QuantisationError where there are no inputs,
    or the network mixes both branches.
    """
    if network.config.attention:
        raise QuantisationError(
            "int8 is not there for networks that attend: their kernels change every frame"
        )
    if not inputs:
        raise QuantisationError("there is nothing to calibrate on: no search regions were seen")
    crops = torch.cat([each.crops for each in inputs])
    kernels = tuple(torch.cat(each) for each in zip(*(each.kernels for each in inputs), strict=True))
    exact = _fused(network)
    seen: dict[str, tuple[float, float, Tensor]] = {}

    def observe(name: str, _: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
        # The extremes, though rare: the target's own response is one, and the score with it.
        seen[name] = float(given[0].min()), float(given[0].max()), output.mean((0, 2, 3))

    with _hooked(exact, [name for name, _ in _candidates(exact)], observe):
        _search(exact, crops, kernels)
    rounded = exact
    for name, (low, high, _) in seen.items():
        _replace(rounded, name, low, high)
    corrected: dict[str, Rounding] = {}

    def correct(name: str, module: nn.Module, _: tuple[Tensor], output: Tensor) -> Tensor:
        assert isinstance(module, RoundedConv2d)
        low, high, mean = seen[name]
        # Those before it are corrected already, so what is left is this convolution's own.
        shift = mean - output.mean((0, 2, 3))
        bias = shift if module.conv.bias is None else module.conv.bias + shift
        corrected[name] = Rounding(low, high, tuple(bias.tolist()))
        return output + shift[:, None, None]

    with _hooked(rounded, list(seen), correct):
        _search(rounded, crops, kernels)
    return Calibration(weights_sha256, len(crops), corrected)


def rounded_copy(network: SiameseNetwork) -> SiameseNetwork:
    """A copy of `network`, on the CPU in float32, whose search side rounds as its calibration says.

    Raises QuantisationError where it has none, or one of another architecture.
    """
    calibration = network.calibration
    if calibration is None:
        raise QuantisationError(
            "int8 needs a calibration beside the weights (NAME.int8.json), and there is none: "
            "siam-tracker export NAME --precision int8 --calibrate FOLDER makes one from labelled sequences"
        )
    rounded = _fused(network)
    candidates = dict(_candidates(rounded))
    for name, rounding in calibration.convolutions.items():
        conv = candidates.get(name)
        if conv is None or conv.out_channels != len(rounding.bias):
            raise QuantisationError(
                f"the int8 calibration has a convolution '{name}' with {len(rounding.bias)} channels, and "
                "the network has none like it: calibrate this network anew"
            )
        conv.bias = nn.Parameter(torch.tensor(rounding.bias), requires_grad=False)
        _replace(rounded, name, rounding.low, rounding.high)
    return rounded


def _fused(network: SiameseNetwork) -> SiameseNetwork:
    fused = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    fuse_batch_norm(fused)
    return fused


def _candidates(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.groups == 1 and not name.startswith(FLOATING):
            yield name, module


def _replace(network: nn.Module, name: str, low: float, high: float) -> None:
    parent, _, last = name.rpartition(".")
    conv = network.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    setattr(network.get_submodule(parent), last, RoundedConv2d(conv, low, high))


@contextmanager
def _hooked(network: nn.Module, names: Sequence[str], hook: Callable[..., Tensor | None]) -> Iterator[None]:
    """While it lasts, `hook` is called with the name, the module, its inputs and its output."""
    handles = [network.get_submodule(name).register_forward_hook(partial(hook, name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _search(network: SiameseNetwork, crops: Tensor, kernels: tuple[Tensor, ...]) -> None:
    network.respond(Template(kernels), network.features(crops))
