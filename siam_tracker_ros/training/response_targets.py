"""What a response map is asked for at each cell (SiamFC, Bertinetto et al., ECCVW 2016, section 2.2).

The loss is the logistic one, half of it from the cells on the target and half from the others. That is what
`losses.classification_loss` computes where the background's logit is 0, as it is in such a network's output.
"""

from __future__ import annotations

import numpy as np

from siam_tracker_ros.training.anchor_targets import AnchorTargets, Float32


def response_targets(
    anchors: Float32, score_size: int, box: Float32, is_negative_pair: bool, radius: float
) -> AnchorTargets:
    """Targets of one search region of `score_size` S cells a side; labels [1, S, S].

    A cell is positive if it lies within `radius` px of the target's centre, else negative; on a negative pair
    all are. `anchors` [S * S, 4] and `box` [4] are cx, cy, w, h in px from the search region's centre. There
    is nothing to regress.
    """
    distance = np.hypot(anchors[:, 0] - box[0], anchors[:, 1] - box[1])
    labels = (distance <= radius).astype(np.int8).reshape(1, score_size, score_size)
    if is_negative_pair:
        labels[:] = 0
    return AnchorTargets(labels, labels == 0, np.zeros((4, *labels.shape), np.float32))
