"""Image messages to frames: H x W x 3 BGR uint8, without a copy where the message holds just that.

What looks at a part of a frame only takes `image_frame`, which converts no more than that part.

Nothing of ROS is imported: a message is anything with the fields of sensor_msgs/Image or
sensor_msgs/CompressedImage. What a message claims is checked before memory is taken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.tracking.unconverted_frame import UnconvertedFrame

Frame = NDArray[np.uint8]

MAX_PIXELS = 1 << 26
"""Larger images (8K is half of this) are refused: a damaged header must not take the machine's memory."""
MONO16_FULL_SCALE = 65535
"""The 16-bit value that becomes white, unless said otherwise."""


class ImageConversionError(SiamTrackerError, ValueError):
    """A message that gives no frame."""


class UnknownEncodingError(ImageConversionError):
    """An encoding that is not converted here."""


class ImageLayoutError(ImageConversionError):
    """Width, height, step and data of an image that contradict each other."""


class DamagedImageError(ImageConversionError):
    """A compressed image that does not decode."""


class ImageMessage(Protocol):
    """The fields of sensor_msgs/Image that are read."""

    height: Any
    width: Any
    encoding: Any
    is_bigendian: Any
    step: Any
    data: Any


class CompressedImageMessage(Protocol):
    """The fields of sensor_msgs/CompressedImage that are read."""

    format: Any
    data: Any


@dataclass(frozen=True)
class _Encoding:
    """How pixels lie in memory: channels of `itemsize` bytes each, and how OpenCV turns them into BGR."""

    channels: int
    code: int | None
    itemsize: int = 1
    even_width: bool = False
    even_height: bool = False
    margin: int = 0
    """How far away the pixels are that the colour of one is worked out from, px; even."""

    @property
    def pixel_bytes(self) -> int:
        return self.channels * self.itemsize


_GREY = _Encoding(1, cv2.COLOR_GRAY2BGR)
_GREY16 = _Encoding(1, cv2.COLOR_GRAY2BGR, itemsize=2)
_UYVY = _Encoding(2, cv2.COLOR_YUV2BGR_UYVY, even_width=True)
_YUYV = _Encoding(2, cv2.COLOR_YUV2BGR_YUY2, even_width=True)


# OpenCV names a Bayer pattern by its second row from the second column on: ROS's rggb is its BG.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}
_ENCODINGS = {
    "bgr8": _Encoding(3, None),
    "8UC3": _Encoding(3, None),
    "rgb8": _Encoding(3, cv2.COLOR_RGB2BGR),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2BGR),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2BGR),
    "mono8": _GREY,
    "8UC1": _GREY,
    "mono16": _GREY16,
    "16UC1": _GREY16,
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    **{
        f"bayer_{pattern}{8 * itemsize}": _Encoding(1, code, itemsize, True, True, margin=2)
        for itemsize in (1, 2)
        for pattern, code in _BAYER.items()
    },
}
ENCODINGS = tuple(_ENCODINGS)
"""Every encoding of a raw image that is converted."""


class _ImageFrame(UnconvertedFrame):
    """The frame of an image message; `pixels` [H, W, bytes a pixel] views its data."""

    def __init__(self, pixels: Frame, encoding: _Encoding, code: int, bigendian: bool, white: int) -> None:
        self._pixels, self._encoding, self._code = pixels, encoding, code
        self._bigendian, self._white = bigendian, white

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._pixels.shape[0], self._pixels.shape[1], 3

    def region(self, left: int, top: int, right: int, bottom: int) -> Frame:
        height, width, _ = self._pixels.shape
        encoding = self._encoding
        rows = _around(top, bottom, height, encoding.even_height, encoding.margin)
        columns = _around(left, right, width, encoding.even_width, encoding.margin)
        part = self._pixels[rows, columns]
        if encoding.itemsize == 2:
            part = _scaled_to_8_bit(part, self._bigendian, self._white)
        converted: Frame = cv2.cvtColor(part, self._code)  # type: ignore[assignment]
        x, y = left - columns.start, top - rows.start
        return converted[y : y + bottom - top, x : x + right - left]


def _around(start: int, end: int, length: int, pairs: bool, margin: int) -> slice:
    """`start` to `end` and the margin, whole pairs where the encoding has them, inside `length`."""
    start, end = max(start - margin, 0), min(end + margin, length)
    return slice(start - start % 2, end + end % 2) if pairs else slice(start, end)


def image_frame(
    message: ImageMessage, mono16_full_scale: int = MONO16_FULL_SCALE
) -> Frame | UnconvertedFrame:
    """The frame [H, W, 3] of a sensor_msgs/Image, without a copy: it views the message's data.

    Whatever is not bgr8 is converted where it is looked at. `mono16_full_scale` is the value of 16-bit images
    that becomes white. Raises UnknownEncodingError for an encoding that is none of ENCODINGS,
    ImageLayoutError where size, step and data do not fit together.
    """
    name = str(message.encoding)
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        raise UnknownEncodingError(f"encoding '{name}' is none of {', '.join(ENCODINGS)}")
    pixels = _pixels(message, name, encoding)
    if encoding.code is None:
        return pixels
    return _ImageFrame(pixels, encoding, encoding.code, bool(message.is_bigendian), mono16_full_scale)


def image_to_bgr(message: ImageMessage, mono16_full_scale: int = MONO16_FULL_SCALE) -> Frame:
    """The frame [H, W, 3] BGR of a sensor_msgs/Image; for bgr8 a view of the message's data.

    Takes and raises what `image_frame` does.
    """
    frame = image_frame(message, mono16_full_scale)
    return frame.whole() if isinstance(frame, UnconvertedFrame) else frame


def _pixels(message: ImageMessage, name: str, encoding: _Encoding) -> Frame:
    """Bytes of the message as [H, W, bytes a pixel], a view; rows may be padded."""
    width, height, step = int(message.width), int(message.height), int(message.step)
    shown = f"{name} image of {width} x {height} px, step {step}"
    if width <= 0 or height <= 0:
        raise ImageLayoutError(f"{shown}: it has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageLayoutError(f"{shown}: more than {MAX_PIXELS} pixels")
    row = width * encoding.pixel_bytes
    if step < row:
        raise ImageLayoutError(f"{shown}: a row takes at least {row} bytes")
    if (encoding.even_width and width % 2) or (encoding.even_height and height % 2):
        sides = "width and height" if encoding.even_height else "width"
        raise ImageLayoutError(f"{shown}: {sides} must be even")
    data = np.frombuffer(message.data, np.uint8)
    # The last row may end with its last pixel.
    needed = step * (height - 1) + row
    if data.size < needed:
        raise ImageLayoutError(f"{shown}: the data are {data.size} bytes, {needed} at least are needed")
    shape, strides = (height, width, encoding.pixel_bytes), (step, encoding.pixel_bytes, 1)
    pixels: Frame = np.ndarray(shape, np.uint8, data.data, 0, strides)
    return pixels


def _scaled_to_8_bit(pixels: Frame, bigendian: bool, full_scale: int) -> Frame:
    height, width, _ = pixels.shape
    rows = np.ascontiguousarray(pixels).view(">u2" if bigendian else "<u2")
    return cv2.convertScaleAbs(rows.reshape(height, width).astype(np.uint16), alpha=255.0 / full_scale)  # type: ignore[return-value]


def compressed_to_bgr(message: CompressedImageMessage) -> Frame:
    """The frame [H, W, 3] BGR of a sensor_msgs/CompressedImage holding JPEG or PNG.

    The data tell which it is, as drivers fill in `format` freely. An orientation in EXIF is not applied:
    boxes are in pixels as they are stored. Raises UnknownEncodingError for other data, DamagedImageError for
    data that do not decode.
    """
    data = np.frombuffer(message.data, np.uint8)
    head = data[:8].tobytes()
    size: Callable[[bytes], tuple[int, int] | None]
    if head.startswith(b"\xff\xd8\xff"):
        kind, size = "JPEG", _jpeg_size
    elif head == b"\x89PNG\r\n\x1a\n":
        kind, size = "PNG", _png_size
    else:
        raise UnknownEncodingError(
            f"compressed image (format '{message.format}', {data.size} bytes) is neither JPEG nor PNG: "
            f"it starts with {head.hex(' ') or 'nothing'}"
        )
    found = size(data.tobytes())
    if found is None:
        raise DamagedImageError(f"{kind} of {data.size} bytes: damaged or cut off")
    width, height = found
    if not 0 < width * height <= MAX_PIXELS:
        raise DamagedImageError(f"{kind} of {width} x {height} px: not between 1 and {MAX_PIXELS} pixels")
    try:
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DamagedImageError(f"{kind} of {data.size} bytes does not decode: {error}") from error
    if frame is None:
        raise DamagedImageError(f"{kind} of {data.size} bytes does not decode")
    return frame  # type: ignore[return-value]


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height out of the first chunk (PNG specification, 11.2.2); None without a last one."""
    if data[12:16] != b"IHDR" or data.find(b"IEND", 24) < 0:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


# Markers that start a frame (ITU T.81, table B.1): all of C0 to CF but DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height out of the first frame header (ITU T.81, B.2.2); None without an end of image."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            # Without it the decoder would make up the rest of the picture.
            if data.find(b"\xff\xd9", at) < 0:
                return None
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
