"""The training loop: from a configuration to checkpoints, a log and weights."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.checkpoint import load_state, read_checkpoint, save_weights
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.training.config import (
    AugmentationConfig,
    PairConfig,
    RunConfig,
    TrainConfig,
    TrainConfigError,
)
from siam_tracker_ros.training.crew import Crew, join_crew
from siam_tracker_ros.training.ema import WeightAverage
from siam_tracker_ros.training.imagenet_backbone import imagenet_backbone_state
from siam_tracker_ros.training.pairs import Split, split_tracks
from siam_tracker_ros.training.prepare import open_store
from siam_tracker_ros.training.run_log import RunLog
from siam_tracker_ros.training.sample_picture import UInt8, sample_picture
from siam_tracker_ros.training.samples import PairSamples, PlannedSamples, packed_batch, rendered_batch
from siam_tracker_ros.training.schedule import learning_rate
from siam_tracker_ros.training.step import Backbone, Batch, FrozenBackbone, Respond, batch_losses, respond
from siam_tracker_ros.training.target_store import TargetStore
from siam_tracker_ros.training.validation import Validation, validate

logger = logging.getLogger(__name__)

# Held-out pairs are drawn with a seed of their own, the same in every run.
_VALIDATION_SEED = 20_200_619


class TrainingStoppedError(SiamTrackerError, RuntimeError):
    """Training cannot go on: a loss is not finite, or a sample cannot be made.

    The message names the step, the items and the last good checkpoint.
    """


def build_network(entry: ZooEntry, config: TrainConfig) -> SiameseNetwork:
    """The entry's network, seeded, with the weights it starts from."""
    torch.manual_seed(config.seed)
    network = SiameseNetwork(entry.model)
    if config.imagenet_backbone is not None:
        source = read_checkpoint(Path(config.imagenet_backbone))
        state = {f"backbone.{k}": v for k, v in imagenet_backbone_state(source.state).items()}
        load_state(network, network.state_dict() | state, config.imagenet_backbone)
    if config.start_from is not None:
        load_state(network, read_checkpoint(Path(config.start_from)).state, config.start_from)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _set_modes(network: SiameseNetwork, opened: tuple[int, ...], norms_learn: bool) -> None:
    """Heads train; of the backbone's layers only `opened` learn, their statistics if `norms_learn`."""
    network.train()
    network.backbone.eval()
    network.backbone.requires_grad_(False)
    for module in (module for layer in opened for module in network.backbone.layer(layer)):
        module.requires_grad_(True).train(norms_learn)


def _parameter_groups(network: SiameseNetwork, config: TrainConfig) -> list[dict[str, Any]]:
    heads: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if not name.startswith("backbone."):
            # Weight decay is for weights that multiply inputs, not for biases and batch norms.
            (heads if parameter.dim() > 1 else norms).append(parameter)
    groups = [
        {"params": heads, "weight_decay": config.optimiser.weight_decay, "share": 1.0},
        {"params": norms, "weight_decay": 0.0, "share": 1.0},
    ]
    opened = [
        p for layer in config.optimiser.backbone_layers
        for module in network.backbone.layer(layer) for p in module.parameters()
    ]  # fmt: skip
    if not heads and not norms and (not opened or config.optimiser.backbone_opens_at > 0):
        raise TrainConfigError(
            f"{config.model} has no weights outside its backbone: optimiser.backbone_layers must open some "
            "of its layers, and optimiser.backbone_opens_at must be 0"
        )
    if opened:
        groups.append({"params": opened, "weight_decay": 0.0, "share": config.optimiser.backbone_rate})
    return groups


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def augments_on_device(run: RunConfig, device: torch.device) -> bool:
    """Whether crops are made on the device that trains."""
    return run.augment_on == "device" or (run.augment_on == "auto" and device.type == "cuda")


def sample_batches(samples: PairSamples, config: TrainConfig, first_step: int, crew: Crew) -> Iterator[Batch]:
    """This process's batches of the steps from `first_step` to the last, for `rendered_batch`."""
    size = config.batch_size
    numbers = [
        number
        for step in range(first_step, config.steps)
        for number in range((step * crew.size + crew.rank) * size, (step * crew.size + crew.rank + 1) * size)
    ]
    on_device = augments_on_device(config.run, crew.device)
    loader: DataLoader[Any] = DataLoader(
        PlannedSamples(samples) if on_device else samples,
        batch_size=config.batch_size,
        sampler=numbers,
        collate_fn=packed_batch if on_device else None,
        num_workers=config.run.workers,
        worker_init_fn=_start_worker,
        prefetch_factor=4 if config.run.workers else None,
        pin_memory=crew.device.type == "cuda",
    )
    return iter(loader)


def validation_batches(
    store: TargetStore, held_out: Split, config: TrainConfig, entry: ZooEntry
) -> list[Batch]:
    """The held-out pairs, the same every time: shifted and scaled as in training, colours as they are."""
    plain = dataclasses.replace(
        config,
        pairs=PairConfig(sequence_share=0.6, frame_range=config.pairs.frame_range, negative_share=0.0),
        augmentation=AugmentationConfig(
            rotation_deg=0, flip=0, grey=0, shared_colour=0, own_colour=0, blur=0, low_resolution=0,
            composition=0, paste=0,
        ),
    )  # fmt: skip
    samples = PairSamples(store, held_out, plain, entry.tracking, _VALIDATION_SEED)
    return [
        torch.utils.data.default_collate([samples[i] for i in range(start, start + config.batch_size)])
        for start in range(0, config.run.validation_pairs, config.batch_size)
    ]


def _to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def _autocast(run: RunConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bf16")


def _last_line(error: Exception) -> str:
    """What an error says; of one from a loader's worker, which comes with its traceback, the end."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    # A run that is killed while it writes must leave the checkpoint before whole.
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train(config: TrainConfig) -> Path:
    """Run `config`, or go on with it where `<folder>/checkpoint.pt` was left; returns the weights' path.

    Writes into `run.folder`: `checkpoint.pt` and `<model>.safetensors` (the averaged weights) at every
    checkpoint, and what `RunLog` keeps. Raises TrainingStoppedError where a loss or gradient is not finite or
    a sample cannot be made.
    """
    with contextlib.ExitStack() as closing:
        return _train(config, closing)


def _train(config: TrainConfig, closing: contextlib.ExitStack) -> Path:
    """`train`, with what has to be closed at its end, however it ends, given to `closing`."""
    entry = get_entry(config.model)
    run = config.run
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    crew = join_crew(run.device)
    device = crew.device
    store = open_store(config.data)
    training, held_out = split_tracks(store, config.data)
    samples = PairSamples(store, training, config, entry.tracking, config.seed)
    checks: list[Batch] = []
    if crew.leads and run.validation_pairs and (len(held_out.sequences) or len(held_out.stills)):
        checks = [_to_device(b, device) for b in validation_batches(store, held_out, config, entry)]

    network = build_network(entry, config).to(device)
    optimiser = torch.optim.AdamW(_parameter_groups(network, config), lr=config.optimiser.rate)
    average = WeightAverage(network, config.optimiser.ema_decay)
    first_step, spent = 0, 0.0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.network.load_state_dict(state["average"])
        average.updates = state["updates"]
        optimiser.load_state_dict(state["optimiser"])
        first_step, spent = state["step"], state["seconds"]
        logger.info("going on from step %d", first_step)

    weights = folder / f"{entry.name}.safetensors"
    log = closing.enter_context(RunLog(folder, first_step, run.tensorboard)) if crew.leads else None
    responder: Respond = torch.compile(respond, dynamic=False) if run.compiled else respond
    frozen_type = torch.bfloat16 if run.precision == "bf16" else torch.float32

    def frozen_backbone() -> Backbone:
        return FrozenBackbone(network.backbone, frozen_type, run.compiled)

    opened: tuple[int, ...] = ()
    _set_modes(network, opened, config.optimiser.backbone_norms)
    backbone = frozen_backbone()
    started = time.monotonic() - spent
    budget = config.optimiser.budget_minutes
    recent: list[dict[str, float]] = []
    last_log = time.monotonic()
    bar = closing.enter_context(
        tqdm(
            total=config.steps,
            initial=first_step,
            desc=entry.name,
            unit="step",
            mininterval=10,
            disable=not crew.leads,
        )
    )

    def save(step: int) -> None:
        if not crew.leads:
            return
        _save_checkpoint(
            checkpoint,
            {
                "network": network.state_dict(),
                "average": average.network.state_dict(),
                "updates": average.updates,
                "optimiser": optimiser.state_dict(),
                "step": step,
                "seconds": time.monotonic() - started,
            },
        )
        save_weights(average.network, weights, entry.name)

    def stopped(what: str, pairs: list[list[int]] | None = None) -> TrainingStoppedError:
        items = "; ".join(f"{store.name(e)} -> {store.name(s)}" for e, s, _ in pairs or [])
        of = f"; the batch: {items}" if items else ""
        last = f"{checkpoint}, {weights}" if checkpoint.is_file() else "none yet"
        return TrainingStoppedError(f"{what} at step {step}{of}; last good checkpoint: {last}")

    def of_average() -> Backbone:
        return average.network.backbone if opened else backbone

    def check() -> Validation:
        with _autocast(run, device):
            return validate(
                average.network, of_average(), checks, samples.anchors,
                entry.tracking.anchors.stride, entry.tracking.mask_threshold,
            )  # fmt: skip

    def picture(batch: Batch) -> UInt8:
        with _autocast(run, device):
            return sample_picture(
                average.network, of_average(), batch, samples.anchors,
                entry.tracking.anchors.stride, entry.tracking.mask_threshold,
            )  # fmt: skip

    step = first_step
    batches = sample_batches(samples, config, first_step, crew)
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            # Whatever ails a sample, its reader or its worker: the run's state is what the user needs.
            raise stopped(f"a sample cannot be made ({_last_line(error)})") from error
        if batch is None:
            break
        elapsed = crew.of_leader(time.monotonic() - started)
        progress = elapsed / (60 * budget) if budget is not None else step / config.steps
        if progress >= 1:
            break
        wanted = config.optimiser.backbone_layers if progress >= config.optimiser.backbone_opens_at else ()
        if wanted != opened:
            opened = wanted
            _set_modes(network, opened, config.optimiser.backbone_norms)
            backbone = network.backbone if opened else frozen_backbone()
        rate = learning_rate(config.optimiser, step, progress)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        batch = rendered_batch(_to_device(batch, device))
        with _autocast(run, device):
            losses = batch_losses(network, backbone, batch, config.losses, responder)
        values = losses.items()
        if not math.isfinite(values["total"]):
            raise stopped(f"the loss is not finite ({values})", batch["pair"].tolist())
        optimiser.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        trained = [p for p in network.parameters() if p.requires_grad]
        crew.average_gradients(trained)
        norm = nn.utils.clip_grad_norm_(trained, config.optimiser.gradient_clip)
        if not math.isfinite(float(norm)):
            raise stopped("the gradient is not finite", batch["pair"].tolist())
        optimiser.step()
        average.update(network)
        step += 1
        recent.append(values | {"grad_norm": float(norm)})
        bar.update()

        validates = checks and (step % run.validate_every == 0 or step == config.steps)
        if log is not None and (step % run.log_every == 0 or validates):
            now = time.monotonic()
            row: dict[str, Any] = {
                "step": step,
                "minutes": (now - started) / 60,
                "rate": rate,
                "pairs_per_s": len(recent) * config.batch_size * crew.size / (now - last_log),
            }
            row |= {key: sum(r[key] for r in recent) / len(recent) for key in recent[0]}
            if validates:
                result = check()
                row |= {
                    "val_iou": result.top1_iou,
                    "val_success50": result.success50,
                    "val_mask_iou": result.mask_iou,
                }
            log.write(row)
            bar.set_postfix_str(" ".join(f"{k} {row[k]:.3f}" for k in ("cls", "loc", "mask")))
            recent, last_log = [], time.monotonic()
        if log is not None and (step % run.picture_every == 0 or step == config.steps):
            log.picture(picture(checks[0] if checks else batch), step)
        if step % run.checkpoint_every == 0:
            save(step)
    save(step)
    return weights
