"""Parameters of the overlay node."""

from __future__ import annotations

from dataclasses import dataclass

from siam_tracker_ros.nodes.image_parameters import image_reliability, image_transport, mono16_full_scale
from siam_tracker_ros.nodes.parameter_struct import parameter


@dataclass(frozen=True)
class OverlayParameters:
    """Everything the overlay node can be told. Times in s."""

    image_transport: str = image_transport()
    image_reliability: str = image_reliability()
    image_depth: int = parameter(
        5, "Images the middleware keeps until they are read, while one is being drawn in.", range=(1, 100)
    )
    mono16_full_scale: int = mono16_full_scale()
    max_wait: float = parameter(
        0.5,
        "How long an image waits for its tracks before it is shown without, marked so, s. The tracker's "
        "latency has to be less. While no tracks come at all, none waits.",
        range=(0.02, 30.0),
    )
    max_images: int = parameter(
        30, "Most images that wait for their tracks at a time, count; each takes its size.", range=(1, 1000)
    )
    trail_seconds: float = parameter(
        2.0, "How long a target's way stays drawn, s of image time; 0 for none.", range=(0.0, 60.0)
    )
    jpeg_quality: int = parameter(80, "Quality of the JPEGs on overlay/compressed.", range=(1, 100))
