"""A window in which a target is boxed with the mouse: the tracker starts on the image that was boxed."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from siam_tracker_msgs.msg import BoundingBox2D, TrackArray
from siam_tracker_msgs.srv import InitTarget, StopTarget
from siam_tracker_ros.footage.annotate import draw_results
from siam_tracker_ros.footage.box_drag import BoxDrag, DrawnBox, draw_box_in_hand
from siam_tracker_ros.footage.caption import with_caption
from siam_tracker_ros.footage.window import CLOSED, ESCAPE, LiveWindow, check_display
from siam_tracker_ros.nodes.frame_converter import FrameConverter
from siam_tracker_ros.nodes.image_topic import image_topic, silence
from siam_tracker_ros.nodes.joined_images import JoinedImages
from siam_tracker_ros.nodes.message_filters_fallback import find_message_filters
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.parameter_struct import declare, follow_changes, read
from siam_tracker_ros.nodes.select_target_parameters import SelectTargetParameters
from siam_tracker_ros.nodes.shown_image import shown_image
from siam_tracker_ros.tracking.result import TrackResult

TITLE = "Select target"
KEYS = "1-9 target   s stop it   r stop all   space hold   Esc give up the box   q quit"

_LOOK_S = 0.02
_KEY_WAIT_MS = 20
_SILENT_S = 3.0
_EMPTY_SHAPE = (360, 640, 3)


@dataclass(frozen=True)
class ShownImage:
    """An image as it is shown, and whose it is."""

    header: Header | None
    frame: Any
    results: dict[str, TrackResult] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    """A service that was called: its answer to come, what it has done to what, and when the wait ends, s."""

    answer: Any
    what: str
    done: str
    deadline_s: float


class SelectTargetNode(Node):  # type: ignore[misc]
    """Shows `image` with its `tracks`, and calls `init_target` and `stop_target`.

    Messages are received in the executor's thread; everything of the window happens in the one that calls
    `until_closed`. While a box is drawn the image stands still, and the box is sent with that image's stamp:
    the tracker catches up from there.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("select_target_node", **options)
        check_display("start the target with a call of init_target, or by a box on the topic init_box")
        declare(self, SelectTargetParameters)
        self._settings = settings = read(self, SelectTargetParameters)
        self._filters = find_message_filters()
        self._convert = FrameConverter()
        self._joined = JoinedImages(self._filters, self._take, settings.max_wait, 30)
        # The newest image and its tracks, handed from one thread to the other.
        self._received: deque[tuple[Any, TrackArray | None]] = deque(maxlen=1)
        self._heard_s = time.monotonic()
        self._images: Any = None

        self._shown = ShownImage(None, np.zeros(_EMPTY_SHAPE, np.uint8))
        self._drag = BoxDrag()
        self._holding = False
        self._id = settings.target_id
        self._said = ""
        self._asked: list[_Asked] = []
        self._started = False

        self._init = self.create_client(InitTarget, "init_target")
        self._stop = self.create_client(StopTarget, "stop_target")
        self._listen()
        self.create_subscription(TrackArray, "tracks", self._on_tracks, 10)
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        follow_changes(self, SelectTargetParameters, self._take_settings)

    def close(self) -> None:
        """Nothing has to be said at the end."""

    def has_open_requests(self) -> bool:
        """It serves none."""
        return False

    # What the executor calls

    def _listen(self) -> None:
        topic = image_topic(self, self._settings)
        self._images = self.create_subscription(topic.type, topic.name, self._on_image, topic.qos)

    def _take_settings(self, settings: SelectTargetParameters) -> None:
        self._settings = settings
        self._joined.set_bounds(settings.max_wait, 30)
        self.destroy_subscription(self._images)
        self._listen()

    def _on_image(self, message: Any) -> None:
        self._heard_s = time.monotonic()
        if self._settings.show_tracks:
            self._joined.add_image(message, self._heard_s)
        else:
            self._take(message, None)

    def _on_tracks(self, message: TrackArray) -> None:
        if self._settings.show_tracks:
            self._joined.add_tracks(message)

    def _look(self) -> None:
        self._joined.let_go(time.monotonic())

    def _take(self, image: Any, tracks: TrackArray | None) -> None:
        self._received.append((image, tracks))

    # The thread of the window

    def until_closed(self, stop: threading.Event) -> int:
        """Show the window until it is closed, or `stop` is set; the exit status."""
        window = LiveWindow(TITLE, self.on_mouse)
        picture, before = None, None
        try:
            while not stop.is_set() and not (self._started and self._settings.end_after_start):
                self._hear_answers()
                self._show_newest()
                present = self._looks()
                if picture is None or present != before:
                    picture, before = self.picture(), present
                key = window.show_and_ask(picture, _KEY_WAIT_MS)
                if key in ("q", CLOSED):
                    break
                self.on_key(key)
        finally:
            window.close()
        return 0

    def _looks(self) -> tuple[object, ...]:
        """What the picture depends on."""
        height, width = self._shown.frame.shape[:2]
        return id(self._shown), self._drag.box(width, height), *self._caption()

    def _show_newest(self) -> None:
        """Take over the newest image, unless the one shown is held."""
        if not self._received or self._drag.active or self._holding:
            return
        image, tracks = self._received.pop()
        shown = shown_image(self, self._convert, image, tracks, self._settings.mono16_full_scale)
        if shown is not None:
            self._shown = ShownImage(image.header, *shown)

    def picture(self) -> Any:
        """What the window shows."""
        frame = self._shown.frame
        if self._shown.results:
            frame = draw_results(frame, self._shown.results)
        box = self._drag.box(frame.shape[1], frame.shape[0])
        if box is not None:
            frame = draw_box_in_hand(frame, box)
        return with_caption(frame, self._caption())

    def _caption(self) -> tuple[str, str]:
        hint = f"draw a box around target {self._id}"
        if self._drag.active:
            hint = f"let go at the other corner of target {self._id}"
        elif self._holding:
            hint = f"held: {hint}"
        said = self._said
        if time.monotonic() - self._heard_s > _SILENT_S:
            if self._shown.header is None:
                return silence(self, image_topic(self, self._settings), _SILENT_S), KEYS
            said = f"{said}; no new image comes" if said else "no new image comes"
        return f"{said}; {hint}" if said else hint, KEYS

    def on_mouse(self, event: int, x: int, y: int) -> None:
        """A mouse event of the window, in px of the image."""
        height, width = self._shown.frame.shape[:2]
        if event == cv2.EVENT_LBUTTONDOWN and x < width and y < height and self._shown.header is not None:
            self._drag.press(x, y)
        elif event == cv2.EVENT_MOUSEMOVE:
            self._drag.move(x, y)
        elif event == cv2.EVENT_LBUTTONUP:
            self._drag.move(x, y)
            box = self._drag.release(width, height)
            # A click without a drag is no box.
            if box is not None and min(box.size) > 1:
                self._start(box)

    def on_key(self, key: str) -> None:
        """A key of the window."""
        if key in set("123456789"):
            self._id = key
        elif key == " ":
            self._holding = not self._holding
        elif key == ESCAPE:
            self._drag.cancel()
        elif key == "s":
            self._ask(self._stop, StopTarget.Request(id=self._id), f"target {self._id}", "stopped")
        elif key == "r":
            self._ask(self._stop, StopTarget.Request(), "all targets", "stopped")

    def _start(self, box: DrawnBox) -> None:
        (center_x, center_y), (size_x, size_y) = box.center, box.size
        drawn = BoundingBox2D(
            center_x=center_x, center_y=center_y, size_x=float(size_x), size_y=float(size_y)
        )
        request = InitTarget.Request(header=self._shown.header, id=self._id, bbox=drawn)
        self._holding = False
        self._ask(self._init, request, f"target {self._id}", "started")

    def _ask(self, client: Any, request: Any, what: str, done: str) -> None:
        """Call a service that has `what` `done`."""
        if not client.service_is_ready():
            self._say(f"{what} not {done}: nobody serves {client.srv_name}, is the tracker running?")
            return
        deadline = time.monotonic() + self._settings.answer_timeout
        self._asked.append(_Asked(client.call_async(request), what, done, deadline))

    def _hear_answers(self) -> None:
        self._asked = [asked for asked in self._asked if not self._hear(asked)]

    def _hear(self, asked: _Asked) -> bool:
        """Tell what came of a call; whether anything has come, or the wait is over."""
        if asked.answer.done():
            answer = asked.answer.result()
            self._started |= bool(answer.success and isinstance(answer, InitTarget.Response))
            self._say(
                f"{asked.what} {asked.done}"
                if answer.success
                else f"{asked.what} not {asked.done}: {answer.message}"
            )
        elif time.monotonic() > asked.deadline_s:
            timeout_s = self._settings.answer_timeout
            self._say(f"{asked.what} not {asked.done}: no answer within {timeout_s:g} s")
        else:
            return False
        return True

    def _say(self, text: str) -> None:
        self._said = text
        self.get_logger().info(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until its window is closed or it is told to end; the exit status."""
    return run_node(SelectTargetNode, argv, SelectTargetNode.until_closed)


if __name__ == "__main__":
    sys.exit(main())
