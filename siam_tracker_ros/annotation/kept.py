"""The files of an annotation: ground truth for whoever measures and trains, key frames to go on from."""

from __future__ import annotations

import json
from pathlib import Path

from siam_tracker_ros.annotation.key_frames import AnnotationError, KeyFrames
from siam_tracker_ros.footage.whole_file import write_whole
from siam_tracker_ros.tracking.boxes import Box

_HIDDEN = "nan,nan,nan,nan"
_ENDING = ".keyframes.json"


def key_frame_file(truth: Path) -> Path:
    """Where the key frames of a ground-truth file are kept: beside it."""
    return truth.with_name(truth.stem + _ENDING)


def save(truth: Path, key_frames: KeyFrames) -> None:
    """Write both files, each replaced as a whole. Raises OutputError."""
    lines = [_HIDDEN if box is None else ",".join(f"{v:.2f}" for v in box) for box in key_frames.boxes()]
    content = {
        "frames": key_frames.frames,
        "key_frames": {str(frame): box and list(box) for frame, box in key_frames.keys.items()},
        "tracked": {str(start): [list(box) for box in run] for start, run in key_frames.runs.items()},
    }
    write_whole(key_frame_file(truth), json.dumps(content) + "\n")
    write_whole(truth, "".join(f"{line}\n" for line in lines))


def load(truth: Path, frames: int) -> KeyFrames:
    """The key frames kept beside a ground-truth file; none where neither is there.

    Raises AnnotationError where they are of footage with another number of frames or cannot be read, and
    where there is a ground truth without them, which would be lost.
    """
    path = key_frame_file(truth)
    if not path.exists():
        if truth.exists():
            raise AnnotationError(
                f"{truth} was not drawn here, as there is no {path.name} beside it: name another file (--out)"
            )
        return KeyFrames(frames)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        keys = {int(at): None if box is None else _box(box) for at, box in content["key_frames"].items()}
        runs = {int(at): tuple(map(_box, run)) for at, run in content["tracked"].items()}
        known = int(content["frames"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AnnotationError(f"cannot read key frames {path}: {error}") from error
    if known != frames:
        raise AnnotationError(f"{path} is of footage with {known} frames, and this has {frames}")
    loaded = KeyFrames(frames)
    for frame, box in keys.items():
        loaded = loaded.with_key(frame, box)
    for start, run in runs.items():
        loaded = loaded.with_run(start, run)
    return loaded


def _box(values: list[float]) -> Box:
    x, y, w, h = map(float, values)
    return Box(x, y, w, h)
