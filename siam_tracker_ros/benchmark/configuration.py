"""What one figure of a benchmark is about: a tracker, what runs it, and what it is given to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

PYSOT, OPENCV = "pysot", "opencv"
"""Engines that are other people's trackers: PySOT's own code, and OpenCV's."""


@dataclass(frozen=True)
class Configuration:
    """A zoo entry with its engine and precision, or a tracker of others; `targets` of them in each frame.

    `model` is a zoo entry, also where `engine` is `pysot`; where it is `opencv`, it is a tracker as
    `siam-tracker eval --tracker` names it. `width` and `height` are the frame's, px.
    """

    model: str
    engine: str
    precision: str
    device: str = "cpu"
    width: int = 640
    height: int = 480
    targets: int = 1

    @property
    def ours(self) -> bool:
        """Whether it is this package's tracker."""
        return self.engine not in (PYSOT, OPENCV)

    @property
    def size(self) -> str:
        """The frame's size, as it is given on the command line."""
        return f"{self.width}x{self.height}"

    @property
    def runner(self) -> str:
        """What runs it, for a table's head."""
        if self.engine == PYSOT:
            return "PySOT"
        return "OpenCV" if self.engine == OPENCV else f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Matrix:
    """Every combination of what is listed; a runner is an engine and a precision."""

    models: Sequence[str]
    runners: Sequence[tuple[str, str]]
    device: str
    sizes: Sequence[tuple[int, int]]
    targets: Sequence[int]

    def configurations(self) -> list[Configuration]:
        """In the order of the rows of a table: models, then sizes, then targets, then runners."""
        return [
            Configuration(model, engine, precision, self.device, width, height, targets)
            for model, (width, height), targets, (engine, precision) in product(
                self.models, self.sizes, self.targets, self.runners
            )
        ]


def runners(engines: Iterable[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """Engines with each of `precisions`; one written `engine:precision` has that one alone."""
    found: dict[tuple[str, str], None] = {}
    for text in engines:
        engine, colon, precision = text.partition(":")
        for each in [precision] if colon else precisions:
            found[engine, each] = None
    return list(found)
