"""Our trackers as the VOT tool kit calls them: a process that it talks to by the TraX protocol.

Cehovin, "TraX: The visual Tracking eXchange Protocol and Library", Neurocomputing 2017.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from siam_tracker_ros.evaluation.regions import MaskRegion, Polygon, Region, bounding_box
from siam_tracker_ros.evaluation.sequence import EvaluationError, box_to_start_on, read_image
from siam_tracker_ros.evaluation.trackers import Answer, TrackerSpec, make_tracker
from siam_tracker_ros.tracking.boxes import Box
from siam_tracker_ros.tracking.crop import Frame


def serve(spec: TrackerSpec, kind: str) -> None:
    """Answer a TraX client on standard input and output until it quits.

    `kind` is what is reported: rectangle (the box), polygon (the rotated box) or mask; the latter two need a
    model with a mask branch.
    Raises EvaluationError where vot-trax is missing or the tracker has no masks to report.
    """
    trax = _trax()
    tracker = make_tracker(spec)
    if kind != "rectangle" and not tracker.has_masks:
        raise EvaluationError(f"{spec.name} has no masks: its region is the rectangle")
    formats = {
        "rectangle": trax.Region.RECTANGLE,
        "polygon": trax.Region.POLYGON,
        "mask": trax.Region.MASK,
    }
    images = [trax.Image.PATH, trax.Image.MEMORY, trax.Image.BUFFER]
    with trax.Server([formats[kind]], images, tracker_name=spec.name) as server:
        while True:
            request = server.wait()
            if request.type == trax.TraxStatus.QUIT:
                return
            frame = _frame(trax, next(iter(request.image.values())))
            if request.type == trax.TraxStatus.INITIALIZE:
                if len(request.objects) != 1:
                    raise EvaluationError(f"one target at a time, not {len(request.objects)}")
                region = _ours(request.objects[0][0])
                tracker.start(frame, box_to_start_on(region))
                answer = Answer(bounding_box(region), 1.0)
            else:
                answer = tracker.follow(frame, kind != "rectangle")
            confidence = 0.0 if np.isnan(answer.confidence) else answer.confidence
            server.status([(_theirs(trax, _reported(answer, kind), kind), {"confidence": confidence})])


def registry_entry(spec: TrackerSpec, kind: str) -> str:
    """The lines of a trackers.ini by which the VOT tool kit knows the tracker, run by this Python."""
    options = [
        *(["--model", spec.model] if spec.model else []),
        *(
            word
            for option in ("device", "engine", "precision")
            if getattr(spec, option) != "auto"
            for word in (f"--{option}", getattr(spec, option))
        ),
        *([] if spec.long_term is None else ["--long-term" if spec.long_term else "--no-long-term"]),
    ]
    weights = str(Path(spec.text).resolve()) if Path(spec.text).is_file() else spec.text
    program = [sys.executable, "-m", "siam_tracker_ros.cli"]
    command = shlex.join([*program, "vot", "serve", weights, "--region", kind, *options])
    identifier = "".join(letter if letter.isalnum() else "_" for letter in spec.name)
    return f"[{identifier}]\nlabel = {spec.name}\nprotocol = trax\ncommand = {command}\n"


def _trax() -> Any:
    try:
        import trax
        import trax.server
    except ImportError as error:
        raise EvaluationError(
            f"the VOT tool kit is talked to through vot-trax: pip install vot-trax ({error})"
        ) from error
    return trax


def _frame(trax: Any, image: Any) -> Frame:
    """An image of any of TraX's kinds, BGR [height, width, 3]."""
    if isinstance(image, trax.FileImage):
        return read_image(Path(image.path()))
    if isinstance(image, trax.MemoryImage):
        # RGB, as TraX has it.
        return np.ascontiguousarray(image.array()[:, :, ::-1])
    data = np.frombuffer(image.buffer()[0], dtype=np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise EvaluationError(f"the client sent an image of {data.size} bytes that cannot be read")
    return np.asarray(decoded, dtype=np.uint8)


def _ours(region: Any) -> Region:
    if region.type == "rectangle":
        return Box(*region.bounds())
    if region.type == "polygon":
        return Polygon(np.array(list(region), dtype=np.float64))
    if region.type == "mask":
        x, y = region.offset()
        return MaskRegion(region.array() > 0, x, y)
    raise EvaluationError(f"there is nothing to start on in a region of the kind {region.type}")


def _reported(answer: Answer, kind: str) -> Region | None:
    return {"rectangle": answer.box, "polygon": answer.polygon, "mask": answer.mask}[kind] or answer.box


def _theirs(trax: Any, region: Region | None, kind: str) -> Any:
    """A region of TraX's of the kind promised; nothing found is an empty one."""
    box = bounding_box(region) if region is not None else Box(0, 0, 0, 0)
    x, y, w, h = box
    if kind == "rectangle":
        return trax.Rectangle.create(x, y, w, h)
    if kind == "polygon":
        corners = (
            region.points.tolist()
            if isinstance(region, Polygon)
            else [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
        )
        return trax.Polygon.create([tuple(corner) for corner in corners])
    if isinstance(region, MaskRegion) and region.mask.size:
        return trax.Mask.create(np.ascontiguousarray(region.mask, dtype=np.uint8), region.x, region.y)
    return trax.Mask.create(np.ones((max(1, round(h)), max(1, round(w))), dtype=np.uint8), round(x), round(y))
