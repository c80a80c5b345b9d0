"""What a frame says of each target: the measured box, what speaks for it, and the size that follows from it.

Everything is torch without host synchronisation, on the device of the response maps; `read_observations`
reads all of it with one copy.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from siam_tracker_ros.models.config import TrackingConfig
from siam_tracker_ros.tracking.boxes import CenterBox
from siam_tracker_ros.tracking.confidence import Evidence, confidences, gather_evidence
from siam_tracker_ros.tracking.decode import Selection
from siam_tracker_ros.tracking.request import Requests

SELECTION_COLUMNS = len(Selection._fields)


class Observation(NamedTuple):
    """One target in one frame.

    `measured` is the selected box in px of the frame, `size` the target's width and height after it was
    smoothed by it, `confidence` the probability that the box is on the target.
    """

    selection: Selection
    measured: CenterBox
    evidence: Evidence
    confidence: float
    size: tuple[float, float]


OBSERVATION_COLUMNS = SELECTION_COLUMNS + 4 + 3 + 1 + 2


def measured_boxes(selected: Tensor, requests: Requests) -> Tensor:
    """Selections [N, 9] -> boxes [N, 4] as cx, cy, w, h, px of the frame, float64."""
    box = selected[:, 5:].double() / requests.scale
    return torch.cat((requests.before[:, :2] + box[:, :2], box[:, 2:]), dim=1)


def observe(selected: Tensor, measured: Tensor, requests: Requests, config: TrackingConfig) -> Tensor:
    """Selections [N, 9] and the boxes measured from them [N, 4] -> [N, OBSERVATION_COLUMNS] float64."""
    selected = selected.double()
    evidence = gather_evidence(selected, requests.expected, measured)
    sure = confidences(evidence, config.confidence)[:, None]
    if config.box_source == "mask":
        # A box read from the mask is the next reference as it is (SiamMask, section 3.3).
        size = measured[:, 2:]
    else:
        before = requests.before[:, 2:]
        # SiamFC damps by a constant, SiamRPN by how good the box is (section 4.3).
        share = selected[:, 1:2] * selected[:, 2:3] if config.pyramid is None else torch.ones_like(sure)
        size = torch.lerp(before, measured[:, 2:], share * config.lr)
    return torch.cat((selected, measured, evidence, sure, size), dim=1)


def read_observations(packed: Tensor) -> list[Observation]:
    """Observations of a batch on the host: the one synchronisation with the device."""
    observations = []
    for row in packed.cpu().tolist():
        box, rest = row[SELECTION_COLUMNS : SELECTION_COLUMNS + 4], row[SELECTION_COLUMNS + 4 :]
        logit, margin, plausibility, sure, width, height = rest
        selection = Selection(int(row[0]), *row[1:SELECTION_COLUMNS])
        evidence = Evidence(logit, margin, plausibility)
        observations.append(Observation(selection, CenterBox(*box), evidence, sure, (width, height)))
    return observations
