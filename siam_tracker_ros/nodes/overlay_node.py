"""A node that draws tracks into the images they were found in, for people to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.footage.annotate import draw_results
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.frame_converter import FrameConverter
from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImageSubscription
from siam_tracker_ros.nodes.image_messages import image_message, jpeg_message
from siam_tracker_ros.nodes.image_topic import image_topic, silence
from siam_tracker_ros.nodes.joined_images import JoinedImages
from siam_tracker_ros.nodes.message_filters_fallback import find_message_filters
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.overlay_parameters import OverlayParameters
from siam_tracker_ros.nodes.parameter_struct import declare, follow_changes, read
from siam_tracker_ros.nodes.shown_image import shown_image
from siam_tracker_ros.nodes.trails import Trails

# How often it is looked who listens and which image has waited long enough, s.
_LOOK_S = 0.05
# Least time between two lines in the log about the same, and without an image before the first, s.
_QUIET_S = 10.0


class OverlayNode(Node):  # type: ignore[misc]
    """Publishes `overlay` and `overlay/compressed`: the images of `image` with their `tracks` drawn in.

    Tracks belong to the image with exactly their stamp, and the header is that image's. Images are read, and
    drawn in, only while somebody looks.
    """

    def __init__(self, exchange: ImageExchange | None = None, **options: Any) -> None:
        super().__init__("overlay_node", **options)
        self._exchange = exchange
        declare(self, OverlayParameters)
        self._settings = read(self, OverlayParameters)
        self._filters = find_message_filters()
        self._convert = FrameConverter()
        if self._convert.trouble:
            self.get_logger().warning(self._convert.trouble)
        settings = self._settings
        self._joined = JoinedImages(self._filters, self._show, settings.max_wait, settings.max_images)
        self._trails = Trails(settings.trail_seconds)
        self._images: ImageSubscription | None = None
        self._quiet_since_s = 0.0
        self._overlay = self.create_publisher(Image, "overlay", 1)
        self._jpeg = self.create_publisher(CompressedImage, "overlay/compressed", 1)
        tracks = self._filters.Subscriber(self, TrackArray, "tracks", qos_profile=10)
        tracks.registerCallback(self._on_tracks)
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        follow_changes(self, OverlayParameters, self._take_parameters)

    def close(self) -> None:
        """Nothing has to be said at the end."""

    def has_open_requests(self) -> bool:
        """It serves none."""
        return False

    def _take_parameters(self, settings: OverlayParameters) -> None:
        self._settings = settings
        self._trails.seconds = settings.trail_seconds
        self._joined.set_bounds(settings.max_wait, settings.max_images)
        # The next look subscribes again, with what may have changed.
        self._stop_reading()

    def _look(self) -> None:
        """Read images while somebody looks at the overlay; put out those that have waited long enough."""
        now = time.monotonic()
        watched = bool(self._overlay.get_subscription_count() or self._jpeg.get_subscription_count())
        if watched and self._images is None:
            topic = image_topic(self, self._settings)
            self._images = ImageSubscription(self, topic, self._on_image, self._exchange)
            self._quiet_since_s = now
        elif not watched:
            self._stop_reading()
        self._joined.let_go(now)
        if self._images is not None and now - self._quiet_since_s > _QUIET_S:
            self._quiet_since_s = now
            topic = image_topic(self, self._settings)
            self.get_logger().warning(silence(self, topic, _QUIET_S, self._images.handed_over))

    def _stop_reading(self) -> None:
        if self._images is not None:
            self._images.close()
            self._images = None
            self._joined.forget()

    def _on_image(self, message: Any) -> None:
        self._quiet_since_s = time.monotonic()
        self._joined.add_image(message, self._quiet_since_s)

    def _on_tracks(self, message: TrackArray) -> None:
        self._trails.add(message)
        if self._images is None:
            return
        self._joined.add_tracks(message)
        if self._joined.tracks_come_late:
            self.get_logger().warning(
                f"tracks come more than {self._settings.max_wait:g} s after their images, which were shown "
                f"without them: raise max_wait",
                throttle_duration_sec=_QUIET_S,
            )

    def _show(self, image: Any, tracks: TrackArray | None) -> None:
        shown = shown_image(self, self._convert, image, tracks, self._settings.mono16_full_scale)
        if shown is None:
            return
        drawn = draw_results(*shown, heading(tracks), self._trails.points())
        if self._overlay.get_subscription_count():
            self._overlay.publish(image_message(image.header, "bgr8", drawn))
        if self._jpeg.get_subscription_count():
            self._jpeg.publish(jpeg_message(image.header, drawn, self._settings.jpeg_quality))


def heading(tracks: TrackArray | None) -> str:
    """What the picture says at its top: the tracker's latency, and what is amiss."""
    if tracks is None:
        return "no tracks"
    latency_ms = (stamp_ns(tracks.published) - stamp_ns(tracks.received)) / 1e6
    words = [f"latency {latency_ms:.0f} ms"]
    if tracks.dropped_frames:
        words.append(f"{tracks.dropped_frames} dropped")
    if not tracks.tracks:
        words.append("no target")
    return "   ".join(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the exit status."""
    return run_node(OverlayNode, argv)


if __name__ == "__main__":
    sys.exit(main())
