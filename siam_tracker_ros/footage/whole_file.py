"""Files and folders that appear under their name only once they are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError


class OutputError(SiamTrackerError):
    """A file that cannot be written, and why."""


@contextmanager
def told_of(path: Path) -> Generator[None, None, None]:
    """Turn what the system says of a failed write into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def check_output_file(path: Path) -> None:
    """Raise OutputError where `path` cannot become a file: it is a folder, or in a place not writable."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder")
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is no regular file")
    _check_place(path)


def check_picture_file(path: Path) -> None:
    """Raise OutputError where `path` cannot become a file, or is of no kind that figures are drawn to."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise OutputError(f"a picture is a .png, .svg or .pdf file, not {path}")
    check_output_file(path)


def check_output_folder(path: Path) -> None:
    """Raise OutputError unless `path` is an empty folder, or can become one."""
    if path.is_dir():
        with told_of(path):
            if any(path.iterdir()):
                raise OutputError(f"folder {path} is not empty: give a new or an empty one")
    elif path.exists():
        raise OutputError(f"cannot make folder {path}: a file has its name")
    _check_place(path)


def _check_place(path: Path) -> None:
    place = path.absolute().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"cannot write {path}: {place} is a file, not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {place}")


class Unfinished:
    """An output file or folder that is being written: `part`, beside `path`, so that renaming is one step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._begun = False

    def begin(self) -> Path:
        """Make the folders above `path`; returns `part`, which is to be made now. Raises OutputError."""
        with told_of(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._begun = True
        return self.part

    def publish(self) -> bool:
        """Give the part its name, in place of a file or empty folder that had it; whether there was one."""
        if self._begun:
            with told_of(self.path):
                self.part.replace(self.path)
        return self._begun

    def discard(self) -> None:
        """Leave nothing behind, as far as that goes."""
        if self.part.is_dir():
            shutil.rmtree(self.part, ignore_errors=True)
        elif self._begun:
            self.part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that has its name only once it is whole. Raises OutputError."""
    unfinished = Unfinished(path)
    try:
        part = unfinished.begin()
        with told_of(path):
            part.write_text(text, encoding="utf-8")
        unfinished.publish()
    finally:
        unfinished.discard()
