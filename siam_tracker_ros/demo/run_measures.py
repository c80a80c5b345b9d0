"""What happened in a run, measured from the messages in its bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from siam_tracker_ros.demo.bag import BagError, bag_reader, stamp_ns, topic_connections
from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.tracking.state import TrackState

_STAGES = ("preprocess_ms", "inference_ms", "postprocess_ms")


@dataclass(frozen=True)
class TrackedFrame:
    """One image that targets were tracked in.

    `stamp_ns` is the image's; `latency_ms` goes from the image's arrival at the tracker to its tracks' going
    out; `stages_ms` are preprocessing, inference and postprocessing. By target: state and confidence.
    """

    stamp_ns: int
    latency_ms: float
    stages_ms: tuple[float, float, float]
    states: dict[str, TrackState]
    confidences: dict[str, float]


@dataclass(frozen=True)
class RunMeasures:
    """A run: images that the source published, those tracked in, and messages recorded by topic."""

    frames_published: int
    frames: tuple[TrackedFrame, ...]
    dropped_by_tracker: int
    model: str
    device: str
    messages: dict[str, int] = field(default_factory=dict)

    @property
    def dropped_frames(self) -> int:
        """Images published that no target was tracked in."""
        return self.frames_published - len(self.frames)

    @property
    def states(self) -> dict[str, int]:
        """Target frames by state, most frequent first."""
        counted = Counter(state.name for frame in self.frames for state in frame.states.values())
        return dict(counted.most_common())

    def latency_ms(self, percent: float) -> float | None:
        """Percentile of the latency, ms; None of nothing."""
        return _percentile([frame.latency_ms for frame in self.frames], percent)

    def as_json(self) -> dict[str, Any]:
        """The numbers, as `demo.json` has them; None for what there was nothing to measure of."""
        stages = zip(*(frame.stages_ms for frame in self.frames), strict=True)
        confidences = [value for frame in self.frames for value in frame.confidences.values()]
        return {
            "frames_published": self.frames_published,
            "frames_tracked": len(self.frames),
            "dropped_frames": self.dropped_frames,
            "dropped_by_tracker": self.dropped_by_tracker,
            "latency_ms": {"p50": _rounded(self.latency_ms(50)), "p95": _rounded(self.latency_ms(95))},
            "stages_p50_ms": {
                name.removesuffix("_ms"): _rounded(_percentile(list(values), 50))
                for name, values in zip(_STAGES, stages, strict=False)
            },
            "states": self.states,
            "mean_confidence": _rounded(float(np.mean(confidences)), 3) if confidences else None,
            "model": self.model,
            "device": self.device,
            "messages": self.messages,
        }


def _percentile(values: list[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def measure(bag: Path, source: str) -> RunMeasures:
    """Read a bag of `plan_demo`; `source` is the name of the node that published. Raises BagError."""
    with bag_reader(bag) as reader:
        tracks, infos = topic_connections(reader, "tracks"), topic_connections(reader, "camera_info")
        statuses, published = (
            topic_connections(reader, "status"),
            topic_connections(reader, f"{source}/status"),
        )
        statuses = [one for one in statuses if one not in published]
        frames: dict[int, TrackedFrame] = {}
        dropped, seen, told = 0, 0, 0
        model = device = ""
        for connection, _, raw in reader.messages([*tracks, *infos, *statuses, *published]):
            message: Any = reader.deserialize(raw, connection.msgtype)
            if connection in infos:
                seen += 1
            elif connection in published:
                values = {value.key: value.value for value in message.values}
                told = max(told, int(values.get("frames_published", 0)))
            elif connection in statuses:
                model, device = message.model or model, message.device or device
            else:
                dropped = max(dropped, int(message.dropped_frames))
                frame = _tracked(message)
                if frame is not None:
                    frames[frame.stamp_ns] = frame
        counts = {one.topic: one.msgcount for one in reader.connections}
    if not tracks:
        raise BagError(f"bag {bag} has no tracks")
    # The source counts what it publishes; camera_info comes with each image, where it could not say.
    in_order = tuple(frames[stamp] for stamp in sorted(frames))
    return RunMeasures(max(told, seen), in_order, dropped, model, device, dict(sorted(counts.items())))


def _tracked(message: Any) -> TrackedFrame | None:
    """A TrackArray of an image that was tracked in; None for one that only says what became of targets."""
    if not message.tracks or not message.preprocess_ms:
        return None
    return TrackedFrame(
        stamp_ns(message.header.stamp),
        (stamp_ns(message.published) - stamp_ns(message.received)) / 1e6,
        (float(message.preprocess_ms), float(message.inference_ms), float(message.postprocess_ms)),
        {track.id: TrackState(track.state) for track in message.tracks},
        {track.id: float(track.confidence) for track in message.tracks},
    )


def overlay_images(bag: Path) -> Generator[tuple[int, Image], None, None]:
    """The annotated images in a bag with their stamps, ns, in the order of these. Raises BagError."""
    with bag_reader(bag) as reader:
        connections = topic_connections(reader, "overlay/compressed")
        before = -1
        if not connections:  # rosbags takes no choice for all of them
            return
        for connection, _, raw in reader.messages(connections):
            message: Any = reader.deserialize(raw, connection.msgtype)
            image = cv2.imdecode(np.asarray(message.data, np.uint8), cv2.IMREAD_COLOR)
            at_ns = stamp_ns(message.header.stamp)
            if image is not None and at_ns > before:
                before = at_ns
                yield at_ns, np.asarray(image, np.uint8)
