"""Anchor targets: the anchors are PySOT's, and labels and offsets are what the papers say."""

from __future__ import annotations

import numpy as np
import pytest

from siam_tracker_ros.models.config import AnchorConfig
from siam_tracker_ros.tracking.anchors import anchor_grid
from siam_tracker_ros.training.anchor_targets import AnchorSampling, anchor_iou, anchor_targets, encode_box

SIZE = 25
STRIDE = 8
ANCHORS = anchor_grid(AnchorConfig(), SIZE)
SAMPLING = AnchorSampling()


def targets(box, negative=False, seed=0, sampling=SAMPLING):
    rng = np.random.default_rng(seed)
    return anchor_targets(ANCHORS, SIZE, np.array(box, np.float32), negative, sampling, STRIDE, rng)


def test_anchors_are_those_pysot_trains_on(parity_dir):
    with np.load(parity_dir / "ref" / "utils.npz") as reference:
        center = reference["train_all_center"]
        corner = reference["train_all_corner"]
    ours = ANCHORS.reshape(5, SIZE, SIZE, 4).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(ours[:2] + 127, center[:2], atol=1e-4)
    np.testing.assert_allclose(ours[2:], center[2:], atol=1e-4)
    np.testing.assert_allclose(ours[:2] + 127 - ours[2:] / 2, corner[:2], atol=1e-4)


def test_a_target_that_is_an_anchor_has_no_offset_there():
    anchor = ANCHORS[2 * SIZE * SIZE + 12 * SIZE + 9]
    found = targets(anchor, sampling=AnchorSampling(positives=10_000, total=20_000))
    assert found.labels[2, 12, 9] == 1
    np.testing.assert_allclose(found.loc[:, 2, 12, 9], 0, atol=1e-6)


def test_offsets_lead_from_every_anchor_to_the_target():
    box = np.array([13.0, -21.0, 70.0, 50.0], np.float32)
    offsets = encode_box(ANCHORS, box)
    reached = np.concatenate(
        [ANCHORS[:, :2] + offsets[:, :2] * ANCHORS[:, 2:], ANCHORS[:, 2:] * np.exp(offsets[:, 2:])], axis=1
    )
    np.testing.assert_allclose(reached, np.broadcast_to(box, reached.shape), atol=1e-3)


def test_iou_of_hand_made_boxes():
    anchors = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 0, 10, 10], [0, 0, 5, 5]], np.float32)
    found = anchor_iou(anchors, np.array([0, 0, 10, 10], np.float32))
    np.testing.assert_allclose(found, [1, 50 / 150, 0, 0.25], atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 64, 64), (40, -33, 90, 40), (-60, 60, 30, 110)])
def test_positives_and_negatives_keep_to_their_overlaps_and_numbers(box):
    found = targets(box)
    iou = anchor_iou(ANCHORS, np.array(box, np.float32)).reshape(found.labels.shape)
    assert (iou[found.labels == 1] > 0.6).all()
    assert (iou[found.labels == 0] < 0.3).all()
    assert 0 < (found.labels == 1).sum() <= 16
    assert (found.labels == 0).sum() == 48
    np.testing.assert_array_equal(found.may_be_negative, iou < 0.3)


def test_a_negative_pair_asks_for_background_around_the_wrong_object_only():
    box = (32.0, -16.0, 60.0, 60.0)
    found = targets(box, negative=True)
    assert (found.labels == 0).sum() == 16
    assert not (found.labels == 1).any()
    _, rows, cols = np.nonzero(found.labels == 0)
    assert (np.abs(rows - 12 - box[1] / STRIDE) <= 3.5).all()
    assert (np.abs(cols - 12 - box[0] / STRIDE) <= 3.5).all()


def test_the_same_seed_draws_the_same_anchors():
    box = (3, 5, 80, 60)
    np.testing.assert_array_equal(targets(box, seed=4).labels, targets(box, seed=4).labels)
    assert (targets(box, seed=4).labels != targets(box, seed=5).labels).any()
