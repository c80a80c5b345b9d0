"""Annotating, apart from the window: what keys and the mouse do, and what there is to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from siam_tracker_ros.annotation.frame_store import FrameStore
from siam_tracker_ros.annotation.kept import load, save
from siam_tracker_ros.annotation.key_frames import History, KeyFrames, Origin
from siam_tracker_ros.annotation.timeline import COLOURS, HEIGHT, draw_timeline, frame_at
from siam_tracker_ros.evaluation.trackers import EvaluatedTracker
from siam_tracker_ros.footage.box_drag import BoxDrag, DrawnBox, draw_box_in_hand
from siam_tracker_ros.footage.caption import with_caption
from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.footage.window import CLOSED, ESCAPE
from siam_tracker_ros.tracking.boxes import Box

UNSURE_BELOW = 0.5
"""A tracker that is less confident stops: the next key frame is for the one who annotates."""
HELP = (
    "drag: draw the box   k: keep the box shown   x: remove the key frame",
    "h: out of view from here on   t: track on from here   u: undo   r: redo",
    "go by a frame , .   by ten j l   by key frames [ ]   to the first 0",
    "or click the timeline   space: play   q: end, all is saved",
)
_STEPS = {",": -1, ".": 1, "j": -10, "l": 10}
# Frames wider or narrower than this are shown at another size, so that the lines below can be read.
_WIDTH_RANGE = (640, 1600)
_NO_PICTURE = (60, 60, 60)


class Session:
    """One target in one source. Every change is saved at once.

    `make_tracker` is called when a tracker is first asked for; boxes are px of the frames.
    """

    def __init__(self, frames: FrameStore, truth: Path, make_tracker: Callable[[], EvaluatedTracker]) -> None:
        self._frames, self._truth, self._make_tracker = frames, truth, make_tracker
        self._history = History(load(truth, frames.count))
        self._drag = BoxDrag()
        self._seeking = False
        self._tracker: EvaluatedTracker | None = None
        self._run: tuple[int, list[Box]] | None = None
        self._said = "resumed" if self.key_frames.keys else "draw a box around the target"
        self._shown: tuple[int, Image | None] = -1, None
        self.frame = 0
        self.playing = False
        self.ended = False

    @property
    def key_frames(self) -> KeyFrames:
        """As they are now."""
        return self._history.now

    @property
    def tracking(self) -> bool:
        """Whether a tracker is on its way."""
        return self._run is not None

    @property
    def title(self) -> str:
        """Where one is, for the window."""
        return f"siam-tracker annotate: {self._frames.name}, frame {self.frame} of {self._frames.count}"

    @property
    def wait_s(self) -> float:
        """How long to wait for a key before `go_on`."""
        if self.tracking:
            return 0.001
        return 1 / self._frames.rate if self.playing else 0.05

    # What the user does

    def on_key(self, key: str) -> None:
        """A key of the window, "" for none, CLOSED for a window that is gone."""
        if not key:
            return
        if self.tracking:
            self._end_run("stopped")
            if key not in ("q", CLOSED):
                return
        if key == " ":
            self.playing = not self.playing
            return
        self.playing = False
        actions: dict[str, Callable[[], None]] = {
            "k": lambda: self._keep(self.key_frames.box(self.frame)),
            "h": lambda: self._change(self.key_frames.with_key(self.frame, None), "out of view from here"),
            "x": lambda: self._change(self.key_frames.without_key(self.frame), "key frame removed"),
            "t": self._begin_run,
            "u": lambda: self._went_back(self._history.undo(), "undone"),
            "r": lambda: self._went_back(self._history.redo(), "done again"),
            "[": lambda: self._seek(self.key_frames.key_before(self.frame)),
            "]": lambda: self._seek(self.key_frames.key_after(self.frame)),
            "0": lambda: self._seek(0),
        }
        if key in ("q", CLOSED) or (key == ESCAPE and not self._drag.active):
            self.ended = True
        elif key == ESCAPE:
            self._drag.cancel()
        elif key in _STEPS:
            self._seek(self.frame + _STEPS[key])
        elif key in actions:
            actions[key]()

    def on_mouse(self, event: int, x: int, y: int) -> None:
        """A mouse event of OpenCV's, in px of the picture."""
        if self.tracking:
            return
        image, scale = self._scaled()
        height, width = image.shape[:2]
        if event == cv2.EVENT_LBUTTONDOWN:
            self.playing = False
            self._seeking = height <= y < height + HEIGHT
            if y < height and x < width:
                self._drag.press(x, y)
        elif event == cv2.EVENT_MOUSEMOVE:
            self._drag.move(x, y)
        if self._seeking:
            self._seek(frame_at(x, width, self._frames.count))
        if event == cv2.EVENT_LBUTTONUP:
            self._seeking = False
            self._drag.move(x, y)
            drawn = self._drag.release(width, height)
            # A click without a drag is no box.
            if drawn is not None and min(drawn.size) > 2:
                self._keep(_in_frame(drawn, scale))

    def _seek(self, frame: int | None) -> None:
        if frame is not None:
            self.frame = min(max(frame, 0), self._frames.count - 1)

    def _keep(self, box: Box | None) -> None:
        if box is None:
            self._said = "there is no box here to keep: draw one"
        else:
            self._change(self.key_frames.with_key(self.frame, box), "key frame kept")

    def _change(self, to: KeyFrames, said: str) -> None:
        if self._history.change(to):
            save(self._truth, to)
            self._said = said

    def _went_back(self, done: bool, said: str) -> None:
        self._said = said if done else f"nothing to be {said}"
        if done:
            save(self._truth, self.key_frames)

    # What goes on by itself

    def go_on(self) -> None:
        """Play or track a frame further, if that is asked for."""
        if self._run is not None:
            self._track_on()
        elif self.playing:
            self._seek(self.frame + 1)
            self.playing = self.frame + 1 < self._frames.count

    def _begin_run(self) -> None:
        """Track from here to the next key frame; the box shown here becomes a key frame."""
        box, image = self.key_frames.box(self.frame), self._image()
        if box is None or image is None:
            self._said = "there is no box here to track: draw one"
            return
        if self.frame + 1 >= self._frames.count:
            self._said = "this is the last frame"
            return
        if self._tracker is None:
            self._tracker = self._make_tracker()
        if self.frame not in self.key_frames.keys:
            self._keep(box)
        self._tracker.start(image, box)
        self._run = self.frame, []

    def _track_on(self) -> None:
        assert self._run is not None
        assert self._tracker is not None
        start, found = self._run
        self._seek(self.frame + 1)
        image = self._image()
        answer = None if image is None else self._tracker.follow(image, False)
        if answer is None:
            # What cannot be seen is passed over as if the target stood still.
            found.append(found[-1] if found else self._key_box(start))
        elif answer.box is None or answer.confidence < UNSURE_BELOW:
            self._end_run("the tracker is unsure here: draw the box, or press h if the target is out of view")
            return
        else:
            found.append(answer.box)
        if self.frame == self.key_frames.key_after(start):
            self._end_run("tracked to the next key frame")
        elif self.frame + 1 == self._frames.count:
            self._end_run("tracked to the end")

    def _key_box(self, frame: int) -> Box:
        box = self.key_frames.keys[frame]
        assert box is not None
        return box

    def _end_run(self, said: str) -> None:
        assert self._run is not None
        (start, found), self._run = self._run, None
        self._change(self.key_frames.with_run(start, found), said)
        self._said = said

    # What there is to show

    def _image(self) -> Image | None:
        if self._shown[0] != self.frame:
            self._shown = self.frame, self._frames.read(self.frame)
        return self._shown[1]

    def _scaled(self) -> tuple[Image, float]:
        """The frame as it is shown, and how many px of it one px of the frame is."""
        image = self._image()
        if image is None:
            blank: Image = np.full((480, _WIDTH_RANGE[0], 3), _NO_PICTURE, np.uint8)
            return blank, 1.0
        low, high = _WIDTH_RANGE
        width = image.shape[1]
        scale = min(max(width, low), high) / width
        size = round(width * scale), round(image.shape[0] * scale)
        shown = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(shown, np.uint8), scale

    def looks(self) -> Sequence[object]:
        """What the picture depends on."""
        image, _ = self._scaled()
        drawn = self._drag.box(image.shape[1], image.shape[0])
        run = len(self._run[1]) if self._run else None
        return self.frame, self.key_frames, drawn, run, self.playing, self._said

    def picture(self) -> Image:
        """The frame with its box, the timeline, and lines of text below."""
        image, scale = self._scaled()
        height, width = image.shape[:2]
        box, origin = self.key_frames.label(self.frame)
        origins = self.key_frames.origins()
        if self._run is not None:
            start, found = self._run
            origins[start + 1 : start + 1 + len(found)] = [Origin.TRACKED] * len(found)
            if found and self.frame > start:
                box, origin = found[-1], Origin.TRACKED
        drawn = self._drag.box(width, height)
        if drawn is not None:
            image = draw_box_in_hand(image, drawn)
        elif box is not None:
            image = draw_box_in_hand(image, _on_picture(box, scale), COLOURS[origin])
        timeline = draw_timeline(width, origins, self.key_frames.keys, self.frame)
        return with_caption(np.vstack((image, timeline)), [self._state(origin), *HELP])

    def _state(self, origin: Origin) -> str:
        where = f"frame {self.frame} of {self._frames.count}: {origin.value}"
        if self._image() is None:
            where += ", the image cannot be read"
        if self.tracking:
            return f"{where}   tracking, any key stops"
        return f"{where}   playing" if self.playing else f"{where}   {self._said}"


def _in_frame(drawn: DrawnBox, scale: float) -> Box:
    """A box drawn on the picture in px of the frame: its outer borders are scaled."""
    width, height = drawn.size
    return Box(*(value / scale for value in (drawn.left, drawn.top, width, height)))


def _on_picture(box: Box, scale: float) -> DrawnBox:
    left, top = round(box.x * scale), round(box.y * scale)
    return DrawnBox(
        left, top, left + max(round(box.w * scale), 1) - 1, top + max(round(box.h * scale), 1) - 1
    )
