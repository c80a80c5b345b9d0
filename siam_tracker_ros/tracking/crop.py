"""Exemplar and search-region crops: a square around the target, resized, the frame's mean beyond its border.

SiamFC (Bertinetto et al., ECCVW 2016, section 3.2). Positions and roundings follow a `CropRule`. The same
crop exists twice: `crop_window` with OpenCV for frames in host memory, `sample_windows` in torch for frames
on a device; they agree to one grey level.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siam_tracker_ros.models.config import CropRule, Ties
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.errors import InvalidFrameError
from siam_tracker_ros.tracking.unconverted_frame import UnconvertedFrame

Frame = NDArray[np.uint8]
AnyFrame = Frame | UnconvertedFrame | Tensor

PYSOT_RULE = CropRule()

# Above this side a window that leaves the frame is sampled point by point: padding it would take memory
# that grows with the window (1.7 GB for a target that fills an 8K frame).
_MAX_PADDED_SIDE = 4096


class Window(NamedTuple):
    """Square of whole px in the frame's coordinates; it may reach beyond the frame."""

    left: int
    top: int
    side: int


def checked_frame(frame: object) -> AnyFrame:
    """`frame` if it can be tracked in: H x W x 3 (BGR), H x W x 1 or H x W (grey), uint8; or unconverted.

    A tensor in host memory comes back as the array it is, one on a device as a tensor. Raises
    InvalidFrameError.
    """
    if isinstance(frame, UnconvertedFrame):
        return frame
    wanted = "a frame is an H x W x 3 (BGR) or H x W (grey) array of uint8"
    if isinstance(frame, Tensor) and frame.device.type == "cpu":
        frame = frame.detach().numpy()
    if not isinstance(frame, np.ndarray | Tensor):
        raise InvalidFrameError(f"{wanted}, not a {type(frame).__name__}")
    dtype = str(frame.dtype).removeprefix("torch.")
    if dtype != "uint8":
        raise InvalidFrameError(f"{wanted}, not of {dtype}")
    shape = " x ".join(str(n) for n in frame.shape)
    if frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] not in (1, 3)):
        raise InvalidFrameError(f"{wanted}, not one of shape {shape}")
    if 0 in frame.shape:
        raise InvalidFrameError(f"{wanted}; this one is empty ({shape})")
    return frame


def channel_mean(frame: AnyFrame, rule: CropRule = PYSOT_RULE) -> tuple[int, int, int]:
    """Mean of each channel in whole grey levels: what the crop holds beyond the frame."""
    whole = round if rule.round_fill else int
    pixels = _pixels(frame)
    mean = cv2.mean(pixels)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return (whole(mean[0]),) * 3
    return whole(mean[0]), whole(mean[1]), whole(mean[2])


def exemplar_side(width: float, height: float, context_amount: float) -> float:
    """Side of the exemplar square around a target, px: sqrt((w + p)(h + p)), p = context_amount * (w + h)."""
    context = context_amount * (width + height)
    return math.sqrt((width + context) * (height + context))


def _whole(value: float, ties: Ties) -> int:
    return round(value) if ties == "even" else math.floor(value + 0.5)


def whole_side(side: float, rule: CropRule = PYSOT_RULE) -> int:
    """The side of a crop in whole px, at least one."""
    return max(_whole(side, rule.side_ties), 1)


def centred_window(target: CenterBox, side: float, rule: CropRule = PYSOT_RULE) -> Window:
    """Square of `side` px, rounded, around the centre of `target`."""
    whole = whole_side(side, rule)
    before = (whole - 1) / 2 if rule.symmetric else (whole + 1) / 2
    return Window(
        _whole(target.cx - before, rule.corner_ties), _whole(target.cy - before, rule.corner_ties), whole
    )


def part_of(frame: AnyFrame, left: int, top: int, right: int, bottom: int) -> Frame:
    """Columns `left` to `right` and rows `top` to `bottom` of a frame, ends not included, in host memory."""
    if isinstance(frame, UnconvertedFrame):
        return frame.region(left, top, right, bottom)
    return _pixels(frame[top:bottom, left:right])


def _pixels(frame: AnyFrame) -> Frame:
    if isinstance(frame, Tensor):
        on_host: Frame = frame.cpu().numpy()
        return on_host
    return frame.whole() if isinstance(frame, UnconvertedFrame) else frame


def crop_window(frame: AnyFrame, window: Window, size: int, fill: tuple[int, int, int]) -> Frame:
    """`window` of `frame` resized to [size, size, 3] uint8, `fill` beyond the frame's border.

    The frame itself is never copied: only the part under the window is converted or padded, and only where it
    must be.
    """
    left, top, side = window
    height, width = frame.shape[:2]
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    if x0 >= x1 or y0 >= y1:
        return np.full((size, size, 3), fill, dtype=np.uint8)
    leaves_frame = (x1 - x0, y1 - y0) != (side, side)
    if leaves_frame and side > _MAX_PADDED_SIDE:
        sampled = sample_windows(frame_tensor(frame), [window], size, [fill])
        return sampled[0].round().to(torch.uint8).numpy()
    inside: Any = part_of(frame, x0, y0, x1, y1)
    if leaves_frame:
        inside = cv2.copyMakeBorder(
            inside,
            y0 - top,
            top + side - y1,
            x0 - left,
            left + side - x1,
            cv2.BORDER_CONSTANT,
            value=fill,
        )
    if side != size:
        inside = cv2.resize(inside, (size, size))
    if inside.ndim == 2 or inside.shape[2] == 1:
        inside = cv2.cvtColor(inside, cv2.COLOR_GRAY2BGR)
    crop: Frame = inside
    return crop


def frame_tensor(frame: AnyFrame) -> Tensor:
    """`frame` as a tensor; it shares the frame's memory where that lies in order."""
    if isinstance(frame, Tensor):
        return frame
    with warnings.catch_warnings():
        # Frames that view a message's buffer are read-only, and are only read here.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(_pixels(frame)))


def sample_windows(
    frame: Tensor, windows: Sequence[Window], size: int, fills: Sequence[tuple[int, int, int]]
) -> Tensor:
    """`windows` of a frame resized to [N, size, size, 3] float32 on its device; see `sample_squares`."""
    squares = torch.tensor(windows, dtype=torch.int64).to(frame.device, non_blocking=True)
    fill = torch.tensor(fills, dtype=torch.float32).to(frame.device, non_blocking=True)
    return sample_squares(frame, squares, size, fill)


def sample_squares(frame: Tensor, squares: Tensor, size: int, fills: Tensor) -> Tensor:
    """Squares of a frame resized to [N, size, size, 3] float32, without synchronisation.

    `frame` is [H, W, 3], [H, W, 1] or [H, W] uint8; `squares` [N, 3] int64 are (left, top, side) and `fills`
    [N, 3] float32 grey levels beyond its border, on the same device. Bilinear at OpenCV's sample positions
    (pixel centres, the window's edge repeated), with no rounding to grey levels.
    """
    if frame.dim() == 2:
        frame = frame[:, :, None]
    height, width = frame.shape[:2]
    left, top, side = squares[:, 0, None], squares[:, 1, None], squares[:, 2, None]
    steps = torch.arange(size, device=frame.device, dtype=torch.float64) + 0.5
    position = (steps[None] * side / size - 0.5).clamp(min=0.0)
    low = position.floor().to(torch.int64).minimum(side - 1)
    high = (low + 1).minimum(side - 1)
    weight = (position - low).to(torch.float32).clamp(max=1.0)

    def gather(rows: Tensor, cols: Tensor) -> Tensor:
        y, x = top + rows, left + cols
        inside_y, inside_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
        pixels = frame[y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]]
        inside = (inside_y[:, :, None] & inside_x[:, None, :])[..., None]
        return torch.where(inside, pixels.to(torch.float32), fills[:, None, None, :])

    weight_x, weight_y = weight[:, None, :, None], weight[:, :, None, None]
    upper = torch.lerp(gather(low, low), gather(low, high), weight_x)
    lower = torch.lerp(gather(high, low), gather(high, high), weight_x)
    return torch.lerp(upper, lower, weight_y)
