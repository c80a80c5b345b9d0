"""The window in which footage is annotated."""

from __future__ import annotations

from collections.abc import Sequence

from siam_tracker_ros.annotation.session import Session
from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.footage.window import LiveWindow


def annotate(session: Session) -> None:
    """Show the window until the user ends the session or closes it."""
    window = LiveWindow("siam-tracker annotate", session.on_mouse)
    picture: Image | None = None
    before: Sequence[object] = ()
    try:
        while not session.ended:
            looks = session.looks()
            if picture is None or looks != before:
                picture, before = session.picture(), looks
            key = window.show_and_ask(picture, max(1, round(1e3 * session.wait_s)), session.title)
            session.on_key(key)
            session.go_on()
    finally:
        window.close()
