"""The study behind the search region's shift: what a padded network learns of where targets are.

SiamRPN++ (Li et al., CVPR 2019, section 3.2): padding tells a network where in the search region it is.
Trained on targets that are always in the centre it answers "in the centre", whatever it sees; shifts spread
evenly over a range cure it. Here a tiny network with padding is trained with several ranges, and its
responses are averaged over pairs whose targets are spread evenly: without a bias their mean is even too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from siam_tracker_ros.footage.whole_file import Unfinished
from siam_tracker_ros.models.config import TrackingConfig
from siam_tracker_ros.models.xcorr import xcorr_depthwise
from siam_tracker_ros.training.config import AugmentationConfig, TrainConfig
from siam_tracker_ros.training.pairs import Split
from siam_tracker_ros.training.samples import PairSamples
from siam_tracker_ros.training.target_store import TargetStore

SHIFTS = (0, 16, 32)
"""Ranges of the shift in training, +- px; those of the paper."""
SPREAD = 64.0
"""Range of the shift over which responses are averaged, +- px."""
_STRIDE = 8
# Cells this near to the target's centre are asked to answer.
_RADIUS = 2.0
_CHANNELS = 48


class PaddedNetwork(nn.Module):
    """A Siamese network of padded layers, stride 8; dilation carries the border's sign to the centre."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, size: int, stride: int, dilation: int = 1) -> nn.Sequential:
            padding = dilation * (size // 2)
            conv = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

        self.backbone = nn.Sequential(
            layer(3, 16, 5, 2),
            layer(16, 32, 3, 2),
            layer(32, _CHANNELS, 3, 2),
            *(layer(_CHANNELS, _CHANNELS, 3, 1, dilation) for dilation in (1, 2, 4, 8)),
        )
        self.head = nn.Sequential(nn.Conv2d(_CHANNELS, _CHANNELS, 1), nn.ReLU(), nn.Conv2d(_CHANNELS, 1, 1))

    def forward(self, exemplar: Tensor, search: Tensor) -> Tensor:
        """Exemplars [N, 3, 127, 127] and search regions [N, 3, 255, 255] -> logits [N, 25, 25]."""
        kernel = self.backbone(exemplar / 255 - 0.5)[:, :, 4:12, 4:12]
        features = self.backbone(search / 255 - 0.5)
        logits: Tensor = self.head(xcorr_depthwise(features, kernel) / 64)
        return logits[:, 0]


def _near(boxes: Tensor, cells: int) -> Tensor:
    """Which cells lie at a target's centre: boxes [N, 4], from the region's centre -> [N, S, S] bool."""
    at = (torch.arange(cells, device=boxes.device) - (cells - 1) / 2) * _STRIDE
    dx, dy = at[None, None, :] - boxes[:, 0, None, None], at[None, :, None] - boxes[:, 1, None, None]
    return torch.hypot(dx, dy) <= _RADIUS * _STRIDE


def _loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Logistic loss, cells at the target and elsewhere weighing alike."""
    loss = F.binary_cross_entropy_with_logits(logits, wanted.float(), reduction="none")
    return 0.5 * loss[wanted].mean() + 0.5 * loss[~wanted].mean()


@dataclass(frozen=True)
class Bias:
    """Of one range of the shift in training: the mean response [25, 25], 0..1, and how often it is right.

    `found_near` and `found_far`: the part of the targets on which the highest cell lies, for those nearer to
    the centre than half of `SPREAD` and for the others.
    """

    shift: int
    heat: NDArray[np.float32]
    found_near: float
    found_far: float


def _samples(
    store: TargetStore, split: Split, config: TrainConfig, tracking: TrackingConfig, shift: float, seed: int
) -> PairSamples:
    # Nothing but the shift is varied in a way that moves targets.
    augmentation = AugmentationConfig(
        exemplar_shift=0, search_shift=shift, composition=0, paste=0, rotation_deg=0
    )
    pairs = dataclasses.replace(config.pairs, negative_share=0.0)
    return PairSamples(
        store, split, dataclasses.replace(config, augmentation=augmentation, pairs=pairs), tracking, seed
    )


def _loader(samples: PairSamples, count: int, config: TrainConfig) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(samples, config.batch_size, sampler=range(count), num_workers=config.run.workers)


def measure_bias(
    store: TargetStore,
    splits: tuple[Split, Split],
    config: TrainConfig,
    tracking: TrackingConfig,
    shift: int,
    steps: int,
    pairs: int,
    progress: Callable[[], object] = lambda: None,
) -> Bias:
    """Train the tiny network on `splits[0]` with `shift`, for `steps`; average over `pairs` of `splits[1]`.

    Where nothing is held out, the training split stands in. `progress` is called after every batch.
    """
    device = torch.device(config.run.device)
    torch.manual_seed(config.seed)
    network = PaddedNetwork().to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    training = _samples(store, splits[0], config, tracking, shift, config.seed)
    for batch in _loader(training, steps * config.batch_size, config):
        logits = network(batch["exemplar"].to(device).float(), batch["search"].to(device).float())
        loss = _loss(logits, _near(batch["box"].to(device), logits.shape[-1]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        progress()
    held_out = splits[1] if len(splits[1].sequences) or len(splits[1].stills) else splits[0]
    spread = _samples(store, held_out, config, tracking, SPREAD, config.seed + 1)
    network.eval()
    heat, found, far = torch.zeros(()), [], []
    with torch.no_grad():
        for batch in _loader(spread, pairs, config):
            logits = network(batch["exemplar"].to(device).float(), batch["search"].to(device).float())
            heat = heat + torch.sigmoid(logits).sum(dim=0).cpu()
            best = F.one_hot(logits.flatten(1).argmax(dim=1), logits[0].numel()).bool()
            near = _near(batch["box"].to(device), logits.shape[-1]).flatten(1)
            found += (best & near).any(dim=1).tolist()
            far += (batch["box"][:, :2].abs().amax(dim=1) > SPREAD / 2).tolist()
            progress()
    right, is_far = np.array(found), np.array(far)
    mean = (heat / len(found)).numpy().astype(np.float32)
    return Bias(shift, mean, _mean(right[~is_far]), _mean(right[is_far]))


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def draw_figure(biases: list[Bias], path: Path) -> None:
    """The heat maps beside each other as a PNG. Raises OutputError where it cannot be written."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(3.1 * len(biases) + 0.8, 3.6), layout="constrained")
    axes = figure.subplots(1, len(biases), squeeze=False)[0]
    top = max(float(bias.heat.max()) for bias in biases)
    half = len(biases[0].heat) * _STRIDE / 2
    for place, bias in zip(axes, biases, strict=True):
        shown = place.imshow(bias.heat, vmin=0, vmax=top, extent=(-half, half, half, -half))
        square = Rectangle((-SPREAD, -SPREAD), 2 * SPREAD, 2 * SPREAD, fill=False, ls="--", ec="white")
        place.add_patch(square)
        place.set_title(f"trained with a shift of ±{bias.shift} px", fontsize=10)
        place.set_xlabel("from the search region's centre, px")
    figure.colorbar(shown, ax=axes, label="mean response")
    figure.suptitle(f"Targets lie evenly within the dashed square (±{SPREAD:.0f} px)", fontsize=10)
    output = Unfinished(path)
    try:
        figure.savefig(output.begin(), format="png", dpi=130)
        output.publish()
    finally:
        output.discard()
