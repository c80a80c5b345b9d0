"""Drawing results into a frame. Pure: an image and results in, a new image out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.tracking.result import TargetMask, TrackResult, TrackState

Colour = tuple[int, int, int]

# Okabe and Ito's palette, BGR: told apart with any kind of colour vision. The word and the line say it too.
STATE_COLOURS: Mapping[TrackState, Colour] = MappingProxyType(
    {
        TrackState.ACQUIRING: (233, 180, 86),
        TrackState.TRACKING: (115, 158, 0),
        TrackState.UNCERTAIN: (66, 228, 240),
        TrackState.COASTING: (167, 121, 204),
        TrackState.LOST: (0, 94, 213),
    }
)
# States in which the box is a guess: drawn dashed, without a mask.
_UNSEEN = frozenset({TrackState.COASTING, TrackState.LOST})

_FONT = cv2.FONT_HERSHEY_DUPLEX
_TEXT_COLOUR: Colour = (255, 255, 255)
_SHADE: Colour = (24, 20, 18)
_SHADE_OPACITY = 0.72
_MASK_OPACITY = 0.38
# Bits of a px that OpenCV draws lines to.
_SHIFT = 4
_FAR = 1e5


class _Rect(NamedTuple):
    """Whole px: left, top, and one past right and bottom."""

    x0: int
    y0: int
    x1: int
    y1: int

    def overlap(self, other: _Rect) -> int:
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(width, 0) * max(height, 0)


@dataclass(frozen=True)
class _Style:
    """Sizes in px that suit a frame: line width, height of a capital, space around text, bar height."""

    line: int
    text: int
    pad: int
    bar: int


def _style_for(width: int, height: int) -> _Style:
    short = min(width, height)
    text = max(8, round(short / 42))
    line = max(1 if short < 160 else 2, round(short / 260))
    return _Style(line, text, pad=max(3, round(text * 0.5)), bar=max(3, round(text * 0.36)))


def draw_results(
    image: Image,
    results: Mapping[str, TrackResult],
    heading: str = "",
    trails: Mapping[str, Sequence[tuple[float, float]]] = MappingProxyType({}),
) -> Image:
    """A copy of `image` [H, W, 3] BGR uint8 with `results` by target id, and `heading` in a free corner.

    Each target has its box, its rotated box and mask where there are any, and a plate with state and
    confidence (and id, where there are several targets), all in the colour of its state. Lines lie around the
    target and plates beside it, within the frame; sizes follow the frame's. What has no room is left out.
    `trails` are the centres of targets in earlier frames, px, oldest first: drawn as lines up to their boxes.
    """
    drawn: Image = image.copy()
    height, width = drawn.shape[:2]
    style = _style_for(width, height)
    for result in results.values():
        if result.mask is not None and result.state not in _UNSEEN:
            _tint(drawn, result.mask, STATE_COLOURS[result.state], style)
    extents = [_extent(result, style) for result in results.values()]
    for (target_id, result), around in zip(results.items(), extents, strict=True):
        _trail(drawn, trails.get(target_id, ()), around, STATE_COLOURS[result.state], style)
    for result in results.values():
        _outline(drawn, result, style)

    plates: list[_Rect] = []
    if heading:
        plate = _Plate(heading, None, _TEXT_COLOUR)
        plates += _place(plate, style, _corners(plate, style, width, height), extents, plates, drawn)
    for (target_id, result), around in zip(results.items(), extents, strict=True):
        name = f"{target_id}  " if len(results) > 1 else ""
        text = f"{name}{result.state.name} {result.confidence:.2f}"
        plate = _Plate(text, result.confidence, STATE_COLOURS[result.state])
        places = [
            *_beside(plate, style, around, width, height),
            *_corners(plate, style, width, height),
        ]
        plates += _place(plate, style, places, extents, plates, drawn)
    return drawn


def _tint(image: Image, mask: TargetMask, colour: Colour, style: _Style) -> None:
    if not mask.crop.any():
        return
    rows, cols = mask.crop.shape
    region = image[mask.y : mask.y + rows, mask.x : mask.x + cols]
    tinted = cv2.addWeighted(region, 1 - _MASK_OPACITY, np.full_like(region, colour), _MASK_OPACITY, 0)
    cv2.copyTo(tinted, mask.crop.view(np.uint8), region)
    contours, _ = cv2.findContours(
        mask.crop.view(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_SIMPLE,
        offset=(mask.x, mask.y),
    )
    cv2.drawContours(image, contours, -1, colour, max(1, style.line // 2), cv2.LINE_AA)


def _trail(
    image: Image, points: Sequence[tuple[float, float]], around: _Rect, colour: Colour, style: _Style
) -> None:
    """A line through `points` that grows towards the newest, and ends where the target begins."""
    at = np.clip(np.array(points, dtype=np.float64).reshape(-1, 2), -_FAR, _FAR)
    outside = (at < (around.x0, around.y0)).any(axis=1) | (at >= (around.x1, around.y1)).any(axis=1)
    at = at[: int(np.flatnonzero(outside).max(initial=-1)) + 1]
    if len(at) < 2:
        return
    fixed = np.round(at * (1 << _SHIFT)).astype(np.int32)
    parts = np.array_split(np.arange(len(at) - 1), min(style.line, len(at) - 1))
    for ink, edge in ((_SHADE, 1), (colour, 0)):
        for thinner, part in enumerate(reversed(parts)):
            stretch = fixed[part[0] : part[-1] + 2]
            cv2.polylines(image, [stretch], False, ink, style.line - thinner + edge, cv2.LINE_AA, _SHIFT)


def _box_corners(result: TrackResult, margin: float) -> NDArray[np.float64]:
    # A pixel has its centre at whole coordinates, so the first one of a box begins half a px before.
    x, y, w, h = result.box.x - 0.5, result.box.y - 0.5, result.box.w, result.box.h
    left, top, right, bottom = x - margin, y - margin, x + w + margin, y + h + margin
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _rotated_corners(result: TrackResult, margin: float) -> NDArray[np.float64] | None:
    if result.rotated_box is None or result.state in _UNSEEN:
        return None
    rotated = result.rotated_box
    grown = rotated._replace(width=rotated.width + 2 * margin, height=rotated.height + 2 * margin)
    return grown.corners()


def _margin(style: _Style) -> float:
    # Lines, with their dark edge and its smoothing, lie around the target: one of a few px stays visible.
    return (style.line + 1) // 2 + 2.5


def _outline(image: Image, result: TrackResult, style: _Style) -> None:
    colour = STATE_COLOURS[result.state]
    rotated = _rotated_corners(result, _margin(style))
    box = _box_corners(result, _margin(style))
    if rotated is None:
        _polygon(image, box, colour, style.line, dashed=result.state in _UNSEEN)
        return
    # Thinner than the rotated box, but not below what keeps its colour in video.
    _polygon(image, box, colour, max(min(style.line, 2), style.line // 2), dashed=False)
    _polygon(image, rotated, colour, style.line, dashed=False)


def _polygon(image: Image, corners: NDArray[np.float64], colour: Colour, line: int, dashed: bool) -> None:
    corners = np.clip(corners, -_FAR, _FAR)
    strokes = _dashes(corners, 5 * line + 3) if dashed else [corners]
    fixed = [np.round(stroke * (1 << _SHIFT)).astype(np.int32) for stroke in strokes]
    for ink, thickness in ((_SHADE, line + 2), (colour, line)):
        cv2.polylines(image, fixed, not dashed, ink, thickness, cv2.LINE_AA, _SHIFT)


def _dashes(corners: NDArray[np.float64], length: float) -> list[NDArray[np.float64]]:
    """Dashes of about `length` px along each side, with one at each of its ends."""
    strokes = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # Bounded, as a side of a box that reaches far beyond the frame may be.
        count = 2 * min(int(np.linalg.norm(end - start) / (2 * length)), 200) + 1
        at = np.linspace(start, end, count + 1)
        strokes += [at[i : i + 2] for i in range(0, count, 2)]
    return strokes


def _extent(result: TrackResult, style: _Style) -> _Rect:
    """What a target takes up, with the lines around it."""
    margin = 2 * _margin(style)
    corners = [_box_corners(result, margin)]
    rotated = _rotated_corners(result, margin)
    if rotated is not None:
        corners.append(rotated)
    points = np.clip(np.concatenate(corners), -_FAR, _FAR)
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return _Rect(int(x0), int(y0), int(x1) + 1, int(y1) + 1)


@dataclass(frozen=True)
class _Plate:
    """Text on a dark ground with a stripe of `colour`, and a bar filled to `level` (0..1) under it."""

    text: str
    level: float | None
    colour: Colour

    def size(self, style: _Style) -> tuple[int, int]:
        (text_width, _), _ = cv2.getTextSize(self.text, _FONT, *_font(style))
        height = style.text + 2 * style.pad
        if self.level is not None:
            height += style.bar + style.pad
        return text_width + 3 * style.pad, height


def _font(style: _Style) -> tuple[float, int]:
    thickness = max(1, round(style.text / 14))
    return cv2.getFontScaleFromHeight(_FONT, style.text, thickness), thickness


def _at(plate: _Plate, style: _Style, x: int, y: int) -> _Rect:
    width, height = plate.size(style)
    return _Rect(x, y, x + width, y + height)


def _corners(plate: _Plate, style: _Style, width: int, height: int) -> list[_Rect]:
    """The plate in each corner of the frame, top left first."""
    plate_width, plate_height = plate.size(style)
    right, bottom = width - plate_width - style.pad, height - plate_height - style.pad
    return [_at(plate, style, x, y) for y in (style.pad, bottom) for x in (style.pad, right)]


def _beside(plate: _Plate, style: _Style, target: _Rect, width: int, height: int) -> Sequence[_Rect]:
    """The plate on each side of a target, at either end of it, pushed along it into the frame."""
    plate_width, plate_height = plate.size(style)
    gap = max(1, style.pad // 2)
    above, below = target.y0 - gap - plate_height, target.y1 + gap
    right, left = target.x1 + gap, target.x0 - gap - plate_width
    xs = [min(max(x, 0), width - plate_width) for x in (target.x0, target.x1 - plate_width)]
    ys = [min(max(y, 0), height - plate_height) for y in (target.y0, target.y1 - plate_height)]
    places = [(x, y) for x in xs for y in (above, below)] + [(x, y) for y in ys for x in (right, left)]
    return [_at(plate, style, x, y) for x, y in places]


def _place(
    plate: _Plate,
    style: _Style,
    places: Sequence[_Rect],
    targets: Sequence[_Rect],
    plates: Sequence[_Rect],
    image: Image,
) -> list[_Rect]:
    """Draw the plate in the first of `places` that covers nothing, else in the one that covers least.

    Returns that place, or none where the plate has no room in the image.
    """
    height, width = image.shape[:2]
    inside = [p for p in places if p.x0 >= 0 and p.y0 >= 0 and p.x1 <= width and p.y1 <= height]
    if not inside:
        return []

    def covered(place: _Rect) -> int:
        # Text over text is lost for both; text over a target hides part of it.
        return sum(map(place.overlap, targets)) + 10 * sum(map(place.overlap, plates))

    best = min(inside, key=covered)
    region = image[best.y0 : best.y1, best.x0 : best.x1]
    ground = np.full_like(region, _SHADE)
    region[:] = cv2.addWeighted(region, 1 - _SHADE_OPACITY, ground, _SHADE_OPACITY, 0)
    region[:, : max(2, style.pad // 2)] = plate.colour
    scale, thickness = _font(style)
    baseline = (best.x0 + 2 * style.pad, best.y0 + style.pad + style.text)
    cv2.putText(image, plate.text, baseline, _FONT, scale, _TEXT_COLOUR, thickness, cv2.LINE_AA)
    if plate.level is not None:
        left, right = best.x0 + 2 * style.pad, best.x1 - style.pad
        bottom = best.y1 - style.pad
        full = left + round((right - left) * min(max(plate.level, 0.0), 1.0))
        image[bottom - style.bar : bottom, left:right] = (90, 90, 90)
        image[bottom - style.bar : bottom, left:full] = plate.colour
    return [best]
