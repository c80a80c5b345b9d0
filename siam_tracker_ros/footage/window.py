"""The window on the screen: drawing the first box with the mouse, and watching live."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.frames import Image

_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO
_ESCAPE = 27
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
    height, width = image.shape[:2]
    scale = min(1.0, _LARGEST / max(height, width))
    cv2.namedWindow(title, _FLAGS)
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
    """Shows images as they come, until the user closes it or presses q or Esc."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._is_open = False

    def show(self, image: Image) -> bool:
        """Show `image`; whether the user wants to go on."""
        if not self._is_open:
            _open_window(self._title, image)
            self._is_open = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        return not closed and key not in (ord("q"), _ESCAPE)

    def close(self) -> None:
        cv2.destroyAllWindows()
