"""A display that nobody sees, with mouse and keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import pytest

DEADLINE_S = 60


class Screen:
    """A display, and what is done at it."""

    def __init__(self, number: str) -> None:
        self.environment = {**os.environ, "DISPLAY": number}

    def do(self, *words: str) -> str:
        """Move the mouse, press a button or a key; what xdotool prints."""
        command = ["xdotool", *words]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        ).stdout

    def window(self, title: str) -> tuple[str, int] | None:
        """The number and width, px, of the window whose title has `title` in it; None where there is none."""
        found = self.do("search", "--onlyvisible", "--name", title).split()
        if not found:
            return None
        shape = dict(
            line.split("=")
            for line in self.do("getwindowgeometry", "--shell", found[0]).split()
            if "=" in line
        )
        return found[0], int(shape.get("WIDTH", 0))


@contextmanager
def virtual_screen() -> Iterator[Screen]:
    """A display; the test is skipped where there can be none."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"NOT TESTED: {program} is not installed, and makes the display and mouse")
    if not cv2.currentUIFramework():
        pytest.skip("NOT TESTED: this OpenCV has no windows")
    reading, writing = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        "1280x1024x24",
        "-noreset",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    try:
        yield Screen(f":{number}")
    finally:
        server.terminate()
        server.wait(DEADLINE_S)
