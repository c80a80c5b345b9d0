"""Samples: labels say what the pixels show, whatever the augmentation; sampling keeps its promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_footage import STILL, TARGET_BGR, drawn_data

from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.training.config import AugmentationConfig, PairConfig, RunConfig, TrainConfig
from siam_tracker_ros.training.frame_store import FrameStore
from siam_tracker_ros.training.pairs import NoPairsError, draw_pair, split_tracks
from siam_tracker_ros.training.prepare import prepare_store
from siam_tracker_ros.training.samples import PairSamples

ENTRY = get_entry("siammask_mobilev2_w10")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = drawn_data(tmp_path_factory.mktemp("footage"))
    summary = prepare_store(config)
    assert not summary.skipped
    return config, FrameStore(Path(config.store))


def samples(data, augmentation=STILL, pairs=None, seed=3):
    config, store = data
    training, _ = split_tracks(store, config)
    run = TrainConfig(
        model=ENTRY.name,
        steps=1,
        data=config,
        run=RunConfig(folder="unused"),
        pairs=pairs or PairConfig(negative_share=0),
        augmentation=augmentation,
    )
    return PairSamples(store, training, run, ENTRY.tracking, seed)


def coloured(image):
    """Where the target's colour is, [H, W] bool."""
    far = np.abs(image.numpy().transpose(1, 2, 0).astype(int) - TARGET_BGR).max(axis=2)
    return far < 60


def extent(where):
    rows, cols = np.nonzero(where)
    return np.array(
        [
            (cols.min() + cols.max()) / 2 - 127,
            (rows.min() + rows.max()) / 2 - 127,
            cols.max() - cols.min() + 1,
            rows.max() - rows.min() + 1,
        ]
    )


GEOMETRY = {
    "as it is": STILL,
    "shifted": replace(STILL, search_shift=64),
    "scaled": replace(STILL, search_scale=0.18),
    "mirrored": replace(STILL, flip=1, search_shift=30),
    "turned": replace(STILL, rotation_deg=12, search_shift=30),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_the_box_is_where_the_target_is(data, name):
    made = samples(data, GEOMETRY[name])
    for number in range(12):
        sample = made[number]
        np.testing.assert_allclose(sample["box"].numpy(), extent(coloured(sample["search"])), atol=3.0)


@pytest.mark.parametrize("name", GEOMETRY)
def test_the_mask_lies_under_its_cell(data, name):
    made = samples(data, GEOMETRY[name])
    checked = 0
    for number in range(12):
        sample = made[number]
        row, col = sample["mask_cell"].tolist()
        if row < 0:
            continue
        padded = np.pad(coloured(sample["search"]), 127)
        # The window of response cell (12, 12) is centred in the search region; cells are 8 px apart.
        top, left = 127 + 64 + 8 * (row - 12), 127 + 64 + 8 * (col - 12)
        seen = padded[top : top + 127, left : left + 127]
        wanted = sample["mask"].numpy() > 0
        assert (seen & wanted).sum() / (seen | wanted).sum() > 0.9
        checked += 1
    assert checked


def test_the_exemplar_shows_the_target_in_its_centre(data):
    made = samples(data)
    for number in range(6):
        where = coloured(made[number]["exemplar"])
        rows, cols = np.nonzero(where)
        assert abs(rows.mean() - 63) < 3
        assert abs(cols.mean() - 63) < 3


def test_the_shift_is_spread_evenly_over_its_range(data):
    made = samples(data, replace(STILL, search_shift=64))
    centres = np.array([made[number]["box"].numpy()[:2] for number in range(300)])
    assert np.abs(centres).max() < 66
    # A uniform spread over +-64 has a mean of 0 and a standard deviation of 37.
    assert np.abs(centres.mean(axis=0)).max() < 8
    assert np.abs(centres.std(axis=0) - 37).max() < 4


def test_a_sample_depends_on_seed_and_number_alone(data):
    lively = AugmentationConfig()
    one, other = samples(data, lively), samples(data, lively)
    other[0]
    for key, value in one[7].items():
        np.testing.assert_array_equal(value, other[7][key])
    assert (one[7]["search"] != samples(data, lively, seed=4)[7]["search"]).any()


def test_lively_samples_are_sound(data):
    made = samples(data, AugmentationConfig(composition=0.5, paste=0.8), PairConfig(negative_share=0.2))
    negatives = 0
    for number in range(60):
        sample = made[number]
        assert sample["exemplar"].shape == (3, 127, 127)
        assert sample["search"].shape == (3, 255, 255)
        assert np.isfinite(sample["loc"].numpy()).all()
        negative = bool(sample["pair"][2])
        negatives += negative
        assert bool((sample["labels"] == 1).any()) != negative
        assert negative <= (sample["mask_cell"][0] < 0)
    assert 3 <= negatives <= 25


def test_pairs_keep_to_their_split_and_range(data):
    config, store = data
    training, held_out = split_tracks(store, config)
    rng = np.random.default_rng(0)
    for _ in range(200):
        pair = draw_pair(store, training, PairConfig(frame_range=2, negative_share=0.5), rng)
        groups = [store.track_groups[store.track_of(t)] for t in (pair.exemplar, pair.search)]
        assert "held" not in groups
        if pair.is_negative:
            assert groups[0] != groups[1]
        else:
            assert store.track_of(pair.exemplar) == store.track_of(pair.search)
            assert abs(pair.exemplar - pair.search) <= 2
    drawn = draw_pair(store, held_out, PairConfig(negative_share=0), rng)
    assert store.track_groups[store.track_of(drawn.exemplar)] == "held"


def test_holding_out_what_is_not_there_is_an_error(data):
    config, store = data
    with pytest.raises(NoPairsError, match="absent"):
        split_tracks(store, replace(config, held_out_sequences=("absent",)))
