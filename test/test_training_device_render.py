"""Crops made in torch are those that OpenCV makes: checked one change at a time, then all together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_footage import STILL, drawn_data

from siam_tracker_ros.models.zoo import get_entry
from siam_tracker_ros.training.config import AugmentationConfig, PairConfig, RunConfig, TrainConfig
from siam_tracker_ros.training.device_render import pack, render_batch
from siam_tracker_ros.training.pairs import split_tracks
from siam_tracker_ros.training.photometric import Colour
from siam_tracker_ros.training.picture import Layer, Photometric, Picture, render
from siam_tracker_ros.training.prepare import open_store, prepare_store
from siam_tracker_ros.training.samples import PairSamples, PlannedSamples, packed_batch, rendered_batch

PLAIN = Photometric(Colour(), Colour(), None, 1.0, False)


def smooth_noise(rng, height, width):
    """Without the jumps from px to px that no interpolation agrees on."""
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 12, 12)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine[0].permute(1, 2, 0).clamp(0, 255).numpy().astype(np.uint8)


def layer(rng, cover=None, height=150, width=210):
    angle, scale = rng.uniform(-0.3, 0.3), rng.uniform(0.5, 1.7)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    affine = np.array([[cos, -sin, rng.uniform(-60, 60)], [sin, cos, rng.uniform(-60, 60)]])
    return Layer(smooth_noise(rng, height, width), affine, tuple(rng.uniform(0, 255, 3)), cover)


CHANGES = {
    "none": PLAIN,
    "light": replace(PLAIN, shared=Colour((0.9, 1.2, 1.05), 12.0, 1.2)),
    "saturation": replace(PLAIN, shared=Colour(saturation=1.6), own=Colour(saturation=0.4)),
    "blur": replace(PLAIN, blur=(9, 0.7)),
    "lost resolution": replace(PLAIN, factor=3.1),
    "grey": replace(PLAIN, grey=True),
    "all": Photometric(Colour((1.1, 0.9, 1.0), -9.0, 0.9, 1.3), Colour(offset=5.0), (5, 2.0), 1.7, True),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("covered", [False, True], ids=["one layer", "three layers"])
def test_each_change_is_the_same(name, covered):
    rng = np.random.default_rng(3)
    pictures = []
    for _ in range(4):
        layers = [layer(rng)]
        for _ in range(2 * covered):
            layers.append(layer(rng, smooth_noise(rng, 127, 127)[..., 0].copy(), 80, 90))
        pictures.append(Picture(127, tuple(layers), CHANGES[name]))
    made = render_batch(pack(pictures)).permute(0, 2, 3, 1).numpy().astype(int)
    for one, picture in zip(made, pictures, strict=True):
        difference = np.abs(one - render(picture))
        # OpenCV's warp knows 32 places between two px, so that a border against the fill moves by up to 1/64.
        assert difference.mean() < 1.0
        assert np.percentile(difference, 99) <= 8


def test_pictures_with_and_without_a_change_share_a_batch():
    rng = np.random.default_rng(4)
    pictures = [Picture(127, (layer(rng),), change) for change in CHANGES.values()]
    made = render_batch(pack(pictures)).permute(0, 2, 3, 1).numpy().astype(int)
    for one, picture in zip(made, pictures, strict=True):
        assert np.abs(one - render(picture)).mean() < 1.0


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    config = drawn_data(tmp_path_factory.mktemp("footage"))
    prepare_store(config)
    store = open_store(config)
    entry = get_entry("siammask_mobilev2_w10")
    run = TrainConfig(
        model=entry.name,
        steps=1,
        data=config,
        run=RunConfig(folder="unused"),
        pairs=PairConfig(negative_share=0.2),
        augmentation=AugmentationConfig(composition=0.5, paste=0.6),
    )
    return PairSamples(store, split_tracks(store, config)[0], run, entry.tracking, 7)


def test_whole_samples_are_the_same(samples):
    loader = torch.utils.data.DataLoader(
        PlannedSamples(samples), batch_size=6, sampler=range(24), collate_fn=packed_batch, num_workers=2
    )
    for first, packed in zip(range(0, 24, 6), loader, strict=True):
        batch = rendered_batch(packed)
        for offset in range(6):
            wanted = samples[first + offset]
            assert {key for key in batch if key not in wanted} == set()
            for key, value in wanted.items():
                found = batch[key][offset]
                assert found.dtype == value.dtype
                if key not in ("exemplar", "search"):
                    torch.testing.assert_close(found, value, msg=key)
                    continue
                difference = (found.float() - value.float()).abs()
                assert difference.mean() < 1.5, (first + offset, key)
                assert (difference > 30).float().mean() < 0.01, (first + offset, key)


def test_rendered_samples_are_left_as_they_are(samples):
    batch = torch.utils.data.default_collate([samples[0], samples[1]])
    assert rendered_batch(batch) is batch


def test_nothing_of_it_changes_with_still_crops(samples):
    still = PairSamples(
        samples.store,
        samples.split,
        replace(samples.config, augmentation=STILL, pairs=PairConfig(negative_share=0)),
        samples.tracking,
        7,
    )
    batch = rendered_batch(packed_batch([still.plan(number) for number in range(8)]))
    for number in range(8):
        difference = (batch["search"][number].float() - still[number]["search"].float()).abs()
        assert difference.mean() < 0.7
