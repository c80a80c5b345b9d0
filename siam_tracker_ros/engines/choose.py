"""Which engine `auto` is: the one that was measured to be the fastest here, of those whose accuracy is held.

Measured once for each machine, network and set of engines, and remembered in `choices_file()`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from siam_tracker_ros.engines import openvino_runtime
from siam_tracker_ros.engines.build import build_engine
from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.graph_store import cache_folder, network_key
from siam_tracker_ros.engines.names import ENGINES, PRECISIONS, EngineName, Precision
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.processor import processor_name
from siam_tracker_ros.version import version

logger = logging.getLogger(__name__)

ENGINE_ENV = "SIAM_TRACKER_ENGINE"
"""What `auto` is, in place of the fastest: ENGINE or ENGINE:PRECISION."""

_ROUNDS = 4
_IN_A_ROW = 4
_REMEMBERED = 64


class Candidate(NamedTuple):
    """An engine in one precision."""

    engine: EngineName
    precision: Precision

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Choice:
    """What was chosen on `day` of what was measured: ms of a search (`fastest_ms`), by candidate."""

    engine: EngineName
    precision: Precision
    ms: dict[str, float]
    model: str
    processor: str
    day: str

    def __str__(self) -> str:
        chosen = f"{self.engine} {self.precision}"
        others = ", ".join(f"{name} {ms:.1f}" for name, ms in self.ms.items() if name != chosen)
        return (
            f"{chosen}, the fastest here: {self.ms[chosen]:.1f} ms a search ({others}; measured {self.day})"
        )


def choices_file() -> Path:
    """Where choices are remembered. It may be deleted at any time: then they are measured again."""
    return cache_folder() / "engines.json"


def choose_engine(
    engine: EngineName, entry: ZooEntry, network: SiameseNetwork, device: torch.device, precision: Precision
) -> tuple[Engine, str]:
    """The engine that is meant, running `network`, and words on what was chosen and why.

    Raises EngineUnavailableError where none can do what is asked, ValueError for a precision that does not
    exist.
    """
    reason = "as asked"
    if engine == "auto" and os.environ.get(ENGINE_ENV):
        engine, asked = _from_environment(os.environ[ENGINE_ENV])
        precision = asked if precision == "auto" else precision
        reason = f"as {ENGINE_ENV} says"
    options = candidates(engine, precision, device, network.calibration is not None)
    if len(options) > 1:
        return _fastest(options, entry, network, device)
    (option,) = options
    built = build_engine(option.engine, entry, network, device, option.precision)
    if engine == "auto":
        reason = _why_alone(device)
    return built, f"{built.name} {built.precision}, {reason}"


def candidates(
    engine: EngineName, precision: Precision, device: torch.device, calibrated: bool = False
) -> list[Candidate]:
    """What is to be measured: engines that are installed here, in precisions whose accuracy is held.

    That of int8 is where the network was `calibrated` for it.
    One alone is not measured. That is so on a GPU, where PyTorch carries out the whole step as one CUDA graph
    and others take minutes to make ready, and wherever PyTorch is asked for.
    """
    if engine == "auto":
        engines: list[EngineName] = ["torch"]
        if device.type == "cpu":
            engines += [name for name in ("openvino", "onnxruntime") if find_spec(name) is not None]
    else:
        engines = [engine]
    if precision != "auto":
        return [Candidate(name, precision) for name in engines]
    return [
        Candidate(name, each)
        for name in engines
        for each in _held_precisions(name, engine, device, calibrated)
    ]


def _held_precisions(
    name: EngineName, asked: EngineName, device: torch.device, calibrated: bool
) -> Sequence[Precision]:
    if name != "openvino" or device.type != "cpu":
        return ["auto"]
    try:
        native = openvino_runtime.native_precisions()
    except EngineUnavailableError:
        if asked != "auto":
            raise
        return ["auto"]
    held: list[Precision] = ["fp32"]
    if "bf16" in native:
        held.append("bf16")
    if "int8" in native and calibrated:
        held.append("int8")
    return held


def _from_environment(text: str) -> tuple[EngineName, Precision]:
    engine, colon, precision = text.partition(":")
    if engine not in ENGINES or (colon and precision not in PRECISIONS):
        raise EngineUnavailableError(
            f"{ENGINE_ENV} is '{text}', and not ENGINE or ENGINE:PRECISION; engines are "
            f"{', '.join(ENGINES)}, precisions {', '.join(PRECISIONS)}"
        )
    return engine, cast(Precision, precision or "auto")


def _why_alone(device: torch.device) -> str:
    if device.type != "cpu":
        return "as always on a GPU unless another is asked for"
    return "the only one installed (pip install openvino: several times as fast on a CPU)"


def _fastest(
    options: Sequence[Candidate], entry: ZooEntry, network: SiameseNetwork, device: torch.device
) -> tuple[Engine, str]:
    """The fastest of `options`; what was measured before is believed."""
    key = _key(options, entry, network, device)
    choices = read_choices()
    known = choices.get(key)
    if known is not None:
        try:
            return build_engine(known.engine, entry, network, device, known.precision), str(known)
        except Exception as error:  # A library may break in its own way; then it is measured anew.
            logger.warning("%s %s was chosen before and fails now: %s", known.engine, known.precision, error)
    engines: dict[str, Engine] = {}
    failures = []
    for option in options:
        try:
            engine = build_engine(option.engine, entry, network, device, option.precision)
            engines[f"{engine.name} {engine.precision}"] = engine
        except Exception as error:  # The same: one engine that fails must not keep the others from tracking.
            failures.append(f"{option}: {error}")
            logger.warning("engine %s is left out: %s", option, error)
    if not engines:
        raise EngineUnavailableError("no engine can do what is asked; " + "; ".join(failures))
    ms = fastest_ms(engines, entry)
    chosen = engines[min(ms, key=lambda name: ms[name])]
    today = date.today().isoformat()
    names = cast(EngineName, chosen.name), cast(Precision, chosen.precision)
    choice = Choice(*names, ms, entry.name, processor_name(), today)
    _remember({**choices, key: choice})
    return chosen, str(choice)


@torch.inference_mode()
def fastest_ms(engines: Mapping[str, Engine], entry: ZooEntry) -> dict[str, float]:
    """Shortest duration of a search for one target by each engine, ms.

    They take turns, and the shortest counts, as what else the machine does must not decide.
    """
    sizes = entry.tracking
    scales = sizes.pyramid.count if sizes.pyramid is not None else 1
    exemplar, crops = _noise(1, sizes.exemplar_size), _noise(scales, sizes.instance_size)
    templates = {name: engine.template(exemplar) for name, engine in engines.items()}
    shortest = dict.fromkeys(engines, math.inf)
    for _ in range(_ROUNDS):
        for name, engine in engines.items():
            for number in range(_IN_A_ROW):
                begin = time.perf_counter()
                engine.search(templates[name], crops)
                # The first in a row may share the cores with threads that the engine before left waiting.
                if number:
                    shortest[name] = min(shortest[name], (time.perf_counter() - begin) * 1e3)
    return shortest


def _noise(count: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
    return pixels.permute(0, 3, 1, 2)


def _key(options: Sequence[Candidate], entry: ZooEntry, network: SiameseNetwork, device: torch.device) -> str:
    """All that the speeds of `options` depend on, and the weights, as hex digits."""
    facts = [
        [str(option) for option in options],
        processor_name(),
        str(device),
        torch.get_num_threads(),
        {name: _installed(name) for name in ("torch", "openvino", "onnxruntime")},
        version(),
        entry.tracking.instance_size,
        network_key(entry, network),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def read_choices() -> dict[str, Choice]:
    """What is remembered, by key, the oldest first; nothing, with a warning, of a file that is no such."""
    path = choices_file()
    try:
        text = path.read_text(encoding="utf-8")
        items: dict[str, dict[str, Any]] = json.loads(text)
        return {key: _choice(item) for key, item in items.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s cannot be read, so that engines are measured again: %r", path, error)
        return {}


def _choice(item: dict[str, Any]) -> Choice:
    choice = Choice(**item)
    if choice.ms[f"{choice.engine} {choice.precision}"] < 0:
        raise ValueError(f"{choice.ms} are no durations")
    return choice


def _remember(choices: dict[str, Choice]) -> None:
    path = choices_file()
    newest = dict(list(choices.items())[-_REMEMBERED:])
    text = json.dumps({key: asdict(choice) for key, choice in newest.items()}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as part:
            part.write(text)
        Path(part.name).replace(path)
    except OSError as error:
        logger.warning("%s cannot be written, so that engines are measured at each start: %s", path, error)


def forget_choices() -> None:
    """Let engines be measured again. Raises OSError."""
    choices_file().unlink(missing_ok=True)
