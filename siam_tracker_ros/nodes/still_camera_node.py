"""A camera that sees one picture, for measuring: it costs no more than publishing an image does."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from siam_tracker_ros.footage.frames import SourceError
from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImagePublisher
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.parameter_struct import declare, parameter, read


@dataclass(frozen=True)
class StillCameraParameters:
    """What it sees, and how often."""

    picture: str = parameter("", "Picture file.", read_only=True)
    rate: float = parameter(30.0, "Images per second.", (0.1, 1000.0), read_only=True)


class StillCameraNode(Node):  # type: ignore[misc]
    """Publishes `image_raw` (bgr8, stamped when published) at an even rate, each with its `camera_info`."""

    def __init__(self, exchange: ImageExchange | None = None, **options: Any) -> None:
        super().__init__("still_camera_node", **options)
        declare(self, StillCameraParameters)
        settings = read(self, StillCameraParameters)
        self._period_s = 1.0 / settings.rate
        picture = cv2.imread(settings.picture)
        if picture is None:
            raise SourceError(f"no picture at '{settings.picture}'")
        self._whole = image_message(Header(frame_id="camera"), "bgr8", picture)  # type: ignore[arg-type]
        self._images = ImagePublisher(self, Image, "image_raw", qos_profile_sensor_data, exchange)
        self._infos = self.create_publisher(CameraInfo, "camera_info", 100)

    def play(self, stop: threading.Event) -> int:
        """Publish until `stop` is set; the exit status."""
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            self._publish()
            # Late ones are not made up for: a camera has no backlog.
            due = max(due + self._period_s, time.monotonic() - self._period_s)
        return 0

    def _publish(self) -> None:
        whole = self._whole
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=whole.header.frame_id)
        # A message of its own, as who reads it keeps it; the pixels are never written to.
        image = Image(
            header=header,
            height=whole.height,
            width=whole.width,
            encoding=whole.encoding,
            step=whole.step,
            data=whole.data,
        )
        self._images.publish(image)
        self._infos.publish(CameraInfo(header=header, height=whole.height, width=whole.width))

    def close(self) -> None:
        """Nothing has to be said at the end."""

    def has_open_requests(self) -> bool:
        """It serves none."""
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the exit status."""
    return run_node(StillCameraNode, argv, StillCameraNode.play)


if __name__ == "__main__":
    sys.exit(main())
