"""What int8 needs to know of a network: ranges and biases, kept in a file beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError

SUFFIX = ".int8.json"


class QuantisationError(SiamTrackerError, ValueError):
    """A calibration that is missing, damaged, or of another network."""


@dataclass(frozen=True)
class Rounding:
    """What one convolution needs: the range of its inputs, and its bias, with batch norm, corrected."""

    low: float
    high: float
    bias: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """How the search side of one network is rounded: by the name of the convolution.

    `frames` is how many search regions it was observed on; `weights_sha256` the file of the weights.
    """

    weights_sha256: str
    frames: int
    convolutions: dict[str, Rounding]


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON."""
    content = asdict(calibration)
    for each in content["convolutions"].values():
        each["bias"] = [float(f"{value:.6g}") for value in each["bias"]]
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration. Raises QuantisationError for a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        convolutions = {
            str(name): Rounding(float(each["low"]), float(each["high"]), tuple(map(float, each["bias"])))
            for name, each in content["convolutions"].items()
        }
        return Calibration(str(content["weights_sha256"]), int(content["frames"]), convolutions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuantisationError(f"{path} is no int8 calibration: {error!r}") from error
