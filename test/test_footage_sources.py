"""Reading footage: order, numbers, times, what is upright, what is left out, and who waits for whom."""

from __future__ import annotations

import struct
import threading
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from siam_tracker_ros.footage.frames import Frame, FrameRange, SourceError, parse_frame_range
from siam_tracker_ros.footage.image_folder import natural_order
from siam_tracker_ros.footage.newest import newest
from siam_tracker_ros.footage.source import open_source
from siam_tracker_ros.footage.video import without_password

ALL = FrameRange()


def flat(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def write_video(path: Path, images: list[np.ndarray], ticks: list[int] | None = None) -> Path:
    """A video of `images` shown at `ticks` hundredths of a second, by default each 4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5", "g": "4"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts = 4 * index if ticks is None else ticks[index]
            picture.time_base = Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def never(what: str) -> None:
    raise AssertionError(f"nothing was to be skipped: {what}")


def read(source: Path, wanted: FrameRange = ALL, on_skip=never, **more) -> list[Frame]:
    return list(open_source(str(source), wanted, on_skip, **more).frames)


@pytest.mark.parametrize(
    ("text", "stride", "total", "numbers"),
    [
        (None, 1, 4, [0, 1, 2, 3]),
        ("1:3", 1, 4, [1, 2]),
        (":2", 1, 4, [0, 1]),
        ("2:", 1, 4, [2, 3]),
        ("1:9", 3, 9, [1, 4, 7]),
        (":", 2, 5, [0, 2, 4]),
    ],
)
def test_range_counts_from_0_and_leaves_its_end_out(text, stride, total, numbers):
    wanted = parse_frame_range(text, stride)
    assert [n for n in range(total) if wanted.wants(n)] == numbers
    assert wanted.count(total) == len(numbers)
    assert wanted.count(None) is None


@pytest.mark.parametrize("text", ["3", "3:1", "2:2", "-1:4", "a:b", "1:2:3", ""])
def test_range_that_is_none_is_refused(text):
    with pytest.raises(SourceError, match="frames"):
        parse_frame_range(text)


def test_natural_order():
    names = ["img10.png", "img2.png", "IMG1.png", "10.png", "9.png", "a.png", "img2b.png"]
    assert sorted(names, key=natural_order) == [
        *("9.png", "10.png", "a.png", "IMG1.png", "img2.png", "img2b.png", "img10.png"),
    ]


def test_folder_is_read_in_order_and_timed_by_its_rate(tmp_path):
    for index in (10, 9, 8):
        cv2.imwrite(str(tmp_path / f"{index}.png"), flat(index))
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = read(tmp_path, folder_rate=10.0)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [8, 9, 10]
    assert [(frame.number, frame.time) for frame in frames] == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_pattern_and_labelled_folder_are_images_too(tmp_path, monkeypatch):
    folder = tmp_path / "cat"
    (folder / "img").mkdir(parents=True)
    for index in (10, 9, 8):
        cv2.imwrite(str(folder / "img" / f"{index}.png"), flat(index))
    (folder / "img" / "11.txt").write_text("not of the pattern")
    (folder / "groundtruth.txt").write_text("1,1,2,2\n" * 3)
    monkeypatch.chdir(tmp_path)
    for source in (folder, folder / "img" / "*.png", Path("cat/img/*.png"), folder / "img" / "?*.p[n]g"):
        frames = read(source, folder_rate=10.0)
        assert [int(frame.image[0, 0, 0]) for frame in frames] == [8, 9, 10]
    with pytest.raises(SourceError, match=r"no file has a name like .*\.gif"):
        read(folder / "img" / "*.gif")
    with pytest.raises(SourceError, match="has 3 images"):
        read(folder / "img" / "*.png", FrameRange(3))


@pytest.mark.parametrize(
    "image", [flat(200)[..., 0], np.full((48, 64, 4), 200, np.uint8), np.full((48, 64), 51400, np.uint16)]
)
def test_grey_transparent_and_16_bit_images_become_8_bit_colour(tmp_path, image):
    cv2.imwrite(str(tmp_path / "0.png"), image)
    (frame,) = read(tmp_path)
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8
    assert np.abs(frame.image.astype(int) - 200).max() <= 1


def test_video_frames_have_the_numbers_and_times_of_the_file(tmp_path):
    """Also where they are not evenly spaced, as phones and network cameras record."""
    ticks = [0, 4, 9, 30, 31]
    path = write_video(tmp_path / "a.mp4", [flat(40 * i) for i in range(5)], ticks)
    frames = read(path)
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time for frame in frames] == pytest.approx([tick / 100 for tick in ticks])
    assert [int(frame.image.mean()) for frame in frames] == pytest.approx([0, 40, 80, 120, 160], abs=3)


def test_video_range_gives_the_same_frames_as_reading_all(tmp_path):
    path = write_video(tmp_path / "a.mp4", [flat(20 * i) for i in range(10)])
    every, some = read(path), read(path, FrameRange(3, 9, 2))
    assert [frame.number for frame in some] == [3, 5, 7]
    for frame in some:
        assert frame.time == pytest.approx(every[frame.number].time)
        assert (frame.image == every[frame.number].image).all()


def test_colon_and_space_in_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", [flat(20)] * 2).rename("take 1: cat.mp4")
    assert len(read(Path("take 1: cat.mp4"))) == 2


def test_count_is_known_beforehand(tmp_path):
    path = write_video(tmp_path / "a.mp4", [flat(20 * i) for i in range(10)])
    footage = open_source(str(path), FrameRange(1, None, 3), never)
    assert footage.count == 3
    assert footage.rate == pytest.approx(25)
    assert footage.name == "a"
    assert not footage.live


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_video_of_a_turned_phone_is_upright(tmp_path, turns):
    """The file says how many quarter turns clockwise to show the picture (display matrix)."""
    image = flat(30)
    image[:12, :16] = 220
    path = write_video(tmp_path / "a.mp4", [image] * 3)
    cos, sin = {1: (0, 1), 2: (-1, 0), 3: (0, -1)}[turns]
    data = bytearray(path.read_bytes())
    one = 1 << 16
    track = data.index(b"tkhd")
    matrix = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    data[track + 44 : track + 44 + 36] = matrix
    path.write_bytes(data)
    expected = np.rot90(image, -turns)
    frame = read(path)[0]
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 4


def test_damaged_video_data_is_reported_and_the_rest_read(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(12)]
    path = write_video(tmp_path / "a.mkv", images)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[4]
    data[position + 10 : position + size] = bytes(size - 10)
    path.write_bytes(data)
    skipped: list[str] = []
    frames = read(path, on_skip=skipped.append)
    assert 6 <= len(frames) <= 12
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert all("a.mkv" in what for what in skipped)


def test_live_source_gives_the_newest_frame_and_drops_what_was_missed():
    """The source runs ahead to frame 4 while frame 0 is being worked on."""
    ahead = threading.Event()
    closed = threading.Event()

    def source() -> Generator[Frame, None, None]:
        try:
            for number in range(5):
                if number == 1:
                    assert ahead.wait(10)
                yield Frame(number, flat(number), number / 30)
        finally:
            closed.set()

    frames = newest(source())
    assert next(frames).number == 0
    ahead.set()
    assert closed.wait(10)
    assert [frame.number for frame in frames] == [4]


def test_live_source_passes_its_error_on():
    def source() -> Generator[Frame, None, None]:
        yield Frame(0, flat(0), 0.0)
        raise SourceError("unplugged")

    frames = newest(source())
    with pytest.raises(SourceError, match="unplugged"):
        list(frames)


def test_live_source_that_gives_nothing_can_be_stopped():
    silent, closed = threading.Event(), threading.Event()
    asked = 0

    def source() -> Generator[Frame, None, None]:
        try:
            assert silent.wait(10)
            yield Frame(0, flat(0), 0.0)
        finally:
            closed.set()

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        # Only then may the source go on: what follows does not depend on it.
        if asked == 4:
            silent.set()
        return asked >= 3

    assert list(newest(source(), stopped)) == []
    assert closed.wait(10)


def test_password_of_a_stream_is_not_shown():
    assert without_password("rtsp://me:secret@10.0.0.1/cam@2") == "rtsp://***@10.0.0.1/cam@2"
    assert without_password("http://10.0.0.1/a@b.mp4") == "http://10.0.0.1/a@b.mp4"
