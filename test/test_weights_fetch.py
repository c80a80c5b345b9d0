"""Downloads against a server that breaks connections, changes its mind and sends other things."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from siam_tracker_ros.cli import main
from siam_tracker_ros.models import public_weights
from siam_tracker_ros.models.download import DownloadError, download
from siam_tracker_ros.models.public_weights import PUBLIC, PublicFile
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO

CONTENT = np.random.default_rng(0).integers(0, 256, 900_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    tag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection breaks, one for each request, until the list is empty."""
    statuses: list[int] = field(default_factory=list)
    page: bytes | None = None
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


FORM = b"""<!DOCTYPE html><html><body><form id="download-form" action="/download" method="get">
<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="abc">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="1-2"></form></html>"""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            site.paths.append(self.path)
            self.close_connection = True
            if site.statuses:
                self.send_error(site.statuses.pop(0))
                return
            if site.page is not None and "confirm" not in self.path:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.page)
                return
            start = 0
            if site.ranges and wanted and self.headers.get("If-Range") == site.tag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(site.content):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            if start:
                last = len(site.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(site.content)}")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(site.content) - start))
            self.send_header("ETag", site.tag)
            self.end_headers()
            stop = start + site.cuts.pop(0) if site.cuts else None
            self.wfile.write(site.content[start:stop])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}/model.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_broken_connections_are_taken_up_where_they_broke(site: Site, tmp_path: Path) -> None:
    site.cuts = [300_000, 1, 200_000]
    seen: list[tuple[int, int | None]] = []
    path = download(site.url, tmp_path / "w.pth", SHA256, lambda *now: seen.append(now), pause_s=0)
    assert path.read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-", "bytes=300001-", "bytes=500001-"]
    assert seen[-1] == (900_000, 900_000)
    assert left_in(tmp_path) == {"w.pth"}


def test_a_later_call_goes_on_with_what_is_there(site: Site, tmp_path: Path) -> None:
    site.cuts = [400_000, *[0] * 9]
    with pytest.raises(DownloadError, match="next try goes on"):
        download(site.url, tmp_path / "w.pth", pause_s=0, attempts=2)
    assert not (tmp_path / "w.pth").exists()
    site.cuts.clear()
    assert download(site.url, tmp_path / "w.pth", SHA256).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=400000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.cuts = [400_000, 0, 0]
    with pytest.raises(DownloadError):
        download(site.url, tmp_path / "w.pth", pause_s=0, attempts=1)
    site.cuts.clear()
    site.content, site.tag = CONTENT[::-1], '"two"'
    assert download(site.url, tmp_path / "w.pth").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [300_000]
    assert download(site.url, tmp_path / "w.pth", SHA256, pause_s=0).read_bytes() == CONTENT


def test_a_part_larger_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    site.cuts = [400_000, 0]
    with pytest.raises(DownloadError):
        download(site.url, tmp_path / "w.pth", pause_s=0, attempts=1)
    site.cuts.clear()
    with (tmp_path / "w.pth.part").open("ab") as part:
        part.write(bytes(1_000_000))
    assert download(site.url, tmp_path / "w.pth", SHA256, pause_s=0).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"its SHA-256 is {SHA256}, not {'0' * 64}"):
        download(site.url, tmp_path / "w.pth", "0" * 64)
    assert left_in(tmp_path) == set()


def test_what_the_server_refuses_is_said_at_once(site: Site, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(DownloadError, match="404 Not Found"):
        download(site.url, tmp_path / "w.pth", pause_s=0)
    assert len(site.asked) == 1
    site.statuses = [503, 429]
    assert download(site.url, tmp_path / "w.pth", SHA256, pause_s=0).is_file()


def test_a_page_in_place_of_the_file_is_told(site: Site, tmp_path: Path) -> None:
    site.page = b"<html><title>Quota exceeded</title></html>"
    with pytest.raises(DownloadError, match=r"web page in place of the file \(too many"):
        download(site.url, tmp_path / "w.pth", pause_s=0)
    assert not (tmp_path / "w.pth").exists()


def test_a_page_that_asks_to_confirm_is_confirmed(site: Site, tmp_path: Path) -> None:
    site.page, site.cuts = FORM, [300_000]
    assert download(site.url, tmp_path / "w.pth", SHA256, pause_s=0).read_bytes() == CONTENT
    assert site.paths == ["/model.pth", *["/download?id=abc&confirm=t&uuid=1-2"] * 2]
    assert site.asked == [None, None, "bytes=300000-"]


def test_an_empty_answer_is_no_file(site: Site, tmp_path: Path) -> None:
    site.content = b""
    with pytest.raises(DownloadError, match="empty file"):
        download(site.url, tmp_path / "w.pth", pause_s=0)


def test_no_server_and_no_name_are_told_with_the_proxy(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"Connection refused.*https_proxy"):
        download("http://127.0.0.1:9/w.pth", tmp_path / "w.pth", pause_s=0, attempts=1)


def test_the_proxy_of_the_environment_is_used(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url.removesuffix("/model.pth"))
    assert download("http://weights.invalid/w.pth", tmp_path / "w.pth", SHA256).is_file()
    assert site.paths == ["http://weights.invalid/w.pth"]


def test_a_place_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="cannot write"):
        download(site.url, tmp_path / "file" / "w.pth")


NAME = "siamrpn_mobilev2_w10"


def test_fetched_weights_are_kept_by_name(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    torch.manual_seed(0)
    source = tmp_path / "published.pth"
    torch.save({"state_dict": SiameseNetwork(ZOO[NAME].model).state_dict()}, source)
    site.content = source.read_bytes()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    published = PublicFile("theirs", NAME, site.url, "somebody", "MIT")
    monkeypatch.setitem(public_weights.PUBLIC, "theirs", published)
    assert main(["weights", "fetch", "theirs"]) == 0
    told = capsys.readouterr()
    assert f"for {NAME}" in told.out
    assert "no hash is published" in told.err
    assert hashlib.sha256(site.content).hexdigest() in told.err
    folder = tmp_path / "data" / "siam_tracker" / "weights"
    assert left_in(folder) == {"theirs.safetensors"}
    assert main(["weights", "verify", "theirs"]) == 0
    assert main(["weights", "fetch", "theirs"]) == 1
    assert "is there already" in capsys.readouterr().err
    site.content = b"neither a checkpoint nor a page"
    assert main(["weights", "fetch", "theirs", "--folder", str(tmp_path / "other")]) == 1
    assert "what came is kept" in capsys.readouterr().err
    assert main(["weights", "fetch", "nobodys"]) == 1
    assert "no published weights called 'nobodys'; known are siamrpn_alex_dwxcorr" in capsys.readouterr().err


def test_every_published_file_names_an_entry_of_the_zoo(capsys: pytest.CaptureFixture) -> None:
    assert all(public.entry in ZOO for public in PUBLIC.values())
    assert main(["weights", "list", "--public"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PUBLIC) == 10
