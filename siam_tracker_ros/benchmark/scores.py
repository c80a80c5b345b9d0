"""Accuracy of the trackers whose speed is measured, out of what `siam-tracker eval --json` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError


class ScoresError(SiamTrackerError):
    """A file that `siam-tracker eval --json` has not written."""


def read_scores(files: Sequence[Path]) -> dict[str, float]:
    """Mean IoU by tracker; a file about one tracker alone names it by its stem. Raises ScoresError."""
    found: dict[str, float] = {}
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            trackers = content.get("trackers", {file.stem: content})
            found.update({name: float(scores["mean_iou"]) for name, scores in trackers.items()})
        except OSError as error:
            raise ScoresError(f"cannot read {file}: {error.strerror or error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ScoresError(f"{file} holds no scores of `siam-tracker eval --json`: {error!r}") from error
    return found
