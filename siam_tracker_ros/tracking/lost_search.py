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

    Its side is `zoom` usual ones. `sure` counts the looks in succession, before this one, that were sure of
    the target here.
    """

    box: CenterBox
    reason: Reason
    zoom: float = 1.0
    sure: int = 0


@dataclass(frozen=True)
class Sighting:
    """The box that a look showed, px of the frame, and how sure it was of it (0..1).

    `sure` counts the looks in succession that were sure of the target there.
    """

    box: CenterBox
    confidence: float
    sure: int = 0

    @property
    def rank(self) -> tuple[int, float]:
        """Sightings of the highest rank are looked at again."""
        return self.sure, self.confidence


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

    The target is found where a look at the usual scale is sure of it, above `high`, and so were the looks
    at the same place before it, `config.sure_looks` in all. A box that is not a number has
    a confidence of 0, and is not looked at again.
    """
    seen = [
        Sighting(box, confidence, _sure_looks(look, box) if confidence > high else 0)
        for look, box, confidence in zip(search.looks, boxes, confidences, strict=True)
    ]
    best = max(range(len(seen)), key=lambda index: (seen[index].sure, confidences[index]))
    if seen[best].sure >= config.sure_looks:
        return Verdict(best, True, None)
    # What a second look was not sure of is not looked at a third time.
    again = [
        sighting
        for look, sighting in zip(search.looks, seen, strict=True)
        if all(map(math.isfinite, sighting.box)) and (look.reason != "sighted" or sighting.sure)
    ]
    if search.sighting is not None:
        again.append(search.sighting)
    return Verdict(best, False, max(again, key=lambda sighting: sighting.rank, default=None))


def _sure_looks(look: Look, box: CenterBox) -> int:
    """How many looks in succession have been sure of the same place, if this one is sure of `box`."""
    if look.reason == "swept":
        return 0
    near = math.dist(box[:2], look.box[:2]) < math.sqrt(look.box.w * look.box.h)
    return look.sure + 1 if near or not look.sure else 1


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
    if sighting is not None and (sighting.sure or turn % 2):
        x, y = (max(0.0, min(at, length)) for at, length in zip(sighting.box[:2], frame_size, strict=True))
        place = predicted._replace(cx=x, cy=y)
        looks.append(Look(place, "sighted", sure=sighting.sure))
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
