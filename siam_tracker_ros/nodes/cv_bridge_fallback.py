"""Encodings that this package does not convert itself go to cv_bridge, where it is installed and works.

A cv_bridge built for NumPy 1 imports under NumPy 2 and fails at its first image; so it is tried on one.
"""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from siam_tracker_ros.footage.image_conversion import Frame, ImageConversionError, ImageMessage


class CvBridgeError(ImageConversionError):
    """An image that cv_bridge does not convert."""


@dataclass(frozen=True)
class CvBridge:
    """cv_bridge as found: `convert` is None where it cannot be used; if it is there, `trouble` says why."""

    convert: Callable[[ImageMessage], Frame] | None
    trouble: str = ""


def find_cv_bridge(image_type: Callable[..., Any]) -> CvBridge:
    """cv_bridge if it is installed and converts a small image; `image_type` makes a sensor_msgs/Image."""
    try:
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except ModuleNotFoundError as error:
        return CvBridge(None, "" if error.name == "cv_bridge" else _trouble(error))
    except Exception as error:
        return CvBridge(None, _trouble(error))

    def convert(message: ImageMessage) -> Frame:
        try:
            frame = np.ascontiguousarray(bridge.imgmsg_to_cv2(message, "bgr8"))
        except Exception as error:
            raise CvBridgeError(f"encoding '{message.encoding}', by cv_bridge: {error}") from error
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise CvBridgeError(f"encoding '{message.encoding}': cv_bridge gave {frame.dtype} {frame.shape}")
        return frame

    sample = image_type(height=1, width=2, encoding="rgb8", step=6, data=array("B", range(6)))
    try:
        works = convert(sample).tolist() == [[[2, 1, 0], [5, 4, 3]]]
    except CvBridgeError as error:
        return CvBridge(None, _trouble(error.__cause__ or error))
    return CvBridge(convert) if works else CvBridge(None, _trouble("it gets the colours of an image wrong"))


def _trouble(error: object) -> str:
    name = type(error).__name__
    text = f"{name}: {error}" if isinstance(error, BaseException) else str(error)
    hint = "; a cv_bridge built for NumPy 1 does not work with NumPy 2" if np.__version__ >= "2" else ""
    return f"cv_bridge is installed but does not work ({' '.join(text.split())}){hint}; going on without it"
