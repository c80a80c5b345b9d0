"""Reading weights: PySOT and original SiamMask checkpoints, and this package's safetensors.

Only tensors are ever read from a file (`weights_only`): a pickle with code in it is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO, get_entry


class CheckpointError(SiamTrackerError, ValueError):
    """A weight file that cannot be read or does not fit the network."""


class AmbiguousModelError(SiamTrackerError, ValueError):
    """Weights that fit several zoo entries, or none, and no word of which is meant."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by PySOT key, and the zoo entry that the file says it is for, if it says so."""

    state: dict[str, Tensor]
    entry_name: str | None


# Key prefixes of the original SiamMask, SiamDW and DaSiamRPN code -> PySOT's; the first that fits is used.
_ORIGINAL_PREFIXES = (
    ("features.features.", "backbone."),
    ("features.downsample.", "neck.downsample."),
    ("rpn_model.", "rpn_head."),
    ("mask_model.mask.", "mask_head."),
    ("refine_model.", "refine_head."),
    ("featureExtract.", "backbone.features."),
    ("connect_model.template_cls.", "rpn_head.template_cls_conv."),
    ("connect_model.template_reg.", "rpn_head.template_loc_conv."),
    ("connect_model.search_cls.", "rpn_head.search_cls_conv."),
    ("connect_model.search_reg.", "rpn_head.search_loc_conv."),
    ("connect_model.adjust.", "rpn_head.loc_adjust."),
    ("conv_cls1.", "rpn_head.template_cls_conv."),
    ("conv_r1.", "rpn_head.template_loc_conv."),
    ("conv_cls2.", "rpn_head.search_cls_conv."),
    ("conv_r2.", "rpn_head.search_loc_conv."),
    ("regress_adjust.", "rpn_head.loc_adjust."),
)
# Keys under which training scripts wrap the state dict.
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_SHOWN_KEYS = 8


def _pysot_key(key: str) -> str:
    key = key.removeprefix("module.")
    for theirs, ours in _ORIGINAL_PREFIXES:
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def normalise_state(raw: Mapping[str, object], origin: str) -> dict[str, Tensor]:
    """State dict with PySOT's keys out of what a checkpoint holds: unwrapped, prefixes resolved.

    `origin` names the file in the error. Raises CheckpointError where there is no state dict in it.
    """
    for wrapper in _WRAPPERS:
        inner = raw.get(wrapper)
        if isinstance(inner, Mapping):
            raw = inner
            break
    state = {_pysot_key(key): value for key, value in raw.items() if isinstance(value, Tensor)}
    if not state:
        found = ", ".join(str(key) for key in list(raw)[:_SHOWN_KEYS]) or "nothing"
        raise CheckpointError(f"{origin} holds no tensors by name; its top level has: {found}")
    return state


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a `.safetensors` file or a torch checkpoint (any other suffix).

    Raises CheckpointError where the file is missing, damaged, or holds anything but tensors and plain
    containers.
    """
    if not path.is_file():
        raise CheckpointError(f"no weight file at {path}")
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
            state = safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
        return Checkpoint(normalise_state(state, str(path)), metadata.get("entry"))
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was refused: it is no torch checkpoint, or it holds more than weights "
            f"(objects or code), which is never loaded: {str(error).splitlines()[0]}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or no torch checkpoint: {error}") from error
    if not isinstance(raw, Mapping):
        raise CheckpointError(f"{path} holds a {type(raw).__name__}, not a state dict")
    return Checkpoint(normalise_state(raw, str(path)), None)


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in network.state_dict().items()}


def _is_counter(key: str) -> bool:
    # Checkpoints written before torch 0.4.1 lack it, and inference never reads it.
    return key.endswith("num_batches_tracked")


@dataclass(frozen=True)
class Misfit:
    """How a state dict differs from what a network expects."""

    missing: list[str]
    unexpected: list[str]
    wrong_shape: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        parts = []
        for title, keys in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("wrong shape", self.wrong_shape),
        ):
            if keys:
                more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
                parts.append(f"{len(keys)} {title}: {', '.join(keys[:_SHOWN_KEYS])}{more}")
        return "; ".join(parts)


def compare_state(expected: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> Misfit:
    """What of `state` does not fit `expected`, keys sorted; batch-norm counters may be absent."""
    return Misfit(
        missing=sorted(k for k in expected.keys() - state.keys() if not _is_counter(k)),
        unexpected=sorted(state.keys() - expected.keys()),
        wrong_shape=sorted(
            f"{k} {tuple(state[k].shape)} for {tuple(expected[k])}"
            for k in expected.keys() & state.keys()
            if state[k].shape != expected[k]
        ),
    )


def fitting_entries(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the zoo entries whose network `state` fits exactly."""
    fits_by_model = {}
    for entry in ZOO.values():
        if entry.model not in fits_by_model:
            with torch.device("meta"):
                expected = _shapes(SiameseNetwork(entry.model))
            fits_by_model[entry.model] = not compare_state(expected, state)
    return [entry.name for entry in ZOO.values() if fits_by_model[entry.model]]


def entry_of(checkpoint: Checkpoint, model: str | None, origin: str) -> ZooEntry:
    """The zoo entry that `checkpoint` is for: `model` if given, else what the file says or alone fits.

    Raises UnknownModelError, or AmbiguousModelError where several entries fit, or none.
    """
    name = model or checkpoint.entry_name
    if name is None:
        fitting = fitting_entries(checkpoint.state)
        if len(fitting) != 1:
            what = f"fits {', '.join(fitting)}" if fitting else "fits no entry of the zoo"
            raise AmbiguousModelError(f"{origin} {what}: say which model it is for")
        name = fitting[0]
    return get_entry(name)


def load_state(network: SiameseNetwork, state: Mapping[str, Tensor], origin: str) -> None:
    """Load `state` into `network`, strictly; half-precision tensors are widened to the network's type.

    Raises CheckpointError that lists what is missing, unexpected or of the wrong shape, and names the zoo
    entries that would fit.
    """
    misfit = compare_state(_shapes(network), state)
    if misfit:
        fitting = fitting_entries(state)
        hint = f"it fits {', '.join(fitting)}" if fitting else "it fits no entry of the zoo"
        raise CheckpointError(f"{origin} does not fit this network ({misfit}); {hint}")
    for key, value in network.state_dict().items():
        if key not in state:
            continue
        if state[key].is_floating_point() and not torch.isfinite(state[key]).all():
            raise CheckpointError(f"{origin} has values that are not finite in {key}")
        value.copy_(state[key])


def save_weights(
    network: SiameseNetwork, path: Path, entry_name: str, dtype: torch.dtype = torch.float16
) -> None:
    """Write the weights of `network` as safetensors of `dtype` that name their zoo entry."""
    state = {
        key: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
        if not _is_counter(key)
    }
    # Written as any file is: the library's own writer would leave it readable to its owner alone.
    path.write_bytes(safetensors.torch.save(state, metadata={"entry": entry_name}))
