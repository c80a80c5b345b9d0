"""The one thread that owns the tracker's device.

Images are offered by whoever receives them and only the newest is tracked in; requests are queued and carried
out between two images, each answered through a future, in bounded time also where no image comes. A target
started on a past image is tracked through the kept ones, a step after each new image, so that the others do
not wait for it. Knows messages only by their header and data.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.image_conversion import ImageConversionError
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.frame_buffer import FrameBuffer, StampedImage
from siam_tracker_ros.nodes.init_request import (
    InitRefusedError,
    InitRequest,
    Refusal,
    box_in_frame,
    check_numbers,
)
from siam_tracker_ros.nodes.live_targets import LiveTarget, LiveTargets, TargetReport
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters
from siam_tracker_ros.tracking.crop import AnyFrame
from siam_tracker_ros.tracking.errors import InvalidBoxError
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.stage_times import StageMs

Convert = Callable[[Any], AnyFrame]
_MIB = 1 << 20
# Least time between two lines in the log about the same trouble, s.
_QUIET_S = 5.0


class NotActiveError(SiamTrackerError, RuntimeError):
    """A request to a worker that does not run."""


@dataclass(frozen=True)
class FrameReport:
    """What was found in one image, of `width` x `height` px, and how long its stages took.

    Converting the image counts as preprocessing, taking new targets as inference; None if nothing was sought.
    `begun_s` is when the worker took the image up, on time.perf_counter's clock.
    """

    image: StampedImage
    width: int
    height: int
    targets: list[TargetReport]
    stages: StageMs | None = None
    begun_s: float = 0.0


@dataclass(frozen=True)
class Started:
    """The answer to an init request that was granted; `header` is that of the image used."""

    id: str
    header: Any


@dataclass(frozen=True)
class Counts:
    """Images since activation: that came, passed over for a newer one, and refused by the conversion."""

    received: int = 0
    dropped: int = 0
    refused: int = 0


class Listener(Protocol):
    """Who is told; called from the worker's thread."""

    def on_report(self, report: FrameReport) -> None:
        """An image was tracked in, or targets were dropped (then they are LOST in it)."""

    def on_change(self) -> None:
        """Targets came or went, or an error did."""

    def on_warning(self, text: str) -> None:
        """Something people should read."""

    def masks_wanted(self) -> bool:
        """Whether anybody reads masks besides those in the tracks."""


class _Pending:
    """A request for the next image, and when it has waited long enough (steady clock, s)."""

    def __init__(self, request: InitRequest, reply: Future[Started], deadline: float) -> None:
        self.request, self.reply, self.deadline = request, reply, deadline


class TrackingWorker:
    """Tracks in the newest image, in a thread of its own between `start` and `stop`.

    Every public method may be called from any thread. A worker starts and stops any number of times;
    generations of targets go on counting.
    """

    def __init__(
        self, tracker: SiamTracker, parameters: TrackerParameters, convert: Convert, listener: Listener
    ) -> None:
        self._tracker, self._convert, self._listener = tracker, convert, listener
        self._parameters = parameters
        self._changed = threading.Condition()
        self._buffer = FrameBuffer(parameters.buffer_seconds, parameters.buffer_mib * _MIB)
        self._newest: StampedImage | None = None
        self._newest_stamp: int | None = None
        self._commands: list[Callable[[], None]] = []
        self._counts = Counts()
        self._enabled = True
        self._stopping = True
        self._thread: threading.Thread | None = None
        self._warned: dict[str, float] = {}
        self._error = ""
        # Touched by the thread alone:
        self._targets = LiveTargets()
        self._pending: list[_Pending] = []
        self._last: tuple[StampedImage, int, int] | None = None

    @property
    def counts(self) -> Counts:
        """Images since `start`."""
        with self._changed:
            return self._counts

    @property
    def target_ids(self) -> list[str]:
        """Names of the live targets."""
        return self._targets.ids

    @property
    def enabled(self) -> bool:
        """Whether images are tracked in."""
        return self._enabled

    @property
    def error(self) -> str:
        """What went wrong in the last image; empty if nothing did."""
        return self._error

    @property
    def buffered(self) -> tuple[int, int, float]:
        """Images kept, their bytes, and the seconds they span."""
        with self._changed:
            return len(self._buffer), self._buffer.total_bytes, self._buffer.span_s

    def start(self) -> None:
        """Start the thread, enabled and with no targets. Raises NotActiveError where one still runs."""
        if self._thread is not None:
            raise NotActiveError("the tracker is still in its last image")
        with self._changed:
            self._stopping, self._enabled = False, True
            self._counts, self._error = Counts(), ""
            self._newest_stamp = None
        self._last = None
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the thread after the image it is in; targets are reported LOST and open requests refused.

        False if it did not end in time.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def set_parameters(self, parameters: TrackerParameters) -> None:
        """Go on with other parameters."""
        with self._changed:
            self._parameters = parameters
            self._buffer.resize(parameters.buffer_seconds, parameters.buffer_mib * _MIB)

    def offer(self, message: Any, received_ns: int) -> None:
        """Take an image message that came at `received_ns` of the node's clock. Never waits for tracking.

        A stamp before the last one (a bag that was started over) lets go of all targets and kept images.
        """
        image = StampedImage(stamp_ns(message.header.stamp), received_ns, message, len(message.data))
        with self._changed:
            self._count(received=1)
            if self._stopping or not self._enabled:
                return
            last = self._newest_stamp
            if last is not None and image.stamp_ns < last:
                behind_s = (last - image.stamp_ns) / 1e9
                self._buffer.clear()
                self._count(dropped=int(self._newest is not None))
                self._newest = None
                self._commands.append(lambda: self._time_went_back(behind_s))
            self._count(dropped=int(self._newest is not None))
            self._newest, self._newest_stamp = image, image.stamp_ns
            self._buffer.append(image)
            self._changed.notify()

    def init(self, request: InitRequest) -> Future[Started]:
        """Start a target. The future holds InitRefusedError where the request is refused."""
        deadline = time.monotonic() + self._parameters.request_timeout

        def carry_out(reply: Future[Started]) -> None:
            check_numbers(request)
            if not self._enabled:
                raise InitRefusedError(
                    Refusal.INACTIVE, "the node is disabled: call ~/enable with true first"
                )
            self._check_room(request)
            if request.stamp_ns:
                reply.set_result(self._init_on_past_image(request))
            else:
                self._pending.append(_Pending(request, reply, deadline))

        return self._submit(carry_out)

    def drop(self, id: str) -> Future[list[str]]:
        """Stop tracking a target, or all where `id` is empty; the future holds the names, or KeyError."""

        def carry_out(reply: Future[list[str]]) -> None:
            if id and id not in self._targets:
                raise KeyError(id)
            ids = [id] if id else self._targets.ids
            self._report_lost(ids)
            reply.set_result(ids)

        return self._submit(carry_out)

    def enable(self, enabled: bool) -> Future[None]:
        """Track in images, or let go of all targets and stop until enabled again."""

        def carry_out(reply: Future[None]) -> None:
            if enabled == self._enabled:
                reply.set_result(None)
                return
            with self._changed:
                self._enabled = enabled
                self._newest = None
                self._buffer.clear()
                self._newest_stamp = None
            if not enabled:
                self._refuse_pending(Refusal.INACTIVE, "the node was disabled")
                self._report_lost(self._targets.ids)
                self._last = None
            self._listener.on_change()
            reply.set_result(None)

        return self._submit(carry_out)

    def _submit(self, carry_out: Callable[[Future[Any]], None]) -> Future[Any]:
        reply: Future[Any] = Future()

        def command() -> None:
            try:
                carry_out(reply)
            except Exception as error:
                reply.set_exception(error)

        with self._changed:
            if self._stopping:
                reply.set_exception(NotActiveError("the node is not active: activate it first"))
            else:
                self._commands.append(command)
                self._changed.notify()
        return reply

    def _count(self, received: int = 0, dropped: int = 0, refused: int = 0) -> None:
        with self._changed:
            before = self._counts
            self._counts = Counts(
                before.received + received, before.dropped + dropped, before.refused + refused
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, self._wait_s())
                commands, self._commands = self._commands, []
                image, self._newest = self._newest, None
                stopping = self._stopping
            for command in commands:
                self._guarded(command)
            if stopping:
                break
            self._refuse_late()
            # A command may just have disabled it.
            if image is not None and self._enabled:
                self._guarded(partial(self._track_in, image))
            self._guarded(self._catch_up)
        self._refuse_pending(Refusal.INACTIVE, "the node was deactivated")
        self._guarded(lambda: self._report_lost(self._targets.ids))
        with self._changed:
            self._buffer.clear()
            self._newest = None

    def _guarded(self, step: Callable[[], None]) -> None:
        """Carry out a step; whatever it raises, the thread lives, and the targets are dropped."""
        try:
            step()
        except Exception as error:
            self._failed(error)

    def _has_work(self) -> bool:
        return bool(self._stopping or self._commands or self._newest is not None or self._targets.behind)

    def _wait_s(self) -> float | None:
        if not self._pending:
            return None
        return max(0.0, min(one.deadline for one in self._pending) - time.monotonic())

    def _track_in(self, image: StampedImage) -> None:
        started = time.perf_counter()
        try:
            frame = self._convert(image.message)
        except ImageConversionError as error:
            self._count(refused=1)
            self._warn(f"image refused: {error}", type(error).__name__)
            return
        converted = time.perf_counter()
        height, width = frame.shape[:2]
        self._drop_if_another_camera(image, width, height)
        self._last = (image, width, height)
        present, stages = self._targets.present, StageMs()
        if present:
            results = self._tracker.track(
                frame, [live.target for live in present], self._masks(), image.stamp_ns / 1e9
            )
            stages = self._tracker.stages.milliseconds
            for live, result in zip(present, results, strict=True):
                live.advance(result, image.stamp_ns)
        tracked = time.perf_counter()
        self._start_pending(image, frame)
        taken = time.perf_counter()
        stages = stages._replace(
            preprocess=stages.preprocess + (converted - started) * 1e3,
            inference=stages.inference + (taken - tracked) * 1e3,
        )
        self._report([live.report() for live in self._targets.present], stages, started)
        if self._error:
            self._error = ""
            self._listener.on_change()

    def _report(
        self, targets: list[TargetReport], stages: StageMs | None = None, begun_s: float = 0.0
    ) -> None:
        if self._last is not None:
            self._listener.on_report(FrameReport(*self._last, targets, stages, begun_s))

    def _masks(self) -> bool:
        parameters = self._parameters
        wanted = parameters.rotated_box or parameters.mask_encoding != "none" or self._listener.masks_wanted()
        return wanted and self._tracker.has_masks

    def _drop_if_another_camera(self, image: StampedImage, width: int, height: int) -> None:
        if self._last is None or not len(self._targets):
            return
        before, old_width, old_height = self._last
        old_id, new_id = before.message.header.frame_id, image.message.header.frame_id
        if (old_width, old_height) != (width, height):
            change = f"the images' size changed from {old_width} x {old_height} to {width} x {height} px"
        elif old_id != new_id:
            change = f"the images' frame_id changed from '{old_id}' to '{new_id}'"
        else:
            return
        self._drop_all(change, "camera")

    def _drop_all(self, why: str, kind: str) -> None:
        count = len(self._targets)
        self._warn(f"{why}: {count} target{'s' * (count != 1)} dropped", kind)
        self._report_lost(self._targets.ids)

    def _time_went_back(self, by_s: float) -> None:
        self._drop_all(f"image time went back by {by_s:.3f} s", "time")
        self._last = None

    def _report_lost(self, ids: list[str]) -> None:
        if ids:
            gone = self._targets.drop(ids)
            self._report([*(live.report() for live in self._targets.present), *gone])
            self._listener.on_change()

    def _start_pending(self, image: StampedImage, frame: AnyFrame) -> None:
        pending, self._pending = self._pending, []
        for one in pending:
            try:
                one.reply.set_result(self._start(one.request, image, frame))
            except Exception as error:
                one.reply.set_exception(error)

    def _check_room(self, request: InitRequest) -> None:
        most = self._parameters.max_targets
        if request.id not in self._targets and len(self._targets) >= most:
            ids = ", ".join(self._targets.ids)
            raise InitRefusedError(
                Refusal.TOO_MANY_TARGETS, f"max_targets is {most}, and {ids} are tracked: stop one first"
            )

    def _start(self, request: InitRequest, image: StampedImage, frame: AnyFrame) -> Started:
        header = image.message.header
        if request.frame_id and request.frame_id != header.frame_id:
            raise InitRefusedError(
                Refusal.WRONG_FRAME_ID,
                f"the box is in frame '{request.frame_id}', the images are in '{header.frame_id}'",
            )
        self._check_room(request)
        height, width = frame.shape[:2]
        parameters = self._parameters
        box = box_in_frame(request, width, height, parameters.min_box_px, parameters.min_box_inside)
        try:
            target = self._tracker.init(frame, box, image.stamp_ns / 1e9)
        except InvalidBoxError as error:
            raise InitRefusedError(Refusal.BOX_INVALID, str(error)) from error
        id = request.id or self._targets.free_id()
        generation = self._targets.next_generation(id)
        live = LiveTarget.started(id, generation, target, box, image.stamp_ns, (width, height))
        if self._last is None:
            self._last = (image, width, height)
        elif image.stamp_ns < self._last[0].stamp_ns:
            live.catch_up_left = parameters.catch_up_frames
        self._targets.put(live)
        self._listener.on_change()
        return Started(id, header)

    def _init_on_past_image(self, request: InitRequest) -> Started:
        with self._changed:
            image = self._buffer.at(request.stamp_ns)
            kept, span_s, newest = len(self._buffer), self._buffer.span_s, self._newest_stamp
        if image is None:
            behind_s = (newest - request.stamp_ns) / 1e9 if newest is not None else 0.0
            ago = f"{behind_s:.3f} s before the newest; " if newest is not None else ""
            raise InitRefusedError(
                Refusal.FRAME_NOT_BUFFERED,
                f"no image of stamp {request.stamp_ns / 1e9:.9f} s is kept: {ago}{kept} images over "
                f"{span_s:.3f} s are (buffer_seconds, buffer_mib)",
            )
        try:
            frame = self._convert(image.message)
        except ImageConversionError as error:
            raise InitRefusedError(Refusal.INTERNAL, f"that image cannot be used: {error}") from error
        return self._start(request, image, frame)

    def _catch_up(self) -> None:
        """One step of each target that is behind; the last step is into the present image."""
        if self._last is None:
            return
        present_ns = self._last[0].stamp_ns
        for live in self._targets.behind:
            with self._changed:
                images = [one for one in self._buffer.since(live.stamp_ns) if one.stamp_ns <= present_ns]
            left = max(1, live.catch_up_left or 1)
            if images:
                # What is left in as many steps as are left: it ends also where images come faster.
                image = images[-(-len(images) // left) - 1]
                frame = self._convert(image.message)
                if frame.shape[1::-1] != live.frame_size:
                    self._warn(f"target {live.id}: the images' size changed since its box was drawn", "size")
                    self._report_lost([live.id])
                    continue
                (result,) = self._tracker.track(frame, [live.target], False, image.stamp_ns / 1e9)
                live.advance(result, image.stamp_ns)
                live.catch_up_left = left - 1
            if not images or image is images[-1]:
                live.catch_up_left = None

    def _refuse_late(self) -> None:
        now = time.monotonic()
        late = [one for one in self._pending if one.deadline <= now]
        self._pending = [one for one in self._pending if one.deadline > now]
        for one in late:
            waited = self._parameters.request_timeout
            one.reply.set_exception(
                InitRefusedError(Refusal.TIMEOUT, f"no usable image in {waited:g} s (request_timeout)")
            )

    def _refuse_pending(self, code: int, why: str) -> None:
        pending, self._pending = self._pending, []
        for one in pending:
            one.reply.set_exception(InitRefusedError(code, why))

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, SiamTrackerError)
        self._error = f"tracking failed: {error if known else f'{type(error).__name__}: {error}'}"
        detail = "" if known else f"\n{traceback.format_exc()}"
        self._warn(self._error + detail, "failed")
        try:
            self._report_lost(self._targets.ids)
            self._listener.on_change()
        except Exception as other:
            self._warn(f"that could not be reported: {other}", "unreported")

    def _warn(self, text: str, kind: str) -> None:
        """Say it, but not the same kind of thing again and again."""
        now = time.monotonic()
        if now - self._warned.get(kind, -_QUIET_S) >= _QUIET_S:
            self._warned[kind] = now
            self._listener.on_warning(text)
