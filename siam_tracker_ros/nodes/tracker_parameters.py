"""Parameters of the tracker node."""

from __future__ import annotations

from dataclasses import dataclass

from siam_tracker_ros.engines.names import ENGINE_HELP, ENGINES, PRECISION_HELP, PRECISIONS
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.nodes.image_parameters import image_reliability, image_transport, mono16_full_scale
from siam_tracker_ros.nodes.parameter_struct import parameter

_LOADED = "the network is loaded and warmed up on configure"
_SUBSCRIBED = "the subscription is made with it on activate"


@dataclass(frozen=True)
class TrackerParameters:
    """Everything the tracker node can be told. Bytes in MiB (2^20), times in s, lengths in px."""

    weights: str = parameter(
        DEFAULT_WEIGHTS,
        "Weight file, by path or by name in the weight folders ($SIAM_TRACKER_WEIGHTS, the package's own).",
        fixed_because=_LOADED,
    )
    weights_sha256: str = parameter(
        "",
        "SHA-256 that the weight file must have, in hex digits. Empty: the one in the zoo.yaml beside the "
        "file, if it is listed there.",
        fixed_because=_LOADED,
    )
    model: str = parameter(
        "",
        "Zoo entry that the weights are for. Empty: the one the file names or fits.",
        fixed_because=_LOADED,
    )
    device: str = parameter(
        "auto",
        "auto, cpu, cuda or cuda:N. auto takes the first GPU, or the CPU where there is none.",
        fixed_because=_LOADED,
    )
    engine: str = parameter("auto", ENGINE_HELP, choices=ENGINES, fixed_because=_LOADED)
    precision: str = parameter(
        "auto",
        PRECISION_HELP,
        choices=PRECISIONS,
        fixed_because=_LOADED,
    )
    long_term: str = parameter(
        "auto",
        "Whether a lost target is searched for farther and farther out. auto: as the zoo entry says.",
        choices=("auto", "on", "off"),
        fixed_because=_LOADED,
    )
    image_transport: str = image_transport(_SUBSCRIBED)
    image_reliability: str = image_reliability(_SUBSCRIBED)
    image_depth: int = parameter(
        1,
        "Images the middleware keeps until they are read. Only the newest is tracked in; more help the "
        "buffer to miss none.",
        range=(1, 100),
        fixed_because=_SUBSCRIBED,
    )
    mono16_full_scale: int = mono16_full_scale()
    max_targets: int = parameter(8, "Targets tracked at once, count.", range=(1, 64))
    min_box_px: float = parameter(
        4.0, "Smallest width and height of a box to start on, px.", range=(1.0, 1000.0)
    )
    min_box_inside: float = parameter(
        0.25, "Smallest part of a box to start on that lies in the image, 0 to 1.", range=(0.0, 1.0)
    )
    rotated_box: bool = parameter(
        True, "Whether tracks carry the rotated box (models with a mask branch); it takes the mask's time."
    )
    mask_encoding: str = parameter(
        "rle", "How tracks carry the mask (models with a mask branch).", choices=("none", "mono8", "rle")
    )
    buffer_seconds: float = parameter(
        3.0, "How long images are kept for a box drawn on a past one, s.", range=(0.0, 60.0)
    )
    buffer_mib: int = parameter(256, "Most memory that these images take, MiB.", range=(0, 65536))
    catch_up_frames: int = parameter(
        30,
        "Most of the kept images that a target started on a past one is tracked through to the present, "
        "count; of more, some are left out.",
        range=(1, 1000),
    )
    request_timeout: float = parameter(
        2.0, "How long init_target waits for an image before it answers TIMEOUT, s.", range=(0.1, 30.0)
    )
    debug_image_rate: float = parameter(
        5.0, "Most images per second on the topic debug_image.", range=(0.1, 60.0)
    )
    no_images_after: float = parameter(
        2.0, "How long no image may arrive before status and diagnostics say so, s.", range=(0.2, 60.0)
    )
    diagnostics_period: float = parameter(1.0, "Time between diagnostics, s.", range=(0.1, 60.0))
