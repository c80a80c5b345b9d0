"""Parameters of the window in which targets are selected."""

from __future__ import annotations

from dataclasses import dataclass

from siam_tracker_ros.nodes.image_parameters import image_reliability, image_transport, mono16_full_scale
from siam_tracker_ros.nodes.parameter_struct import parameter


@dataclass(frozen=True)
class SelectTargetParameters:
    """Everything the selection window can be told. Times in s."""

    image_transport: str = image_transport()
    image_reliability: str = image_reliability()
    image_depth: int = parameter(1, "Images the middleware keeps until they are read.", range=(1, 100))
    mono16_full_scale: int = mono16_full_scale()
    show_tracks: bool = parameter(True, "Whether the tracks are drawn into the images that they belong to.")
    max_wait: float = parameter(
        0.5,
        "How long an image waits for its tracks before it is shown without, s. While no tracks come at all, "
        "none waits.",
        range=(0.02, 30.0),
    )
    target_id: str = parameter(
        "1", "Name of the target that a box starts, or starts over, until a key 1 to 9 chooses another."
    )
    answer_timeout: float = parameter(
        10.0, "How long the tracker's answer is waited for, s.", range=(0.1, 600.0)
    )
    end_after_start: bool = parameter(False, "Whether to end once a target has been started.")
