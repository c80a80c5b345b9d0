"""Messages of every encoding become the frame they show; the others are refused by name."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from siam_tracker_ros.footage.image_conversion import (
    ENCODINGS,
    MAX_PIXELS,
    DamagedImageError,
    ImageConversionError,
    ImageLayoutError,
    UnknownEncodingError,
    compressed_to_bgr,
    image_frame,
    image_to_bgr,
)
from siam_tracker_ros.tracking.crop import Window, crop_window
from siam_tracker_ros.tracking.unconverted_frame import UnconvertedFrame

HEIGHT, WIDTH = 24, 40


def picture() -> np.ndarray:
    """Smooth in both directions, so that subsampled colour and mosaics lose little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + 3 * x, 80 + 4 * y, 200 - 2 * x - y], axis=2).astype(np.uint8)


def message(data: np.ndarray, encoding: str, padding: int = 0, bigendian: bool = False) -> SimpleNamespace:
    """An image message of rows [H, ...], `padding` bytes after each."""
    rows = np.ascontiguousarray(data).view(np.uint8).reshape(len(data), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=170)
    buffer = array("B")
    buffer.frombytes(rows.tobytes())
    return SimpleNamespace(
        height=len(data),
        width=data.shape[1],
        encoding=encoding,
        is_bigendian=int(bigendian),
        step=rows.shape[1],
        data=buffer,
    )


def grey(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def packed_yuv(bgr: np.ndarray, luma_first: bool) -> np.ndarray:
    """4:2:2 [H, W, 2] of a BGR picture by BT.601 (studio range), colour taken from even columns."""
    b, g, r = (bgr[..., i].astype(float) for i in range(3))
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    chroma = np.empty_like(y)
    chroma[:, 0::2], chroma[:, 1::2] = u[:, 0::2], v[:, 0::2]
    pair = (y, chroma) if luma_first else (chroma, y)
    return np.stack(pair, axis=2).round().astype(np.uint8)


def mosaic(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """Raw [H, W] of a sensor whose 2 x 2 filter is `pattern`, row by row."""
    raw = np.empty(bgr.shape[:2], np.uint8)
    for i, colour in enumerate(pattern):
        raw[i // 2 :: 2, i % 2 :: 2] = bgr[i // 2 :: 2, i % 2 :: 2, "bgr".index(colour)]
    return raw


BGR = picture()
RGB = BGR[..., ::-1]
ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
PATTERNS = ("rggb", "bggr", "gbrg", "grbg")
GREY_BGR = np.repeat(grey(BGR)[..., None], 3, axis=2)
CASES = {
    "bgr8": (BGR, BGR, 0),
    "8UC3": (BGR, BGR, 0),
    "rgb8": (RGB, BGR, 0),
    "bgra8": (np.dstack([BGR, ALPHA]), BGR, 0),
    "rgba8": (np.dstack([RGB, ALPHA]), BGR, 0),
    "mono8": (grey(BGR), GREY_BGR, 0),
    "8UC1": (grey(BGR), GREY_BGR, 0),
    "mono16": (grey(BGR).astype("<u2") * 257, GREY_BGR, 0),
    "16UC1": (grey(BGR).astype("<u2") * 257, GREY_BGR, 0),
    "yuv422": (packed_yuv(BGR, luma_first=False), BGR, 6),
    "uyvy": (packed_yuv(BGR, luma_first=False), BGR, 6),
    "yuv422_yuy2": (packed_yuv(BGR, luma_first=True), BGR, 6),
    "yuyv": (packed_yuv(BGR, luma_first=True), BGR, 6),
    **{f"bayer_{p}8": (mosaic(BGR, p), BGR, 12) for p in PATTERNS},
    **{f"bayer_{p}16": (mosaic(BGR, p).astype("<u2") * 257, BGR, 12) for p in PATTERNS},
}


def test_every_encoding_has_a_case() -> None:
    assert set(CASES) == set(ENCODINGS)


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_frame_is_what_the_message_shows(encoding: str, padding: int) -> None:
    data, expected, tolerance = CASES[encoding]
    frame = image_to_bgr(message(data, encoding, padding))
    assert frame.dtype == np.uint8
    assert frame.shape == (HEIGHT, WIDTH, 3)
    inside = np.s_[2:-2, 2:-2]
    difference = np.abs(frame.astype(int) - expected)[inside]
    assert difference.max() <= tolerance


def test_bgr8_is_not_copied() -> None:
    image = message(BGR, "bgr8", padding=2)
    frame = image_to_bgr(image)
    image.data[0] = 255 - image.data[0]
    assert frame[0, 0, 0] == image.data[0]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_region_has_the_pixels_of_the_whole_frame(encoding: str) -> None:
    rng = np.random.default_rng(0)
    raw = np.ascontiguousarray(CASES[encoding][0]).view(np.uint8)
    noise = rng.integers(0, 256, raw.shape, dtype=np.uint8).view(CASES[encoding][0].dtype)
    image = message(noise, encoding, padding=3)
    frame, whole = image_frame(image), image_to_bgr(image)
    for _ in range(100):
        left, right = sorted(rng.choice(WIDTH + 1, 2, replace=False).tolist())
        top, bottom = sorted(rng.choice(HEIGHT + 1, 2, replace=False).tolist())
        expected = whole[top:bottom, left:right]
        if isinstance(frame, UnconvertedFrame):
            np.testing.assert_array_equal(frame.region(left, top, right, bottom), expected)
        for size in (right - left, 16):
            window = Window(left - 3, top + 2, right - left)
            crop = crop_window(frame, window, size, (1, 2, 3))
            np.testing.assert_array_equal(crop, crop_window(whole, window, size, (1, 2, 3)))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_cut_out_of_an_image_is_all_that_is_copied(encoding: str) -> None:
    data, *_ = CASES[encoding]
    image = message(np.tile(data, (40, 40, *[1] * (data.ndim - 2))), encoding)
    side = 300
    tracemalloc.start()
    try:
        frame = image_frame(image)
        crop_window(frame, Window(200, 200, side), 255, (0, 0, 0))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame.shape == (40 * HEIGHT, 40 * WIDTH, 3)
    # The region as it is, as 8 bits, and as BGR; resized; the interpreter's own.
    assert most < 12 * side**2 + 3 * 255**2 + 100_000 < len(image.data)


def test_big_endian_16_bit() -> None:
    values = grey(BGR).astype(np.uint16) * 257
    frame = image_to_bgr(message(values.astype(">u2"), "mono16", bigendian=True))
    assert np.array_equal(frame, GREY_BGR)


def test_16_bit_with_a_scale_of_its_own() -> None:
    frame = image_to_bgr(message(np.full((4, 4), 1023, "<u2"), "16UC1"), mono16_full_scale=1023)
    assert np.all(frame == 255)


def test_last_row_may_end_with_its_last_pixel() -> None:
    image = message(BGR, "bgr8", padding=5)
    image.data = image.data[:-5]
    assert np.array_equal(image_to_bgr(image), BGR)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": WIDTH * 3 - 1}, "at least 120 bytes"),
        ({"step": 0}, "at least 120 bytes"),
        ({"width": 0}, "no pixels"),
        ({"height": 0}, "no pixels"),
        ({"height": HEIGHT + 1}, "data are 2880 bytes, 3000"),
        ({"width": 1 << 31, "height": 1 << 31, "step": 1 << 31}, "pixels"),
        ({"data": b""}, "data are 0 bytes"),
        ({"encoding": "yuv422", "width": 39}, "width must be even"),
        ({"encoding": "bayer_rggb8", "height": 23}, "width and height must be even"),
    ],
)
def test_contradictions_are_named(change: dict[str, object], words: str) -> None:
    image = message(BGR, "bgr8")
    vars(image).update(change)
    with pytest.raises(ImageLayoutError, match=words):
        image_to_bgr(image)


@pytest.mark.parametrize("encoding", ["", "BGR8", "32FC1", "nv12", "bayer_rggb12"])
def test_unknown_encoding_is_named(encoding: str) -> None:
    with pytest.raises(UnknownEncodingError, match=f"'{encoding}' is none of .*mono16"):
        image_to_bgr(message(BGR, encoding))


def compressed(suffix: str, frame: np.ndarray = BGR) -> SimpleNamespace:
    done, data = cv2.imencode(suffix, frame)
    assert done
    return SimpleNamespace(format=f"bgr8; {suffix[1:]} compressed bgr8", data=array("B", data.tobytes()))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 12)])
def test_compressed(suffix: str, tolerance: int) -> None:
    frame = compressed_to_bgr(compressed(suffix))
    assert frame.shape == BGR.shape
    assert np.abs(frame.astype(int) - BGR).max() <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_grey(suffix: str) -> None:
    frame = compressed_to_bgr(compressed(suffix, grey(BGR)))
    assert np.abs(frame.astype(int) - GREY_BGR).max() <= 12


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"BM" + bytes(60)])
def test_other_compressed_data_are_named(data: bytes) -> None:
    with pytest.raises(UnknownEncodingError, match="neither JPEG nor PNG"):
        compressed_to_bgr(SimpleNamespace(format="jpeg", data=data))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_cut_off_compressed_data_are_named(suffix: str, kept: float) -> None:
    data = compressed(suffix).data
    data = data[: int(len(data) * kept)]
    with pytest.raises(DamagedImageError, match="cut off"):
        compressed_to_bgr(SimpleNamespace(format=suffix, data=data))


def test_header_that_claims_too_much_is_refused() -> None:
    data = bytearray(compressed(".png").data.tobytes())
    data[16:24] = (MAX_PIXELS).to_bytes(4, "big") + (2).to_bytes(4, "big")
    with pytest.raises(DamagedImageError, match="not between"):
        compressed_to_bgr(SimpleNamespace(format="png", data=bytes(data)))


def outcome(convert: Callable[[SimpleNamespace], np.ndarray], image: SimpleNamespace) -> str:
    try:
        frame = convert(image)
    except ImageConversionError as error:
        return type(error).__name__ if str(error) else "an error without words"
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    frame.sum()
    return "converted"


def test_ten_thousand_malformed_messages() -> None:
    """Whatever a message claims, the answer is a frame or a named error."""
    rng = random.Random(0)
    sizes = (0, 1, 2, 3, 15, 16, 640, 65535, 1 << 31, (1 << 32) - 1)
    names = (*ENCODINGS, "", "rgb16", "bayer_rggb8\0", "müll", "x" * 1000)
    stored = [compressed(suffix).data.tobytes() for suffix in (".jpg", ".png")]
    seen = set()
    for _ in range(5000):
        width, height = rng.choice(sizes), rng.choice(sizes)
        step = rng.choice((*sizes, 3 * width, 2 * width, width, 4 * width + 7))
        image = SimpleNamespace(
            width=width,
            height=height,
            step=step,
            encoding=rng.choice(names),
            is_bigendian=rng.choice((0, 1, 255)),
            data=rng.randbytes(rng.choice((0, 1, 100, 4096, step % 5000 * min(height, 40)))),
        )
        seen.add(outcome(image_to_bgr, image))
    for _ in range(5000):
        data = bytearray(rng.choice(stored))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = data[: rng.choice((len(data), rng.randrange(len(data) + 1)))]
        seen.add(outcome(compressed_to_bgr, SimpleNamespace(format="jpeg", data=bytes(data))))
    assert seen == {"converted", "UnknownEncodingError", "ImageLayoutError", "DamagedImageError"}
