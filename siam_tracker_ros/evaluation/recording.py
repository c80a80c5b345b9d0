"""A flight in a bag: what the tracker said live, how late, and what it is worth against the truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from siam_tracker_ros.evaluation.datasets.label_files import read_regions
from siam_tracker_ros.evaluation.regions import Region
from siam_tracker_ros.evaluation.report_data import latency_summary
from siam_tracker_ros.evaluation.results import SKIPPED, STARTED, TrackerRun
from siam_tracker_ros.evaluation.sequence import EvaluationError, EvaluationSequence
from siam_tracker_ros.evaluation.tracked_images import (
    RecordedTrack,
    TrackedImage,
    latencies,
    stage_times,
    tracked_image,
    tracks_of,
)
from siam_tracker_ros.footage.bag import BagMessage, open_bag
from siam_tracker_ros.footage.bag_images import (
    BagImages,
    camera_topic,
    choose_topic,
    decoded,
    image_time_ns,
)
from siam_tracker_ros.footage.image_conversion import ImageConversionError
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.tracking.crop import Frame
from siam_tracker_ros.tracking.state import TrackState

_TRACKS = "siam_tracker_msgs/msg/TrackArray"
_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True, eq=False)
class Recording:
    """What a bag tells of a tracker's run.

    `images_from` is the topic whose stamps (ns, growing) are those of the camera's images; `has_images` says
    whether the images themselves were recorded there. `tracks` are by target and stamp, `ends` the stamps of
    images after which a target was given up; `truth` is as `tracks`, where the bag has a topic of it.
    `tracked` are the images that were tracked in, as they were published; `losses` says what of the bag could
    not be read.
    """

    path: Path
    images_from: str
    has_images: bool
    stamps_ns: tuple[int, ...]
    frame_size: tuple[int, int]
    tracks: Mapping[str, Mapping[int, RecordedTrack]]
    ends: Mapping[str, Collection[int]]
    truth: Mapping[str, Mapping[int, RecordedTrack]]
    tracked: tuple[TrackedImage, ...]
    dropped_by_tracker: int
    losses: tuple[str, ...]

    @property
    def image_rate(self) -> float:
        """Images a second, by the stamps; NaN of less than two."""
        seconds = (self.stamps_ns[-1] - self.stamps_ns[0]) / 1e9 if len(self.stamps_ns) > 1 else 0.0
        return (len(self.stamps_ns) - 1) / seconds if seconds > 0 else math.nan

    def live_json(self) -> dict[str, Any]:
        """Rate, drops, latency and states as plain numbers."""
        tracked = {stamp for target in self.tracks.values() for stamp in target}
        states = Counter(one.state.name for target in self.tracks.values() for one in target.values())
        return {
            "images": len(self.stamps_ns),
            "image_rate": self.image_rate,
            "images_tracked": len(tracked),
            "dropped_by_tracker": self.dropped_by_tracker,
            "latency_ms": latencies(self.tracked),
            "age_ms": latency_summary(np.array([image.age_ms for image in self.tracked])),
            "stages_ms": stage_times(self.tracked),
            "states": dict(states.most_common()),
            "losses": list(self.losses),
        }


def read_recording(
    path: Path,
    image_topic: str | None = None,
    tracks_topic: str | None = None,
    truth_topic: str | None = None,
) -> Recording:
    """Read a bag. Topics not named are looked for: the camera's images, the tracks, the truth.

    Where no image was recorded, camera_info tells when there was one; without it, the tracks. A bag of images
    alone has no tracks. Raises BagError where the bag cannot be read, has no such topic, or several to choose
    from, EvaluationError where it has neither images nor tracks.
    """
    with open_bag(path) as bag:
        arrays = bag.topics_of_type(_TRACKS)
        true = [topic for topic in arrays if "/truth/" in f"/{topic}"]
        tracks = choose_topic(tracks_topic, [topic for topic in arrays if topic not in true], path, "tracks")
        truth = choose_topic(truth_topic, true, path, "truth")
        pictures = camera_topic(bag, image_topic, path)
        if tracks is None and pictures is None:
            raise EvaluationError(f"bag {path} has no tracks (no topic of type {_TRACKS}), and no images")
        infos = bag.topics_of_type(_INFO)
        images = pictures or (infos[0] if len(infos) == 1 else None) or tracks
        stamps: list[int] = []
        size: tuple[int, int] | None = None
        reader = _TracksReader()
        truth_reader = _TracksReader()
        for one in bag.messages({topic for topic in (tracks, images, truth) if topic}):
            stamp = stamp_ns(one.message.header.stamp)
            if one.topic == images and image_time_ns(one) > (stamps[-1] if stamps else -1):
                stamps.append(image_time_ns(one))
                if size is None and pictures:
                    size = _size_of(one)
            if one.topic == tracks:
                reader.read(stamp, one.message)
            if one.topic == truth:
                truth_reader.read(stamp, one.message)
        losses = tuple(bag.losses)
    size = reader.frame_size or truth_reader.frame_size or size
    if images is None or not stamps or size is None:
        raise EvaluationError(f"bag {path} has no message of {tracks or images} that can be read")
    return Recording(
        path,
        images,
        pictures is not None,
        tuple(stamps),
        size,
        reader.targets,
        reader.ends,
        truth_reader.targets,
        tuple(reader.images),
        reader.dropped,
        losses,
    )


def _size_of(one: BagMessage) -> tuple[int, int] | None:
    """Width and height of an image; None where it does not decode."""
    try:
        height, width = decoded(one).shape[:2]
    except ImageConversionError:
        return None
    return width, height


class _TracksReader:
    """Gathers TrackArray messages."""

    def __init__(self) -> None:
        self.targets: dict[str, dict[int, RecordedTrack]] = {}
        self.ends: dict[str, set[int]] = {}
        self.images: list[TrackedImage] = []
        self.dropped = 0
        self.frame_size: tuple[int, int] | None = None

    def read(self, stamp: int, message: Any) -> None:
        if message.image_width and message.image_height:
            self.frame_size = int(message.image_width), int(message.image_height)
        self.dropped = max(self.dropped, int(message.dropped_frames))
        image = tracked_image(message)
        if image is not None:
            self.images.append(image)
        for target, track in tracks_of(message).items():
            known = self.targets.setdefault(target, {})
            if image is None and stamp in known:
                # The image has its answer: this is what became of the target after it.
                self.ends.setdefault(target, set()).add(stamp)
            else:
                known[stamp] = track


def recorded_run(recording: Recording, target: str) -> tuple[TrackerRun, int]:
    """A target's run as a reader of the tracks had it, and the index of the image that it began in.

    An image that was passed over has the newest answer before it. Raises EvaluationError for no such target.
    """
    tracks = recording.tracks.get(target)
    if not tracks:
        known = ", ".join(recording.tracks) or "none"
        raise EvaluationError(f"no target of the bag is called '{target}'; there are: {known}")
    begin = next((i for i, stamp in enumerate(recording.stamps_ns) if stamp in tracks), None)
    if begin is None:
        raise EvaluationError(
            f"the tracks of '{target}' are of other images than those of {recording.images_from}"
        )
    regions: list[Region | int] = []
    confidences: list[float] = []
    newest = tracks[recording.stamps_ns[begin]]
    for stamp in recording.stamps_ns[begin:]:
        newest = tracks.get(stamp, newest)
        lost = newest.state == TrackState.LOST
        regions.append(SKIPPED if lost else newest.box)
        confidences.append(0.0 if lost else newest.confidence)
        if stamp in recording.ends.get(target, ()):
            newest = replace(newest, state=TrackState.LOST)
    regions[0] = STARTED
    nothing = np.full(len(regions), math.nan)
    return TrackerRun(tuple(regions), np.array(confidences), nothing, (None,) * len(regions)), begin


def recorded_truth(
    recording: Recording, begin: int, truth: Sequence[Region | None], images: BagImages | None = None
) -> EvaluationSequence:
    """The images from `begin` on with their truth, one for each image of the bag.

    To score what was recorded the images themselves are not needed; `images` are to run a tracker over.
    """
    own = tuple(truth[begin:])
    read = _not_at_hand if images is None else images.read
    return EvaluationSequence(
        name=f"{recording.path.name.partition('.')[0]}_from_{begin}",
        images=tuple(partial(read, number) for number in range(begin, len(recording.stamps_ns))),
        truth=own,
        labelled=(True,) * len(own),
        frame_size=recording.frame_size,
        masks=(None,) * len(own),
        rate=recording.image_rate,
    )


def _not_at_hand(number: int) -> Frame:
    raise EvaluationError(f"image {number} of the recording is not at hand")


def truth_of(recording: Recording, labels: Path | None, target: str) -> list[Region | None]:
    """The truth for each image: from a file with a box a line, or from the bag's own topic.

    Raises EvaluationError where there is neither, or the file does not fit the images.
    """
    if labels is not None:
        regions = read_regions(labels)
        if len(regions) != len(recording.stamps_ns):
            raise EvaluationError(
                f"{labels} has {len(regions)} lines, but the bag {len(recording.stamps_ns)} images "
                f"({recording.images_from}): one box x,y,w,h a line and image"
            )
        return regions
    known = recording.truth.get(target) or next(iter(recording.truth.values()), None)
    if known is None:
        raise EvaluationError("the bag has no truth: give a file with a box x,y,w,h for each image")
    boxes: list[Region | None] = []
    for stamp in recording.stamps_ns:
        found = known.get(stamp)
        hidden = found is None or found.state in (TrackState.COASTING, TrackState.LOST)
        boxes.append(None if found is None or hidden else found.box)
    return boxes
