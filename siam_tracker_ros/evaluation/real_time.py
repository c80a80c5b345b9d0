"""Real-time evaluation: frames come at the camera's rate whether the tracker is ready or not.

A tracker that is busy misses frames, and for each frame the answer that counts is the newest one finished by
then. Kristan et al., "The Sixth Visual Object Tracking VOT2018 Challenge Results" (the real-time experiment);
Li et al., "Towards Streaming Perception", ECCV 2020. On a robot that drops old frames this is what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from siam_tracker_ros.errors import SiamTrackerError


class FrameRateError(SiamTrackerError, ValueError):
    """A frame rate that no camera has."""


@dataclass(frozen=True)
class Schedule:
    """Which frames a tracker got to see, and whose answer stood for each frame when it came.

    `processed` are the frames tracked, in order, the first (on which it starts) included; `answers` [frames]
    name for each frame the one whose result was the newest by then.
    """

    processed: tuple[int, ...]
    answers: tuple[int, ...]

    @property
    def dropped(self) -> int:
        """Frames never looked at."""
        return len(self.answers) - len(self.processed)


def real_time(frames: int, rate: float, process: Callable[[int], float]) -> Schedule:
    """Play `frames` frames at `rate` a second to a tracker.

    `process(index)` tracks in that frame (starts on it, if 0) and returns the seconds it took. Frames arrive
    at index / rate; a tracker that is done takes the newest that has arrived, or waits for the next. The
    start is not timed: the first frame's answer is the box that was given.

    Raises FrameRateError unless `rate` is above 0.
    """
    if not rate > 0:
        raise FrameRateError(f"a frame rate is above 0 frames a second, not {rate}")
    # Half a microsecond: an answer due exactly when a frame comes is in time, whatever rounding says.
    slack = 5e-7
    processed, finished = [0], [0.0]
    process(0)
    free_at, newest = 0.0, 0
    while newest < frames - 1:
        newest = max(newest + 1, min(frames - 1, int((free_at + slack) * rate)))
        started = max(free_at, newest / rate)
        free_at = started + process(newest)
        processed.append(newest)
        finished.append(free_at)
    answers, latest = [], 0
    for frame in range(frames):
        while latest + 1 < len(finished) and finished[latest + 1] <= frame / rate + slack:
            latest += 1
        answers.append(processed[latest])
    return Schedule(tuple(processed), tuple(answers))
