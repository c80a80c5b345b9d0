"""Downloading one file: goes on where it was interrupted, and never leaves half a file under its name."""

from __future__ import annotations

import fcntl
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.models.weights import sha256_of

_CHUNK = 1 << 18
Progress = Callable[[int, int | None], None]
"""Told the bytes there are so far, and all there will be where that is known."""


class DownloadError(SiamTrackerError, OSError):
    """A file that did not come, or not as it should."""


class _InterruptedError(Exception):
    """The connection ended early; going on may help."""


class _ConfirmationError(Exception):
    """A page that asks to confirm the download, as Google Drive does for large files; `url` confirms it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _FormParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.inputs: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "form" and "download" in values.get("action", ""):
            self.action = values["action"]
        elif tag == "input" and self.action and values.get("name"):
            self.inputs[values["name"]] = values.get("value", "")


def _not_a_file(response: HTTPResponse, url: str) -> Exception:
    """What a web page in place of the file means."""
    page = response.read(_CHUNK).decode("utf-8", "replace")
    parser = _FormParser()
    parser.feed(page)
    if parser.action is not None:
        action = urljoin(response.geturl(), parser.action)
        return _ConfirmationError(f"{action}{'&' if '?' in action else '?'}{urlencode(parser.inputs)}")
    quota = " (too many have downloaded it lately)" if "quota" in page.lower() else ""
    return DownloadError(f"{url} sent a web page in place of the file{quota}: open it in a browser")


def _total(response: HTTPResponse, start: int) -> int | None:
    """Bytes of the whole file, where the server says so."""
    length = response.headers.get("Content-Length")
    return start + int(length) if length and length.isdigit() else None


def _validator(response: HTTPResponse) -> str | None:
    """What tells this version of the file from another; weak tags do not."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _request(url: str, part: Path, note: Path) -> urllib.request.Request:
    """The request for what is missing; without a note on the version everything is missing."""
    request = urllib.request.Request(url, headers={"User-Agent": "siam-tracker"})
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        have = part.stat().st_size
    except (OSError, ValueError):
        return request
    if known.get("source") == _source(url) and known.get("validator") and have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known["validator"])
    return request


def _source(url: str) -> str:
    return "{0.scheme}://{0.netloc}{0.path}".format(urlsplit(url))


def _receive(url: str, file: BinaryIO, part: Path, note: Path, timeout_s: float, progress: Progress) -> None:
    """Bring `file`, of the path `part`, up to the whole.

    Raises _InterruptedError, _ConfirmationError or DownloadError.
    """
    try:
        # An opener of its own: the one of urlopen keeps the proxies it saw first.
        opener = urllib.request.build_opener()
        response: HTTPResponse = opener.open(_request(url, part, note), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                # What is there is not a beginning of what the server has.
                note.unlink(missing_ok=True)
                raise _InterruptedError("the server has no more of it") from error
            if error.code in (408, 429, 500, 502, 503, 504):
                raise _InterruptedError(f"{error.code} {error.reason}") from error
            raise DownloadError(f"{url}: {error.code} {error.reason}") from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _not_a_file(response, url)
        goes_on = response.status == 206
        if not goes_on:
            file.seek(0)
            file.truncate()
        have = file.seek(0, 2)
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            note.unlink(missing_ok=True)
            raise _InterruptedError("the server sent another part than the one asked for")
        validator = _validator(response)
        note.write_text(json.dumps({"source": _source(url), "validator": validator}), encoding="utf-8")
        total = _total(response, have)
        progress(have, total)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            have += len(chunk)
            progress(have, total)
        file.flush()
        if total is not None and have < total:
            raise _InterruptedError(f"{have} of {total} bytes came")


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    progress: Progress = lambda have, total: None,
    attempts: int = 5,
    pause_s: float = 2.0,
    timeout_s: float = 30.0,
) -> Path:
    """The file at `url`, as `path`; proxies are those of the environment (`https_proxy`, `no_proxy`).

    It grows as `path`.part and takes its name once it is whole and, with `sha256`, right. A part that is
    there is gone on with. A connection that breaks is taken up again, `attempts` times in a row without a
    byte of progress. Raises DownloadError.
    """
    part, note = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DownloadError(f"{path} is being downloaded by another process") from error
            _persist(url, file, part, note, progress, attempts, pause_s, timeout_s)
            if file.seek(0, 2) == 0:
                raise DownloadError(f"{url} sent an empty file")
            if sha256 is not None and (found := sha256_of(part)) != sha256.lower():
                part.unlink()
                note.unlink(missing_ok=True)
                raise DownloadError(
                    f"{url} sent something else than expected: its SHA-256 is {found}, not {sha256}"
                )
            part.replace(path)
            note.unlink(missing_ok=True)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _persist(
    url: str,
    file: BinaryIO,
    part: Path,
    note: Path,
    progress: Progress,
    attempts: int,
    pause_s: float,
    timeout_s: float,
) -> None:
    """Receive the file, taking up what breaks."""
    fruitless, confirmed = 0, False
    asked = url
    while True:
        before = part.stat().st_size
        try:
            _receive(asked, file, part, note, timeout_s, progress)
            return
        except _ConfirmationError as form:
            if confirmed:
                raise DownloadError(f"{url} asks again and again to confirm: open it in a browser") from form
            asked, confirmed = form.url, True
            continue
        except DownloadError:
            raise
        except urllib.error.URLError as error:
            if isinstance(error.reason, socket.gaierror):
                attempts = 0
            problem, cause = str(error.reason), error
        except (_InterruptedError, HTTPException, TimeoutError, ConnectionError) as error:
            problem, cause = str(error) or type(error).__name__, error  # type: ignore[assignment]
        file.flush()
        fruitless = 0 if part.stat().st_size > before else fruitless + 1
        if fruitless >= attempts:
            kept = f"; what came is kept in {part}, the next try goes on" if part.stat().st_size else ""
            raise DownloadError(
                f"cannot get {url}: {problem}{kept}. Is there a network? A proxy is taken from https_proxy"
            ) from cause
        time.sleep(pause_s * fruitless)
