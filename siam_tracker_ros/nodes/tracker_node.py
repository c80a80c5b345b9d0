"""The tracker as a lifecycle node: converts messages and hands them to the worker that owns the device."""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future as Reply
from typing import Any, TypeVar

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from siam_tracker_msgs.msg import BoundingBox2D, TrackArray, TrackerStatus
from siam_tracker_msgs.srv import InitTarget, StopTarget
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.latency import stages_ms
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.detections import detection_array, vision_messages
from siam_tracker_ros.nodes.frame_converter import FrameConverter
from siam_tracker_ros.nodes.image_exchange import ImageExchange, ImageSubscription
from siam_tracker_ros.nodes.image_topic import image_topic, mismatches, silence
from siam_tracker_ros.nodes.init_request import InitRefusedError, InitRequest, Refusal, request_of
from siam_tracker_ros.nodes.load_tracker import LoadedTracker, load_tracker
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.parameter_struct import declare, follow_changes, read
from siam_tracker_ros.nodes.rolling import RollingRate, RollingTimes
from siam_tracker_ros.nodes.track_messages import debug_image, mask_image, track_array
from siam_tracker_ros.nodes.tracker_diagnostics import TrackerHealth, diagnostic_status
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters
from siam_tracker_ros.nodes.tracking_worker import FrameReport, NotActiveError, Started, TrackingWorker
from siam_tracker_ros.nodes.transitions import OrderlyLifecycleNode, lifecycle_state, transition
from siam_tracker_ros.tracking.crop import AnyFrame

T = TypeVar("T")

INIT_BOX_ID = "init_box"
"""Name of the target that boxes on the topic of the same name start, and start over."""
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# How long readers have to fetch the last message.
_LAST_WORD = Duration(seconds=1)


class TrackerNode(OrderlyLifecycleNode):
    """Publishes `tracks`, `mask`, `debug_image`, `status` and diagnostics of the targets in `image`.

    Services, status and diagnostics are there as long as the node, so that an inactive one says that it is;
    the network and the publishers of results from configure to cleanup; the image subscription and the
    thread while active.
    """

    def __init__(self, exchange: ImageExchange | None = None, **options: Any) -> None:
        super().__init__("tracker_node", **options)
        self._exchange = exchange
        declare(self, TrackerParameters)
        self._settings = read(self, TrackerParameters)
        self._loaded: LoadedTracker | None = None
        self._worker: TrackingWorker | None = None
        self._tracks: Any = None
        self._mask: Any = None
        self._debug_image: Any = None
        self._debugged = 0.0
        self._detections: Any = None
        self._vision_messages = vision_messages()
        self._converter = FrameConverter()
        self._image_subscription: ImageSubscription | None = None
        self._box_subscription: Any = None
        self._image_topic = image_topic(self, self._settings)
        self._last_init_error = ""
        self._last_status: TrackerStatus | None = None
        self._status_lock = threading.Lock()
        self._open_requests = 0
        self._quiet_since = time.monotonic()
        self._newest_stamp_ns: int | None = None
        self._images, self._tracked, self._times = RollingRate(), RollingRate(), RollingTimes()

        self._status = self.create_publisher(TrackerStatus, "status", _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Answers are waited for: in the default group nothing else would run meanwhile, images neither.
        requests = ReentrantCallbackGroup()
        self.create_service(InitTarget, "init_target", self._on_init_target, callback_group=requests)
        self.create_service(StopTarget, "stop_target", self._on_stop_target, callback_group=requests)
        self.create_service(SetBool, "~/enable", self._on_enable, callback_group=requests)
        # Diagnostics go on where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            self._settings.diagnostics_period, self._publish_diagnostics, clock=steady
        )
        self._watch = self.create_timer(0.2, self.on_change, clock=steady)
        follow_changes(self, TrackerParameters, self._take_parameters, self._is_unconfigured)
        self.on_change()

    # Transitions

    @transition
    def on_configure(self) -> None:
        """Read the parameters, load and warm up the network, make the publishers. All or nothing."""
        self._trouble = ""
        self._settings = read(self, TrackerParameters)
        self._loaded = load_tracker(self._settings)
        tracker = self._loaded.tracker
        self._worker = TrackingWorker(tracker, self._settings, self._convert, self)
        self._tracks = self.create_lifecycle_publisher(TrackArray, "tracks", 10)
        self._mask = self.create_lifecycle_publisher(Image, "mask", 1)
        self._debug_image = self.create_lifecycle_publisher(Image, "debug_image", 1)
        if self._vision_messages is not None:
            array = self._vision_messages.Detection2DArray
            self._detections = self.create_lifecycle_publisher(array, "detections", 10)
        if self._converter.trouble:
            self.get_logger().warning(self._converter.trouble)
        self.get_logger().info(
            f"configured: {tracker.entry.name} on {tracker.device_note}; {tracker.engine_note}"
        )
        self.on_change()

    @transition
    def on_activate(self) -> None:
        """Start the worker, then listen for images and boxes."""
        self._trouble = ""
        super().on_activate(None)
        self._images, self._tracked, self._times = RollingRate(), RollingRate(), RollingTimes()
        self._quiet_since = time.monotonic()
        self._active_worker.start()
        topic = image_topic(self, self._settings)
        self._image_topic = topic
        self._image_subscription = ImageSubscription(
            self, topic, self._on_image, self._exchange, any_thread=True
        )
        self._box_subscription = self.create_subscription(BoundingBox2D, "init_box", self._on_init_box, 1)
        self.on_change()

    def close(self) -> None:
        """What shutdown does, also from within a failed transition; the last messages go out."""
        try:
            self._deactivate()
            self._publish_status(TrackerStatus.INACTIVE, "the node is gone")
            self._status.wait_for_all_acked(_LAST_WORD)
        finally:
            self._clean_up()

    def has_open_requests(self) -> bool:
        """Whether an answer is still to be sent."""
        return self._open_requests > 0

    def _deactivate(self) -> None:
        """Stop listening, then the worker: its targets are published LOST. The network stays."""
        if self._image_subscription is not None:
            self._image_subscription.close()
        if self._box_subscription is not None:
            self.destroy_subscription(self._box_subscription)
        self._image_subscription = self._box_subscription = None
        if self._worker is not None and not self._worker.stop():
            raise SiamTrackerError("the tracker did not finish its image in time")
        if self._tracks is not None:
            # A process that ends takes with it what its readers have not fetched yet.
            self._tracks.wait_for_all_acked(_LAST_WORD)
        for publisher in self._result_publishers:
            publisher.on_deactivate(None)

    def _clean_up(self) -> None:
        """Let go of the network, the device's memory and the publishers of results."""
        for publisher in self._result_publishers:
            self.destroy_lifecycle_publisher(publisher)
        self._tracks = self._mask = self._debug_image = self._detections = None
        self._worker = self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @property
    def _result_publishers(self) -> list[Any]:
        made = (self._tracks, self._mask, self._debug_image, self._detections)
        return [publisher for publisher in made if publisher is not None]

    @property
    def _active_worker(self) -> TrackingWorker:
        if self._worker is None:
            raise NotActiveError("the node is not configured: configure and activate it first")
        return self._worker

    # Parameters

    def _take_parameters(self, settings: TrackerParameters) -> None:
        self._settings = settings
        self._timer.timer_period_ns = round(self._settings.diagnostics_period * 1e9)
        if self._worker is not None:
            self._worker.set_parameters(self._settings)

    # Images

    def _on_image(self, message: Any) -> None:
        now = time.monotonic()
        self._images.tick(now)
        self._quiet_since = now
        self._newest_stamp_ns = stamp_ns(message.header.stamp)
        self._active_worker.offer(message, self.get_clock().now().nanoseconds)

    def _convert(self, message: Any) -> AnyFrame:
        return self._converter.unconverted(message, self._settings.mono16_full_scale)

    # What the worker tells; called from its thread

    def on_report(self, report: FrameReport) -> None:
        """Publish what was found in an image."""
        worker, stages = self._active_worker, report.stages
        message = track_array(report, worker.counts, self._settings.mask_encoding)
        message.received.sec, message.received.nanosec = divmod(report.image.received_ns, 1_000_000_000)
        if stages is not None:
            # All of the image's time but that of the other two, so that together they leave no gap.
            taken_ms = (time.perf_counter() - report.begun_s) * 1e3
            message.postprocess_ms = max(0.0, taken_ms - stages.preprocess - stages.inference)
        published_ns = self.get_clock().now().nanoseconds
        message.published.sec, message.published.nanosec = divmod(published_ns, 1_000_000_000)
        self._tracks.publish(message)
        if self.masks_wanted():
            self._mask.publish(mask_image(report))
        self._publish_debug_image(report)
        if self._detections is not None and self._vision_messages is not None:
            self._detections.publish(detection_array(report, self._vision_messages))
        if stages is not None:
            self._tracked.tick(time.monotonic())
            self._times.record(**stages_ms(message), latency=(published_ns - report.image.received_ns) / 1e6)

    def _publish_debug_image(self, report: FrameReport) -> None:
        now = time.monotonic()
        due = self._debugged + 1.0 / self._settings.debug_image_rate
        if now >= due and self._debug_image.get_subscription_count():
            self._debugged = now
            frame = self._converter(report.image.message, self._settings.mono16_full_scale)
            self._debug_image.publish(debug_image(report, frame))

    def on_warning(self, text: str) -> None:
        """Log it."""
        self.get_logger().warning(text)

    def masks_wanted(self) -> bool:
        """Whether anybody reads the topic mask."""
        return self._mask is not None and self._mask.get_subscription_count() > 0

    def on_change(self) -> None:
        """Publish the status if it is another than before."""
        self._publish_status(*self._present_status())

    def _present_status(self) -> tuple[int, str]:
        worker = self._worker
        if self._trouble:
            return TrackerStatus.ERROR, self._trouble
        if worker is None or self._image_subscription is None:
            return TrackerStatus.INACTIVE, f"{'' if worker else 'not configured, '}not activated"
        if worker.error:
            return TrackerStatus.ERROR, worker.error
        if not worker.enabled:
            return TrackerStatus.DISABLED, "switched off by ~/enable"
        quiet_s = time.monotonic() - self._quiet_since
        if quiet_s > self._settings.no_images_after:
            return TrackerStatus.NO_IMAGES, self._silence()
        return (TrackerStatus.TRACKING if worker.target_ids else TrackerStatus.IDLE), ""

    def _silence(self) -> str:
        subscription = self._image_subscription
        handed_over = subscription is not None and subscription.handed_over
        return silence(self, self._image_topic, self._settings.no_images_after, handed_over)

    def _publish_status(self, state: int, text: str) -> None:
        loaded, worker = self._loaded, self._worker
        message = TrackerStatus(
            state=state,
            message=text,
            model=loaded.tracker.entry.name if loaded else "",
            weights_sha256=loaded.weights_sha256 if loaded else "",
            device=str(loaded.tracker.device) if loaded else "",
            target_ids=worker.target_ids if worker else [],
            max_targets=self._settings.max_targets,
        )
        with self._status_lock:
            if self._last_status is not None:
                message.stamp = self._last_status.stamp
            if message == self._last_status:
                return
            message.stamp = self.get_clock().now().to_msg()
            self._last_status = message
            self._status.publish(message)

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        name = f"{self.get_fully_qualified_name().lstrip('/')}: tracker"
        message.status.append(diagnostic_status(name, self._health()))
        self._diagnostics.publish(message)

    def _health(self) -> TrackerHealth:
        worker, loaded = self._worker, self._loaded
        if worker is None or loaded is None:
            return TrackerHealth(lifecycle_state(self), self._trouble, last_init_error=self._last_init_error)
        now, active = time.monotonic(), self._image_subscription is not None
        quiet_s = now - self._quiet_since
        silent = active and worker.enabled and quiet_s > self._settings.no_images_after
        age_s = None
        if self._newest_stamp_ns is not None and active:
            age_s = (self.get_clock().now().nanoseconds - self._newest_stamp_ns) / 1e9
        return TrackerHealth(
            lifecycle=lifecycle_state(self),
            trouble=self._trouble or worker.error,
            silence=self._silence() if silent else "",
            unheard=tuple(mismatches(self, self._image_topic)) if active else (),
            enabled=worker.enabled,
            image_rate=self._images.per_second(now),
            track_rate=self._tracked.per_second(now),
            image_age_s=age_s,
            counts=worker.counts,
            stage_ms=self._times.percentiles(50, 99),
            targets=tuple(worker.target_ids),
            model=loaded.tracker.entry.name,
            device=str(loaded.tracker.device),
            engine=f"{loaded.tracker.engine.name} {loaded.tracker.engine.precision}",
            buffered=worker.buffered,
            last_init_error=self._last_init_error,
        )

    # Requests

    async def _on_init_target(
        self, request: InitTarget.Request, response: InitTarget.Response
    ) -> InitTarget.Response:
        wanted = request_of(request.bbox, request.header, request.id, request.normalized)
        try:
            started: Started = await self._answer_to(lambda: self._active_worker.init(wanted))
        except Exception as error:
            response.error_code, response.message = self._refused(wanted, error)
            response.id, response.header = request.id, request.header
            return response
        response.success, response.id, response.header = True, started.id, started.header
        return response

    def _on_init_box(self, box: BoundingBox2D) -> None:
        wanted = request_of(box, id=INIT_BOX_ID)

        def tell(reply: Reply[Started]) -> None:
            error = reply.exception()
            if error is not None:
                self._refused(wanted, error)

        self._active_worker.init(wanted).add_done_callback(tell)

    def _refused(self, request: InitRequest, error: BaseException) -> tuple[int, str]:
        if isinstance(error, InitRefusedError):
            code, text = error.code, str(error)
        elif isinstance(error, NotActiveError):
            code, text = Refusal.INACTIVE, str(error)
        else:
            code, text = Refusal.INTERNAL, f"{type(error).__name__}: {error}"
            self.get_logger().error("".join(traceback.format_exception(error)))
        self._last_init_error = text
        self.get_logger().warning(f"init of target '{request.id}' refused: {text}")
        return code, text

    async def _on_stop_target(
        self, request: StopTarget.Request, response: StopTarget.Response
    ) -> StopTarget.Response:
        try:
            response.stopped_ids = await self._answer_to(lambda: self._active_worker.drop(request.id))
            response.success = True
        except KeyError:
            response.error_code = StopTarget.Response.UNKNOWN_ID
            response.message = f"no target is called '{request.id}'"
        except NotActiveError as error:
            response.error_code, response.message = StopTarget.Response.INACTIVE, str(error)
        except Exception as error:
            response.error_code = StopTarget.Response.INTERNAL
            response.message = f"{type(error).__name__}: {error}"
            self.get_logger().error(traceback.format_exc())
        return response

    async def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            await self._answer_to(lambda: self._active_worker.enable(request.data))
            self._quiet_since = time.monotonic()
            response.success = True
            response.message = "tracking is on" if request.data else "tracking is off, targets are dropped"
        except Exception as error:
            response.message = str(error)
        return response

    def _answer_to(self, ask: Callable[[], Reply[T]]) -> Awaitable[T]:
        """The worker's answer, waited for without holding up the executor."""
        answer: Any = Future()
        self._open_requests += 1

        def hand_over(reply: Reply[T]) -> None:
            error = reply.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(reply.result())
            if self.executor is not None:
                self.executor.wake()

        async def wait() -> T:
            try:
                ask().add_done_callback(hand_over)
                result: T = await answer
                return result
            finally:
                self._open_requests -= 1

        return wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the exit status."""
    return run_node(TrackerNode, argv)


if __name__ == "__main__":
    sys.exit(main())
