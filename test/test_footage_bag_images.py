"""A bag is footage: its images in their order and at their times, what is damaged left out and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore
from test_footage_bag_writer import STRING, text, topic

from siam_tracker_ros.cli import main
from siam_tracker_ros.footage.bag import BagError
from siam_tracker_ros.footage.bag_images import BagImages
from siam_tracker_ros.footage.bag_writer import BagSettings, BagWriter
from siam_tracker_ros.footage.frames import Footage, FrameRange
from siam_tracker_ros.footage.image_conversion import ImageConversionError
from siam_tracker_ros.footage.source import bag_and_topic, is_images, open_source

STORE = get_typestore(Stores.ROS2_JAZZY)
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA = "/camera/image_raw"
STEP_NS = 40_000_000
START_NS = 7 * 10**9


def picture(number: int) -> np.ndarray:
    image = np.full((48, 64, 3), (10 * number + 5, 100, 200), np.uint8)
    image[: number + 1, 0] = 255
    return image


def header(time_ns: int) -> Any:
    stamp = STORE.types["builtin_interfaces/msg/Time"](time_ns // 10**9, time_ns % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp, "eye")


def raw(image: np.ndarray, time_ns: int, encoding: str = "bgr8") -> tuple[str, Any]:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1)
    return RAW, STORE.types[RAW](header(time_ns), height, width, encoding, 0, data.size // height, data)


def jpeg(image: np.ndarray, time_ns: int, cut: int | None = None) -> tuple[str, Any]:
    data = cv2.imencode(".png", image)[1].reshape(-1)[:cut]
    return COMPRESSED, STORE.types[COMPRESSED](header(time_ns), "png", data)


def write_bag(folder: Path, messages: list[tuple[str, tuple[str, Any]]], **settings: Any) -> Path:
    """Messages with their topics, each recorded a ms after the one before."""
    writer = BagWriter(folder, BagSettings(**settings))
    known = set()
    for number, (name, (type_name, message)) in enumerate(messages):
        if name not in known:
            writer.add_topic(topic(name, type_name))
            known.add(name)
        data = text(number) if type_name == STRING else bytes(STORE.serialize_cdr(message, type_name))
        writer.write(name, 10**9 + number * 10**6, data)
    writer.close()
    return folder


def times(count: int) -> list[int]:
    return [START_NS + number * STEP_NS for number in range(count)]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    messages = [(CAMERA, raw(picture(number), time_ns)) for number, time_ns in enumerate(times(8))]
    return write_bag(tmp_path / "flight", messages)


def opened(source: object, wanted: FrameRange | None = None) -> tuple[Footage, list[Any], list[str]]:
    told: list[str] = []
    footage = open_source(str(source), wanted or FrameRange(), told.append)
    return footage, list(footage.frames), told


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("make", [raw, jpeg])
def test_images_come_in_their_order_at_the_times_of_their_stamps(
    tmp_path: Path, storage: str, make: Any
) -> None:
    messages = [(CAMERA, make(picture(number), time_ns)) for number, time_ns in enumerate(times(8))]
    path = write_bag(tmp_path / "flight", messages, storage=storage, split_s=0.003)
    footage, frames, told = opened(path, FrameRange(1, 7, 2))
    assert (footage.name, footage.rate, footage.count, footage.live) == ("flight", 25.0, 3, False)
    assert [frame.number for frame in frames] == [1, 3, 5]
    assert [frame.time for frame in frames] == pytest.approx([0.04, 0.12, 0.2])
    for frame in frames:
        assert np.array_equal(frame.image, picture(frame.number))
        frame.image[:] = 0
    assert told == []


def test_what_is_a_bag(bag: Path, tmp_path: Path) -> None:
    (file,) = bag.glob("*.mcap")
    assert bag_and_topic(str(bag)) == (bag, None)
    assert bag_and_topic(f"{file}::{CAMERA}") == (file, CAMERA)
    assert len(opened(file)[1]) == len(opened(f"{bag}::camera/image_raw")[1]) == 8
    assert not is_images(str(bag))
    (bag / "metadata.yaml").unlink()
    assert bag_and_topic(str(bag)) == (bag, None)
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    assert bag_and_topic(str(tmp_path)) is None
    assert bag_and_topic("rtsp://there/::1") is None
    assert bag_and_topic(str(tmp_path / "no::such")) is None


def test_pictures_of_the_camera_come_before_what_was_drawn(tmp_path: Path) -> None:
    now = START_NS
    messages = [
        ("/overlay/compressed", jpeg(picture(1), now)),
        ("/tracker/mask", raw(picture(1)[..., 0], now, "mono8")),
        (f"{CAMERA}/compressed", jpeg(picture(2), now)),
        (CAMERA, raw(picture(3), now)),
    ]
    _, frames, _ = opened(write_bag(tmp_path / "all", messages))
    assert np.array_equal(frames[0].image, picture(3))
    path = write_bag(tmp_path / "packed", messages[:3])
    assert np.array_equal(opened(path)[1][0].image, picture(2))
    assert np.array_equal(opened(f"{path}::/overlay/compressed")[1][0].image, picture(1))
    assert len(opened(write_bag(tmp_path / "drawn", messages[:1]))[1]) == 1


def test_several_cameras_have_to_be_chosen_from(tmp_path: Path) -> None:
    cameras = ["/left/image_raw", "/right/image_raw", "/right/image_raw/compressed"]
    makes = [raw, raw, jpeg]
    path = write_bag(
        tmp_path / "two", [(n, make(picture(1), START_NS)) for n, make in zip(cameras, makes, strict=True)]
    )
    with pytest.raises(BagError, match=r"name one of: /left/image_raw, /right/image_raw$"):
        opened(path)
    with pytest.raises(BagError, match=r"no images on /up; there are: /left/image_raw, /right"):
        opened(f"{path}::/up")
    words = write_bag(tmp_path / "words", [("/words", (STRING, None))])
    with pytest.raises(BagError, match="no images; its topics: /words"):
        opened(words)


def test_damaged_images_keep_their_numbers(tmp_path: Path) -> None:
    times_ns = times(5)
    messages = [
        (CAMERA, jpeg(picture(n), time_ns, 60 if n == 2 else None)) for n, time_ns in enumerate(times_ns)
    ]
    # An image that came twice, and one that came late.
    messages[4:4] = [messages[3], messages[1]]
    path = write_bag(tmp_path / "flight", messages)
    _, frames, told = opened(path)
    assert [frame.number for frame in frames] == [0, 1, 3, 4]
    assert len(told) == 1
    assert told[0].startswith("frame 2: image of /camera/image_raw left out: PNG")
    assert opened(path, FrameRange(0, 2))[2] == []
    with pytest.raises(BagError, match=r"no frame from 9 on: .* has 5 images"):
        opened(path, FrameRange(9))


def test_images_without_stamps_have_the_times_they_were_recorded_at(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "flight", [(CAMERA, raw(picture(n), 0)) for n in range(3)])
    _, frames, _ = opened(path)
    assert [frame.time for frame in frames] == pytest.approx([0, 0.001, 0.002])


def test_a_bag_that_was_cut_off_is_read_as_far_as_it_goes(bag: Path) -> None:
    (file,) = bag.glob("*.mcap")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    _, frames, told = opened(bag)
    assert 1 <= len(frames) < 8
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert any("cut off" in line for line in told)


def test_images_by_number(tmp_path: Path) -> None:
    messages = [
        (CAMERA, jpeg(picture(n), time_ns, 60 if n in (0, 3) else None)) for n, time_ns in enumerate(times(6))
    ]
    told: list[str] = []
    images = BagImages(write_bag(tmp_path / "flight", messages), CAMERA, told.append)
    with pytest.raises(ImageConversionError):
        images.read(0)
    for number in (1, 2, 2, 5, 4, 1):
        assert np.array_equal(images.read(number), picture(number))
    images.read(2)
    assert np.array_equal(images.read(3), picture(2))
    assert len(told) == 1
    assert "image 3" in told[0]
    with pytest.raises(BagError, match="no image 6"):
        images.read(6)
    images.close()


def test_a_target_is_tracked_through_a_bag(tmp_path: Path, data_dir: Path) -> None:
    source = sorted((data_dir / "sequences" / "davis_blackswan" / "img").glob("*.jpg"))[:4]
    messages = [
        (CAMERA, raw(cv2.imread(str(path)), time_ns)) for path, time_ns in zip(source, times(4), strict=True)
    ]
    bag = write_bag(tmp_path / "flight", messages)
    outs = [tmp_path / "bag.csv", tmp_path / "folder.csv"]
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in source:
        (folder / path.name).symlink_to(path)
    for where, out in zip((bag, folder), outs, strict=True):
        options = ["--box", "247,107,208,240", "--device", "cpu", "--csv", str(out)]
        assert main(["track", str(where), *options]) == 0

    def boxes(path: Path) -> list[list[str]]:
        return [line.split(",")[2:8] for line in path.read_text().splitlines()]

    assert len(boxes(outs[0])) == 5
    assert boxes(outs[0]) == boxes(outs[1])
