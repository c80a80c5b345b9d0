"""Pictures and clips of the moments in which a tracker did badly, small enough to be put into a page."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from siam_tracker_ros.evaluation.report_data import Moment
from siam_tracker_ros.evaluation.results import TrackerRun
from siam_tracker_ros.evaluation.sequence import EvaluationSequence, ImageSource, boxes_of, read_image
from siam_tracker_ros.footage.video_writer import VideoWriter
from siam_tracker_ros.tracking.crop import Frame

_WIDTH = 384
_HALF_CLIP = 36
_STEP = 2
_TRUTH, _FOUND = (255, 255, 255), (60, 120, 255)


@dataclass(frozen=True)
class MomentClip:
    """A moment with its picture (JPEG) and clip (H.264 in MP4), both as data URIs."""

    moment: Moment
    picture: str
    clip: str


def moment_clip(moment: Moment, sequence: EvaluationSequence, run: TrackerRun) -> MomentClip:
    """The frames around a moment, truth in white and result in orange.

    Raises EvaluationError where an image cannot be read, OutputError where no clip can be written.
    """
    truth, found = sequence.truth_boxes, boxes_of(run.boxes_or_none)
    first = max(0, moment.frame - _HALF_CLIP)
    last = min(len(sequence.images), moment.frame + _HALF_CLIP + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        writer = VideoWriter(path, sequence.rate / _STEP)
        try:
            for count, index in enumerate(range(first, last, _STEP)):
                writer.write(
                    _drawn(sequence.images[index], truth[index], found[index]), count * _STEP / sequence.rate
                )
            writer.close()
            writer.output.publish()
        finally:
            writer.output.discard()
        clip = path.read_bytes()
    picture = _drawn(sequence.images[moment.frame], truth[moment.frame], found[moment.frame])
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return MomentClip(moment, _data_uri("image/jpeg", jpeg.tobytes()), _data_uri("video/mp4", clip))


def _drawn(image: ImageSource, truth: np.ndarray, found: np.ndarray) -> Frame:
    frame = read_image(image)
    scale = _WIDTH / frame.shape[1]
    height = 2 * round(frame.shape[0] * scale / 2)
    small = cv2.resize(frame, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    for box, colour in ((truth, _TRUTH), (found, _FOUND)):
        if np.isfinite(box).all():
            x, y, w, h = box * scale
            corners = (round(x), round(y)), (round(x + w), round(y + h))
            cv2.rectangle(small, *corners, (0, 0, 0), 4, cv2.LINE_AA)
            cv2.rectangle(small, *corners, colour, 2, cv2.LINE_AA)
    return np.asarray(small, dtype=np.uint8)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
