"""Pictures of a run: a sheet of its frames, and its course over time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np

from siam_tracker_ros.demo.run_measures import RunMeasures
from siam_tracker_ros.footage.annotate import STATE_COLOURS
from siam_tracker_ros.footage.frames import Image
from siam_tracker_ros.tracking.state import TrackState

_COLUMNS = 3
_CELL_WIDTH = 480
_GAP = 6
_QUALITY = 88


def sheet_places(count: int, cells: int = 9) -> list[int]:
    """Which of `count` frames to show, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(cells, count))}) if count else []


def contact_sheet(images: Sequence[Image]) -> Image:
    """Images of one size side by side, in reading order."""
    height, width = images[0].shape[:2]
    size = (_CELL_WIDTH, max(1, round(_CELL_WIDTH * height / width)))
    cells = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (size[1] + _GAP) - _GAP, columns * (size[0] + _GAP) - _GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        top, left = row * (size[1] + _GAP), column * (size[0] + _GAP)
        sheet[top : top + size[1], left : left + size[0]] = cell
    return sheet


def jpeg(image: Image) -> bytes:
    """The image as a JPEG file."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def course(run: RunMeasures) -> bytes:
    """Confidence with the states behind it, and latency, over the footage's time; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    start = run.frames[0].stamp_ns
    times = np.array([(frame.stamp_ns - start) / 1e9 for frame in run.frames])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    ids = list(dict.fromkeys(id for frame in run.frames for id in frame.tracks))
    seen: dict[TrackState, None] = {}
    for id, style in zip(ids, ("-", "--", ":", "-.") * len(ids), strict=False):
        of = [(time, frame) for time, frame in zip(times, run.frames, strict=True) if id in frame.tracks]
        if id == ids[0]:
            for time, frame in of:
                state = frame.tracks[id].state
                seen[state] = None
                above.axvspan(time - step / 2, time + step / 2, color=_rgb(state), alpha=0.35, linewidth=0)
        label = f"target {id}" if len(ids) > 1 else "confidence"
        above.plot(
            [time for time, _ in of],
            [frame.tracks[id].confidence for _, frame in of],
            style,
            color="black",
            label=label,
        )
    handles, labels = above.get_legend_handles_labels()
    handles += [Patch(color=_rgb(state), alpha=0.35) for state in sorted(seen)]
    labels += [state.name for state in sorted(seen)]
    above.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    above.set(ylabel="confidence", ylim=(-0.02, 1.02))
    below.plot(times, [frame.latency_ms for frame in run.frames], color="black", linewidth=1)
    for name, value in run.latency_ms.items():
        below.axhline(
            value, color="grey", linestyle=":" if name == "p95" else "--", label=f"{name} {value:.0f} ms"
        )
    below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    below.set(ylabel="latency, ms", xlabel="footage time, s", ylim=(0, None))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    above.margins(x=0)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _rgb(state: TrackState) -> tuple[float, float, float]:
    blue, green, red = STATE_COLOURS[state]
    return red / 255, green / 255, blue / 255
