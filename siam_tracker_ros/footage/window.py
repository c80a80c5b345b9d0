"""The window on the screen: drawing the first box with the mouse, and watching live."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import cv2

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.frames import Image

# Without the toolbar, whose panning and zooming would take the mouse from who draws a box.
_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
ESCAPE = "\x1b"
CLOSED = "closed"
"""What `LiveWindow.show_and_ask` gives for the Escape key, and for a window that the user closed."""
# Sides of a window, px.
_LARGEST = 1200
_SMALLEST = 240
_TRIAL = "import cv2; cv2.namedWindow('trial'); cv2.destroyAllWindows()"


class NoDisplayError(SiamTrackerError):
    """No window can be opened here."""


def check_display(instead: str) -> None:
    """Raise NoDisplayError where no window can be opened; `instead` says what to do then."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise NoDisplayError(f"there is no display: {instead}")
    if not cv2.currentUIFramework():
        raise NoDisplayError(f"this OpenCV was built without windows (headless): {instead}")
    # Tried in another process: where the display does not answer, the window toolkit ends the process.
    trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    if trial.returncode != 0:
        raise NoDisplayError(f"the display does not let OpenCV open a window: {instead}")


def _open_window(title: str, image: Image) -> None:
    """A window of the image's size, or as much smaller as a screen may need; the mouse is scaled with it."""
    cv2.namedWindow(title, _FLAGS)
    _fit_window(title, image)


def _fit_window(title: str, image: Image) -> None:
    height, width = image.shape[:2]
    scale = min(1.0, _LARGEST / max(height, width))
    cv2.resizeWindow(title, max(round(width * scale), _SMALLEST), max(round(height * scale), _SMALLEST))


def draw_box(image: Image) -> tuple[float, float, float, float] | None:
    """The box (x, y, width, height in px) that the user draws on `image`; None where they gave up."""
    title = "Draw a box around the target, then Enter; c to give up"
    _open_window(title, image)
    try:
        x, y, w, h = cv2.selectROI(title, image, showCrosshair=False, printNotice=False)
    finally:
        cv2.destroyWindow(title)
    return (float(x), float(y), float(w), float(h)) if w > 0 and h > 0 else None


class LiveWindow:
    """Shows images as they come, until the user closes it or presses q or Esc.

    `on_mouse` is told of every mouse event: OpenCV's number of it, and the pixel of the image shown.
    """

    def __init__(self, title: str, on_mouse: Callable[[int, int, int], None] | None = None) -> None:
        self._title = title
        self._on_mouse = on_mouse
        self._shown: Image | None = None
        self._says = title

    def show(self, image: Image) -> bool:
        """Show `image`; whether the user wants to go on."""
        return self.show_and_ask(image) not in (CLOSED, "q", ESCAPE)

    def show_and_ask(self, image: Image, wait_ms: int = 1, title: str = "") -> str:
        """Show `image`, wait so long for a key and return it: "" for none, CLOSED if the window is gone.

        `title` is what the window says from now on in place of its first title.
        """
        if self._shown is None:
            _open_window(self._title, image)
            if self._on_mouse is not None:
                cv2.setMouseCallback(self._title, self._heard)
        elif image.shape != self._shown.shape:
            _fit_window(self._title, image)
        if image is not self._shown:
            cv2.imshow(self._title, image)
            self._shown = image
        if title and title != self._says:
            cv2.setWindowTitle(self._title, title)
            self._says = title
        key = cv2.waitKey(wait_ms)
        if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            return CLOSED
        return "" if key < 0 else chr(key & 0xFF)

    def _heard(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if self._on_mouse is not None:
            self._on_mouse(event, x, y)

    def close(self) -> None:
        cv2.destroyAllWindows()
