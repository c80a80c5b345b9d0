"""Parameters of the video source."""

from __future__ import annotations

from dataclasses import dataclass

from siam_tracker_ros.nodes.parameter_struct import parameter


@dataclass(frozen=True)
class VideoSourceParameters:
    """Everything the video source can be told. Times in s, angles in rad, lengths in px."""

    source: str = parameter(
        "",
        "Video file; folder of images, or a pattern (shots/*.png); bag, of several cameras as "
        "BAG::/camera/image_raw; camera index (0) or /dev/video0; stream URL (rtsp://, http://, ...); or "
        "gst: and a GStreamer pipeline that ends in a BGR appsink.",
        read_only=True,
    )
    frames: str = parameter(
        "",
        "Frames A up to, not including, B, written A:B, counted from 0; either may be left out. Empty: all.",
        read_only=True,
    )
    stride: int = parameter(1, "Every how manieth frame is published, count.", (1, 10000), read_only=True)
    folder_rate: float = parameter(
        30.0, "Images/s that a folder of images was taken at.", (0.01, 1000.0), read_only=True
    )
    pace: str = parameter(
        "rate",
        "What the next image waits for. rate: its time. consumed: the message on the topic tracks for the "
        "image before, so that none is dropped however slow the tracker is.",
        choices=("rate", "consumed"),
        read_only=True,
    )
    rate: float = parameter(
        0.0,
        "Most images/s published. 0: the source's own rate, or with pace consumed as many as are consumed. A "
        "camera is not made faster by it.",
        (0.0, 1000.0),
    )
    consumer_timeout: float = parameter(
        2.0, "Longest wait for tracks with pace consumed, s; then the next image is published.", (0.01, 600.0)
    )
    wait_for_subscribers: int = parameter(
        0,
        "Subscriptions to the images, raw and compressed together, that there must be before the first image "
        "is published, count.",
        (0, 64),
        read_only=True,
    )
    loop: bool = parameter(False, "Whether to start over at the end.")
    start_paused: bool = parameter(
        False, "Whether to wait for ~/pause (false) or ~/step before the first image.", read_only=True
    )
    at_end: str = parameter(
        "stay",
        "What to do when the footage is over. stay: say so on ~/status and keep the node. exit: end the "
        "process.",
        choices=("stay", "exit"),
        read_only=True,
    )
    reconnect_period: float = parameter(
        2.0,
        "Time between attempts to open a camera or stream that is not there or broke off, s; 0 to end "
        "instead.",
        (0.0, 600.0),
    )
    stamps: str = parameter(
        "clock",
        "Stamps of the images. clock: when the image was published. footage: the clock at the first image "
        "plus the footage's own time, so that they are as far apart as they were taken; cameras and streams "
        "always have the clock's.",
        choices=("clock", "footage"),
        read_only=True,
    )
    first_stamp: float = parameter(
        0.0,
        "Stamp of the first image with stamps footage, s; 0 for the clock's at that time.",
        (0.0, 4.0e9),
        read_only=True,
    )
    publish_clock: bool = parameter(
        False,
        "Whether to publish each image's stamp on /clock before it, for nodes with use_sim_time.",
        read_only=True,
    )
    frame_id: str = parameter("camera_optical_frame", "frame_id of image and camera_info.", read_only=True)
    encoding: str = parameter(
        "bgr8", "Encoding of the raw images.", choices=("bgr8", "mono8"), read_only=True
    )
    width: int = parameter(
        0,
        "Width that images are resized to, px; 0 keeps it, or with a height the shape.",
        (0, 16384),
        read_only=True,
    )
    height: int = parameter(
        0,
        "Height that images are resized to, px; 0 keeps it, or with a width the shape.",
        (0, 16384),
        read_only=True,
    )
    compressed: bool = parameter(
        False, "Whether to publish image_raw/compressed (JPEG) too, while it is subscribed.", read_only=True
    )
    jpeg_quality: int = parameter(90, "Quality of the JPEG images, percent.", (1, 100))
    camera_info_url: str = parameter(
        "",
        "Calibration file as camera_calibration writes it: a path, or a file:// or package:// URL. Empty: a "
        "camera without distortion is made up from horizontal_fov.",
        read_only=True,
    )
    horizontal_fov: float = parameter(
        1.0472,
        "Angle that the image's width spans, rad, for camera_info where there is no calibration.",
        (0.01, 3.1),
        read_only=True,
    )
    reliability: str = parameter(
        "reliable",
        "Quality of service of the publishers. reliable is heard by every subscription, best_effort by "
        "best-effort ones only.",
        choices=("reliable", "best_effort"),
        read_only=True,
    )
    depth: int = parameter(
        5,
        "Images that a reliable publisher keeps for subscriptions that are behind, count.",
        (1, 1000),
        read_only=True,
    )
