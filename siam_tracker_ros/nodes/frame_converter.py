"""Image messages of either kind to frames, with cv_bridge's help where it is installed and works."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from siam_tracker_ros.footage.image_conversion import (
    Frame,
    UnknownEncodingError,
    compressed_to_bgr,
    image_frame,
)
from siam_tracker_ros.nodes.cv_bridge_fallback import find_cv_bridge
from siam_tracker_ros.tracking.unconverted_frame import UnconvertedFrame


class FrameConverter:
    """Turns sensor_msgs/Image and CompressedImage into frames [H, W, 3] BGR.

    `trouble` says why cv_bridge, which is there, is not used; empty otherwise.
    """

    def __init__(self) -> None:
        self._cv_bridge = find_cv_bridge(Image)
        self.trouble = self._cv_bridge.trouble

    def __call__(self, message: Any, mono16_full_scale: int) -> Frame:
        """The frame; `mono16_full_scale` is the white of 16-bit images. Raises ImageConversionError."""
        frame = self.unconverted(message, mono16_full_scale)
        return frame.whole() if isinstance(frame, UnconvertedFrame) else frame

    def unconverted(self, message: Any, mono16_full_scale: int) -> Frame | UnconvertedFrame:
        """The same, for who looks at a part of it only: raw images are converted no further than that."""
        if isinstance(message, CompressedImage):
            return compressed_to_bgr(message)
        try:
            return image_frame(message, mono16_full_scale)
        except UnknownEncodingError:
            if self._cv_bridge.convert is None:
                raise
            return self._cv_bridge.convert(message)
