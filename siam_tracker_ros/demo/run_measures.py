"""What happened in a run, measured from the messages in its bag."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from siam_tracker_ros.evaluation.tracked_images import TrackedImage, latencies, stage_times, tracked_image
from siam_tracker_ros.footage.bag import BagError, open_bag
from siam_tracker_ros.footage.bag_images import decoded, image_messages
from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.footage.image_conversion import ImageConversionError


@dataclass(frozen=True)
class RunMeasures:
    """A run: images that the source published, those tracked in, and messages recorded by topic.

    `losses` says what of the bag could not be read.
    """

    frames_published: int
    frames: tuple[TrackedImage, ...]
    dropped_by_tracker: int
    model: str
    device: str
    messages: dict[str, int] = field(default_factory=dict)
    losses: tuple[str, ...] = ()

    @property
    def dropped_frames(self) -> int:
        """Images published that no target was tracked in."""
        return self.frames_published - len(self.frames)

    @property
    def states(self) -> dict[str, int]:
        """Target frames by state, most frequent first."""
        counted = Counter(one.state.name for frame in self.frames for one in frame.tracks.values())
        return dict(counted.most_common())

    @property
    def latency_ms(self) -> dict[str, float]:
        """Median `p50` and 95th percentile `p95` of the latency, ms; NaN of nothing."""
        found = latencies(self.frames)
        return {name: found[name] for name in ("p50", "p95")}

    def as_json(self) -> dict[str, Any]:
        """The numbers, as `demo.json` has them; None for what there was nothing to measure of."""
        confidences = [one.confidence for frame in self.frames for one in frame.tracks.values()]
        return {
            "frames_published": self.frames_published,
            "frames_tracked": len(self.frames),
            "dropped_frames": self.dropped_frames,
            "dropped_by_tracker": self.dropped_by_tracker,
            "latency_ms": {name: _rounded(value) for name, value in self.latency_ms.items()},
            "stages_p50_ms": {
                name.removesuffix("_ms"): _rounded(value["p50"])
                for name, value in stage_times(self.frames).items()
            },
            "states": self.states,
            "mean_confidence": _rounded(float(np.mean(confidences)), 3) if confidences else None,
            "model": self.model,
            "device": self.device,
            "messages": self.messages,
            "losses": list(self.losses),
        }


def _rounded(value: float, digits: int = 1) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def measure(path: Path, source: str) -> RunMeasures:
    """Read a bag of `plan_demo`; `source` is the name of the node that published. Raises BagError."""
    with open_bag(path) as bag:
        tracks, infos = bag.topics_called("tracks"), bag.topics_called("camera_info")
        published = bag.topics_called(f"{source}/status")
        statuses = [topic for topic in bag.topics_called("status") if topic not in published]
        if not tracks:
            raise BagError(f"bag {path} has no tracks")
        frames: dict[int, TrackedImage] = {}
        dropped, seen, told = 0, 0, 0
        model = device = ""
        for one in bag.messages({*tracks, *infos, *statuses, *published}):
            message = one.message
            if one.topic in infos:
                seen += 1
            elif one.topic in published:
                values = {value.key: value.value for value in message.values}
                told = max(told, int(values.get("frames_published", 0)))
            elif one.topic in statuses:
                model, device = message.model or model, message.device or device
            else:
                dropped = max(dropped, int(message.dropped_frames))
                frame = tracked_image(message)
                if frame is not None:
                    frames[frame.stamp_ns] = frame
        counts, losses = dict(sorted(bag.counts.items())), tuple(bag.losses)
    # The source counts what it publishes; camera_info comes with each image, where it could not say.
    in_order = tuple(frames[stamp] for stamp in sorted(frames))
    return RunMeasures(max(told, seen), in_order, dropped, model, device, counts, losses)


def overlay_images(path: Path) -> Generator[tuple[int, Image], None, None]:
    """The annotated images in a bag with their stamps, ns, in the order of these. Raises BagError."""
    with open_bag(path) as bag:
        for topic in bag.topics_called("overlay/compressed")[:1]:
            with closing(image_messages(bag, topic)) as images:
                for stamp_ns, one in images:
                    try:
                        yield stamp_ns, decoded(one)
                    except ImageConversionError:
                        # An image that did not arrive whole is none.
                        continue
