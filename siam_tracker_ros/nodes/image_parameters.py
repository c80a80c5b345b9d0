"""Parameters that every node has that reads images: the same names, values and words in each."""

from __future__ import annotations

from typing import Any, Protocol

from siam_tracker_ros.nodes.parameter_struct import parameter


class ImageParameters(Protocol):
    """What these parameters are once they are read."""

    @property
    def image_transport(self) -> str:
        """raw or compressed."""

    @property
    def image_reliability(self) -> str:
        """best_effort or reliable."""

    @property
    def image_depth(self) -> int:
        """Messages that the middleware keeps."""


def image_transport(fixed_because: str = "") -> Any:
    """The field `image_transport`."""
    return parameter(
        "raw",
        "What arrives on the topic image: raw (sensor_msgs/Image) or compressed "
        "(sensor_msgs/CompressedImage, JPEG or PNG).",
        choices=("raw", "compressed"),
        fixed_because=fixed_because,
    )


def image_reliability(fixed_because: str = "") -> Any:
    """The field `image_reliability`."""
    return parameter(
        "best_effort",
        "Quality of service of the image subscription. best_effort matches every publisher; reliable only "
        "reliable ones.",
        choices=("best_effort", "reliable"),
        fixed_because=fixed_because,
    )


def mono16_full_scale() -> Any:
    """The field `mono16_full_scale`."""
    return parameter(
        65535, "Value of 16-bit images that becomes white (4095 for a 12-bit camera).", range=(1, 65535)
    )
