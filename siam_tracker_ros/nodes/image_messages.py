"""Pixels as image messages.

`data` is given an `array.array`: rclpy takes it as it is, and goes through anything else by the byte.
"""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image


def _bytes(pixels: NDArray[np.uint8]) -> array[int]:
    data = array("B")
    data.frombytes(np.ascontiguousarray(pixels).data)
    return data


def image_message(header: Any, encoding: str, pixels: NDArray[np.uint8]) -> Image:
    """`pixels` [H, W] or [H, W, C] as a message in an encoding of 8 bits a channel."""
    height, width = pixels.shape[:2]
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=pixels[0].nbytes,
        data=_bytes(pixels),
    )


def jpeg_message(header: Any, frame: NDArray[np.uint8], quality: int) -> CompressedImage:
    """`frame` [H, W, 3] BGR as JPEG of a quality from 1 to 100."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    # As image_transport's compressed publisher writes it, so that its subscribers read the colours right.
    return CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=_bytes(data))
