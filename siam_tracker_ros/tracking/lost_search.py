"""Where a lost target is looked for: a few windows of the usual size a frame, so that its cost is bounded.

One window stays with the most likely place. The others sweep the frame around it in ever wider circuits,
zoomed out: a coarse look ranks places well, though it is sure of none. What looks most like the target is
looked at again at the usual scale, and is believed only there, as SPLT skims and then verifies (Yan et al.,
ICCV 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from siam_tracker_ros.models.config import ScanConfig
from siam_tracker_ros.tracking.boxes import CenterBox

Reason = Literal["predicted", "sighted", "swept"]


@dataclass(frozen=True)
class Look:
    """One window of a frame, around the centre of `box` (px of the frame), which has the target's size.

    Its side is `zoom` usual ones. `trust` is what the looks at this place before this one have earned it, of
    which `again` were at a sighting.
    """

    box: CenterBox
    reason: Reason
    zoom: float = 1.0
    trust: float = 0.0
    again: int = 0


@dataclass(frozen=True)
class Sighting:
    """The box that a look showed, px of the frame, and how sure it was of it (0..1).

    `trust` is what the looks at it in succession have earned it, `again` how often it was looked at again.
    """

    box: CenterBox
    confidence: float
    trust: float = 0.0
    again: int = 0

    @property
    def rank(self) -> tuple[float, float]:
        """Sightings of the highest rank are looked at again."""
        return self.trust, self.confidence


@dataclass(frozen=True)
class LostSearch:
    """How far the search for one target has come.

    `looks` are the windows of the next frame, `sighting` what has its turn to be looked at again. `ahead` are
    the places (x, y), px of the frame, that the present sweep has left; `frames` and `sweeps` count what has
    been planned.
    """

    looks: tuple[Look, ...]
    sighting: Sighting | None = None
    ahead: tuple[tuple[float, float], ...] = ()
    frames: int = 0
    sweeps: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the looks of a frame say: the index of the one that counts, whether it has found the target, and
    what should be looked at again otherwise."""

    look: int
    found: bool
    sighting: Sighting | None


def judge(
    search: LostSearch,
    boxes: Sequence[CenterBox],
    confidences: Sequence[float],
    high: float,
    config: ScanConfig,
) -> Verdict:
    """Weigh what the looks of `search` have shown: a box each, px of the frame, and a confidence, 0..1.

    Every look at the usual scale earns a place what its confidence is above `config.hold`, and one below ends
    it. The target is found where looks in succession have earned as much as `config.sure_looks` that are
    just sure, above `high`: fewer very sure ones do not do. A box that is not a number has a confidence of 0,
    and is not looked at again.
    """
    seen = [
        Sighting(
            box,
            confidence,
            _trust(look, box, confidence, high, config.hold),
            look.again + 1 if look.reason == "sighted" else 0,
        )
        for look, box, confidence in zip(search.looks, boxes, confidences, strict=True)
    ]
    best = max(range(len(seen)), key=lambda index: (seen[index].trust, confidences[index]))
    if seen[best].trust >= config.sure_looks * (high - config.hold):
        return Verdict(best, True, None)
    # A second look that says little ends it, and nothing keeps the search to itself for long.
    again = [
        sighting
        for sighting in seen
        if all(map(math.isfinite, sighting.box))
        and (not sighting.again or (config.hold < sighting.confidence and sighting.again < config.patience))
    ]
    if search.sighting is not None:
        again.append(search.sighting)
    return Verdict(best, False, max(again, key=lambda sighting: sighting.rank, default=None))


def _trust(look: Look, box: CenterBox, confidence: float, high: float, hold: float) -> float:
    """What the looks in succession at one place, this one, which shows `box`, included, have earned it."""
    if look.reason == "swept" or confidence <= hold:
        return 0.0
    near = math.dist(box[:2], look.box[:2]) < math.sqrt(look.box.w * look.box.h)
    return (look.trust if near else 0.0) + min(confidence, high) - hold


def plan_looks(
    before: LostSearch | None,
    sighting: Sighting | None,
    predicted: CenterBox,
    side: float,
    frame_size: tuple[int, int],
    config: ScanConfig,
) -> LostSearch:
    """The looks of the next frame, after `before` (None: the target has just been lost) and its verdict.

    `predicted` is the target's box, `side` that of its usual window, px of the frame, whose width and height
    are `frame_size`.
    """
    frames = before.frames + 1 if before is not None else 0
    ahead, sweeps = (before.ahead, before.sweeps) if before is not None else ((), 0)
    looks: list[Look] = []
    # A single window takes turns with itself.
    turn, sweeping = (frames, config.windows - 1) if config.windows > 1 else divmod(frames, 2)
    if sighting is not None and (sighting.confidence > config.hold or turn % 2):
        x, y = (max(0.0, min(at, length)) for at, length in zip(sighting.box[:2], frame_size, strict=True))
        place = predicted._replace(cx=x, cy=y)
        looks.append(Look(place, "sighted", trust=sighting.trust, again=sighting.again))
        sighting = None
    elif len(looks) + sweeping < config.windows:
        looks.append(Look(predicted, "predicted"))
    while len(looks) < config.windows:
        if not ahead:
            ahead = _sweep(predicted, side, sweeps, frame_size, config)
            sweeps += 1
        (x, y), ahead = ahead[0], ahead[1:]
        looks.append(Look(predicted._replace(cx=x, cy=y), "swept", config.zoom))
    return LostSearch(tuple(looks), sighting, ahead, frames, sweeps)


def _sweep(
    around: CenterBox, side: float, number: int, frame_size: tuple[int, int], config: ScanConfig
) -> tuple[tuple[float, float], ...]:
    """Centres of the windows that cover the surroundings of a place, nearest first.

    Each sweep reaches farther than the one before it; after the one that covers the frame they begin anew.
    """
    farthest = max(max(at, length - at) for at, length in zip(around[:2], frame_size, strict=True))
    widest = math.ceil(math.log(max(farthest / (config.reach * side), 1.0), config.growth))
    reach = config.reach * side * config.growth ** (number % (widest + 1))
    step = config.step * config.zoom * side
    columns, rows = (
        _spread(max(at - reach, 0.0), min(at + reach, length), step)
        for at, length in zip(around[:2], frame_size, strict=True)
    )
    places = [(x, y) for y in rows for x in columns]
    return tuple(sorted(places, key=lambda place: math.dist(place, around[:2])))


def _spread(low: float, high: float, step: float) -> list[float]:
    """Middles of the equal parts, of `step` at most, that [low, high] falls into."""
    count = max(1, math.ceil((high - low) / step))
    return [low + (index + 0.5) * (high - low) / count for index in range(count)]
