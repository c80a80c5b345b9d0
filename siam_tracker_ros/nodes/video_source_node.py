"""Footage or a camera as images and camera_info on the graph."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import cv2
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from siam_tracker_msgs.msg import TrackArray
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange, SourceError, parse_frame_range
from siam_tracker_ros.footage.player import Player, PlaySettings
from siam_tracker_ros.footage.source import is_camera_or_stream, is_images, open_source
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.camera_info import approximate_camera_info, read_camera_info, scaled_camera_info
from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImagePublisher
from siam_tracker_ros.nodes.image_messages import image_message, jpeg_message
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.parameter_struct import declare, follow_changes, read
from siam_tracker_ros.nodes.video_source_parameters import VideoSourceParameters

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# How long reliable subscribers have to fetch the last images when the footage is over; the rest at the end.
_LAST_IMAGES = Duration(seconds=5)
_LAST_WORD = Duration(seconds=1)
_NS = 1_000_000_000


class VideoSourceNode(Node):  # type: ignore[misc]
    """Publishes `image_raw` (maybe `image_raw/compressed`), `camera_info` and, latched, `~/status`.

    A thread of its own plays the footage; what ends it is kept in `failure`, and told by `until_over`.
    """

    def __init__(self, exchange: ImageExchange | None = None, **options: Any) -> None:
        super().__init__("video_source_node", **options)
        declare(self, VideoSourceParameters)
        self._settings = settings = read(self, VideoSourceParameters)
        self.failure: SiamTrackerError | None = None
        self._over = threading.Event()
        self._state = ""
        self._published = self._left_out = self._unanswered = 0
        self._last_number = -1
        self._first_stamp_ns: int | None = None
        self._answered_ns = -1
        self._infos: dict[tuple[int, int], CameraInfo] = {}
        self._calibration = read_camera_info(settings.camera_info_url) if settings.camera_info_url else None

        images = QoSProfile(
            depth=settings.depth,
            reliability=ReliabilityPolicy.RELIABLE
            if settings.reliability == "reliable"
            else ReliabilityPolicy.BEST_EFFORT,
        )
        self._images = ImagePublisher(self, Image, "image_raw", images, exchange)
        self._jpegs: Any = None
        if settings.compressed:
            topic = f"{self.resolve_topic_name('image_raw')}/compressed"
            self._jpegs = ImagePublisher(self, CompressedImage, topic, images, exchange)
        self._camera_infos = self.create_publisher(CameraInfo, "camera_info", images)
        self._status = self.create_publisher(DiagnosticStatus, "~/status", _LATCHED)
        self._clocks = self.create_publisher(Clock, "/clock", 10) if settings.publish_clock else None
        if settings.pace == "consumed":
            self.create_subscription(TrackArray, "tracks", self._on_tracks, 10)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(Trigger, "~/step", self._on_step)

        self._player = Player(
            _opener(settings, parse_frame_range(settings.frames or None, settings.stride), self._skipped),
            _play_settings(settings),
            self.get_logger().warning,
            is_camera_or_stream(settings.source),
            settings.start_paused,
        )
        follow_changes(self, VideoSourceParameters, self._take)
        self._thread = threading.Thread(target=self._play, name="footage", daemon=True)
        self._thread.start()

    def until_over(self, stop: threading.Event) -> int:
        """Wait until the process is to end; the exit status. Raises what ended the footage too soon."""
        while not stop.wait(0.1):
            if self._over.is_set() and (self.failure is not None or self._settings.at_end == "exit"):
                break
        if self.failure is not None:
            raise self.failure
        return 0

    def close(self) -> None:
        """Stop playing; subscribers get what was published."""
        self._player.stop()
        self._thread.join()
        for publisher in (self._images, self._jpegs, self._camera_infos, self._status):
            if publisher is not None:
                publisher.wait_for_all_acked(_LAST_WORD)

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent."""
        return False

    # The thread that plays

    def _play(self) -> None:
        try:
            self._tell_status("waiting" if self._settings.wait_for_subscribers else "")
            if self._player.wait_until(self._has_subscribers):
                self._tell_status()
                for frame in self._player.play():
                    self._publish(frame)
            if not self._player.stopped():
                self._images.wait_for_all_acked(_LAST_IMAGES)
                self._tell_status("finished")
                self.get_logger().info(f"the footage is over: {self._published} images published")
        except SiamTrackerError as error:
            self._fail(error)
        except Exception as error:
            self._fail(SourceError(f"{type(error).__name__}: {error}"))
        finally:
            self._over.set()

    def _fail(self, error: SiamTrackerError) -> None:
        self.failure = error
        self.get_logger().error(str(error))
        with suppress(Exception):
            self._tell_status("failed", str(error))

    def _has_subscribers(self) -> bool:
        publishers = (self._images, self._jpegs)
        counts = (one.get_subscription_count() for one in publishers if one is not None)
        return bool(sum(counts) >= self._settings.wait_for_subscribers)

    def _publish(self, frame: Frame) -> None:
        image_ns = self._stamp_ns(frame)
        seconds, nanoseconds = divmod(image_ns, _NS)
        header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=self._settings.frame_id)
        pixels = _resized(frame.image, self._settings.width, self._settings.height)
        if self._clocks is not None:
            self._clocks.publish(Clock(clock=header.stamp))
        self._camera_infos.publish(self._camera_info(header, pixels))
        if self._jpegs is not None and self._jpegs.get_subscription_count():
            self._jpegs.publish(jpeg_message(header, pixels, self._settings.jpeg_quality))
        if self._settings.encoding == "mono8":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        self._images.publish(image_message(header, self._settings.encoding, pixels))
        self._published += 1
        self._last_number = frame.number
        if self._settings.pace == "consumed":
            self._wait_for_tracks(image_ns)
        if self._player.paused:
            self._tell_status()

    def _stamp_ns(self, frame: Frame) -> int:
        """The stamp, ns; unlike what clocks give, it always grows."""
        footage = self._settings.stamps == "footage" and not is_camera_or_stream(self._settings.source)
        now_ns = int(self.get_clock().now().nanoseconds)
        if not footage:
            return now_ns
        if self._first_stamp_ns is None:
            self._first_stamp_ns = round(self._settings.first_stamp * _NS) or now_ns
        return self._first_stamp_ns + round(frame.time * _NS)

    def _camera_info(self, header: Header, pixels: Any) -> CameraInfo:
        height, width = pixels.shape[:2]
        info = self._infos.get((width, height))
        if info is None:
            if self._calibration is not None:
                info = scaled_camera_info(self._calibration, width, height)
            else:
                info = approximate_camera_info(width, height, self._settings.horizontal_fov)
                self.get_logger().info(
                    f"camera_info is approximate: {self._settings.horizontal_fov:g} rad across {width} px "
                    "(horizontal_fov), no distortion; name a calibration in camera_info_url to measure angles"
                )
            self._infos[width, height] = info
        info.header = header
        return info

    def _wait_for_tracks(self, image_ns: int) -> None:
        timeout_s = self._settings.consumer_timeout
        if self._player.wait_until(lambda: self._answered_ns >= image_ns, timeout_s):
            return
        if not self._player.stopped():
            self._unanswered += 1
            self.get_logger().warning(
                f"no tracks came for an image within {timeout_s:g} s, {self._unanswered} times until now: "
                f"is the tracker active, and does it publish {self.resolve_topic_name('tracks')}?",
                throttle_duration_sec=5.0,
            )

    # What the executor calls

    def _on_tracks(self, message: TrackArray) -> None:
        self._answered_ns = stamp_ns(message.header.stamp)
        self._player.notify()

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._over.is_set():
            response.message = "the footage is over"
            return response
        self._player.pause(request.data)
        self._tell_status()
        response.success, response.message = True, "paused" if request.data else "playing"
        return response

    def _on_step(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._over.is_set():
            response.message = "the footage is over"
            return response
        self._player.step()
        response.success, response.message = True, "one image, then paused"
        return response

    def _take(self, settings: VideoSourceParameters) -> None:
        self._settings = settings
        self._player.settings = _play_settings(settings)

    def _skipped(self, text: str) -> None:
        self._left_out += 1
        self.get_logger().warning(text)

    def _tell_status(self, state: str = "", message: str = "") -> None:
        state = state or ("paused" if self._player.paused else "playing")
        level = DiagnosticStatus.ERROR if state == "failed" else DiagnosticStatus.OK
        values = {
            "state": state,
            "source": self._settings.source,
            "frames_published": self._published,
            "frames_left_out": self._left_out,
            "frames_without_tracks": self._unanswered,
            "last_frame": self._last_number,
        }
        self._status.publish(
            DiagnosticStatus(
                level=level,
                name=f"{self.get_fully_qualified_name().lstrip('/')}: footage",
                message=message or state,
                values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
            )
        )


def _play_settings(settings: VideoSourceParameters) -> PlaySettings:
    rate = settings.rate or (math.inf if settings.pace == "consumed" else 0.0)
    return PlaySettings(rate, settings.loop, settings.reconnect_period)


def _opener(
    settings: VideoSourceParameters, wanted: FrameRange, on_skip: Callable[[str], None]
) -> Callable[[Callable[[], bool]], Footage]:
    if not settings.source:
        raise SourceError("the parameter source is empty: name a video file, a folder of images or a camera")
    folder_rate = settings.folder_rate if is_images(settings.source) else None

    def open_footage(stopped: Callable[[], bool]) -> Footage:
        return open_source(settings.source, wanted, on_skip, folder_rate, stopped)

    return open_footage


def _resized(image: Any, width: int, height: int) -> Any:
    """`image` at `width` x `height` px, 0 for what follows from the other; both 0 for the image as it is."""
    rows, columns = image.shape[:2]
    width = width or (round(columns * height / rows) if height else columns)
    height = height or round(rows * width / columns)
    if (width, height) == (columns, rows):
        return image
    smaller = width * height < rows * columns
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until its footage is over or it is told to end; the exit status."""
    return run_node(VideoSourceNode, argv, VideoSourceNode.until_over)


if __name__ == "__main__":
    sys.exit(main())
