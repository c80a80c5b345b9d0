"""The images in a bag: which topic they are on, in their order as footage, and by number.

Images are numbered from 0 by their stamps, which grow: one that comes with the stamp of another before it, or
an older one, is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from siam_tracker_ros.footage.bag import Bag, BagError, BagMessage, open_bag
from siam_tracker_ros.footage.frames import Footage, Frame, FrameRange, Image, OnSkip
from siam_tracker_ros.footage.image_conversion import ImageConversionError, compressed_to_bgr, image_to_bgr
from siam_tracker_ros.footage.stamps import stamp_ns

_COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = ("sensor_msgs/msg/Image", _COMPRESSED)
# What a tracker and an overlay draw themselves, and depth, are no camera's picture.
_NO_PICTURES = frozenset({"overlay", "debug_image", "mask", "compressedDepth"})
_FALLBACK_RATE = 30.0
_RATE_FROM = 16


def image_time_ns(one: BagMessage) -> int:
    """The stamp of an image; when it was recorded, where its driver did not stamp it."""
    return stamp_ns(one.message.header.stamp) or one.time_ns


def camera_topic(bag: Bag, named: str | None, path: Path) -> str | None:
    """The topic of a camera's images: the one `named`, or the only one; None without any.

    Of a camera recorded raw and compressed it is the raw one. Raises BagError as `choose_topic` does.
    """
    images = [topic for topic in bag.topics_of_type(*IMAGE_TYPES) if bag.counts[topic]]
    if named is not None:
        return choose_topic(named, images, path, "images")
    pictures = [topic for topic in images if _NO_PICTURES.isdisjoint(topic.split("/"))]
    once = [topic for topic in pictures if topic.removesuffix("/compressed") not in {*pictures} - {topic}]
    return choose_topic(None, once, path, "images")


def choose_topic(named: str | None, found: Sequence[str], path: Path, what: str) -> str | None:
    """The topic `named` of those `found`, or the only one; None without any.

    Raises BagError, naming those that there are, where it is not among them or has to be named.
    """
    if named is not None:
        fitting = [topic for topic in found if named.lstrip("/") == topic.lstrip("/")]
        if not fitting:
            raise BagError(f"bag {path} has no {what} on {named}; there are: {', '.join(found) or 'none'}")
        return fitting[0]
    if len(found) > 1:
        raise BagError(f"bag {path} has {what} on several topics, name one of: {', '.join(found)}")
    return found[0] if found else None


def image_messages(bag: Bag, topic: str) -> Generator[tuple[int, BagMessage], None, None]:
    """The images of a topic in their order, each with its time in ns, which grows."""
    newest = -1
    for one in bag.messages({topic}):
        time_ns = image_time_ns(one)
        if time_ns > newest:
            newest = time_ns
            yield time_ns, one


def open_bag_images(path: Path, topic: str | None, wanted: FrameRange, on_skip: OnSkip) -> Footage:
    """The images of `topic` as footage; without it those of the camera, or what was drawn if that is all.

    Times are those of the stamps. An image that does not decode keeps its number, is reported to `on_skip`
    and left out; what the bag has lost is reported at the end. Raises BagError where the bag cannot be read,
    or there is no such topic, or several to choose from.
    """
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(path))
        chosen = camera_topic(bag, topic, path)
        if chosen is None:
            drawn = [one for one in bag.topics_of_type(*IMAGE_TYPES) if bag.counts[one]]
            chosen = choose_topic(None, drawn, path, "images")
        if chosen is None:
            told = f" ({'; '.join(bag.losses)})" if bag.losses else ""
            raise BagError(f"bag {path} has no images{told}; its topics: {', '.join(bag.types) or 'none'}")
        rate = _rate(bag, chosen)
        frames = _frames(bag, chosen, wanted, on_skip, path, stack.pop_all())
    name = re.sub(r"[^\w.-]+", "_", path.resolve().name.partition(".")[0]).strip("_") or "bag"
    # Begun, so that to close it lets go of the bag whether or not a frame was read.
    next(frames)
    return Footage(name, frames, rate, wanted.count(bag.counts[chosen]))


def _rate(bag: Bag, topic: str) -> float:
    with closing(image_messages(bag, topic)) as images:
        times = [time_ns for time_ns, _ in islice(images, _RATE_FROM)]
    rate = 1e9 / float(np.median(np.diff(times))) if len(times) > 1 else _FALLBACK_RATE
    return rate if 0.01 <= rate <= 1000 else _FALLBACK_RATE


def _frames(
    bag: Bag, topic: str, wanted: FrameRange, on_skip: OnSkip, path: Path, stack: ExitStack
) -> Generator[Any, None, None]:
    number, given = -1, 0
    with stack, closing(image_messages(bag, topic)) as images:
        yield None
        origin = 0
        for number, (time_ns, one) in enumerate(images):
            origin = origin if number else time_ns
            if wanted.ends(number):
                break
            if not wanted.wants(number):
                continue
            given += 1
            try:
                yield Frame(number, decoded(one), (time_ns - origin) / 1e9)
            except ImageConversionError as error:
                on_skip(f"frame {number}: image of {topic} left out: {error}")
        for loss in bag.losses:
            on_skip(f"bag {path.name}: {loss}")
    if not given:
        raise BagError(f"no frame from {wanted.start} on: {topic} of {path} has {number + 1} images")


def decoded(one: BagMessage) -> Image:
    """The image [H, W, 3] BGR of a message, its own memory. Raises ImageConversionError."""
    convert: Callable[[Any], Image] = compressed_to_bgr if one.type == _COMPRESSED else image_to_bgr
    return np.array(convert(one.message))


class BagImages:
    """Images of a topic by number; quick where each comes after the one asked for before. Close it.

    One that does not decode is stood in for by the one read before it, and reported to `on_skip`.
    """

    def __init__(self, path: Path, topic: str, on_skip: OnSkip) -> None:
        self._topic, self._on_skip = topic, on_skip
        self._stack = ExitStack()
        self._bag = self._stack.enter_context(open_bag(path))
        self._restart()
        self._image: Image | None = None
        self._shown = -1

    def _restart(self) -> None:
        self._messages = image_messages(self._bag, self._topic)
        self._next = 0

    def read(self, number: int) -> Image:
        """The image. Raises BagError where there is none, ImageConversionError if the first is damaged."""
        if number == self._shown and self._image is not None:
            return self._image
        if number < self._next:
            self._messages.close()
            self._restart()
        found = next(islice(self._messages, number - self._next, None), None)
        self._next = number + 1
        if found is None:
            raise BagError(f"no image {number} on {self._topic}")
        try:
            self._image = decoded(found[1])
        except ImageConversionError as error:
            if self._image is None:
                raise
            self._on_skip(f"image {number} of {self._topic} is the one before it: {error}")
        self._shown = number
        return self._image

    def close(self) -> None:
        """Let go of the bag."""
        self._messages.close()
        self._stack.close()
