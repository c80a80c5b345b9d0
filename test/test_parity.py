"""The numbers of PySOT, stored beside the repository, against this package's; tolerances as asked there."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import parity_adapter
import pytest
import torch

from siam_tracker_ros.models.config import AnchorConfig
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.tracking.anchors import anchor_grid
from siam_tracker_ros.tracking.boxes import (
    CenterBox,
    clip_to_frame,
    polygon_equal_area_box,
    polygon_extent,
)
from siam_tracker_ros.tracking.crop import centred_window, channel_mean, crop_window, sample_windows

SETS = ("siamrpn_mobilev2_l234_dwxcorr", "siammask_r50_l3")
FRAGILE = 2e-3


@pytest.fixture(scope="session")
def ref(parity_dir: Path) -> Path:
    return parity_dir / "ref"


@pytest.fixture(scope="session")
def frames(ref: Path) -> np.ndarray:
    return np.load(ref / "frames.npz")["frames"]


@pytest.fixture(scope="session")
def utils(ref: Path) -> dict[str, np.ndarray]:
    return dict(np.load(ref / "utils.npz"))


@pytest.fixture(scope="session")
def load_state(parity_dir: Path) -> Callable[[str], dict[str, np.ndarray]]:
    spec = importlib.util.spec_from_file_location("parity_recipe", parity_dir / "recipe.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return lambda name: recipe.load_state(str(parity_dir / "ref"), name)


@pytest.fixture(scope="module", params=SETS)
def built(request: pytest.FixtureRequest, ref: Path, load_state: Any) -> tuple[str, dict, Any]:
    config = json.loads((ref / "sets.json").read_text())[request.param]["config"]
    return request.param, config, parity_adapter.build(request.param, config, load_state(request.param))


def test_every_experiment_has_pysots_keys_and_shapes(ref: Path) -> None:
    experiments = json.loads((ref / "all_experiment_keys.json").read_text())
    assert len(experiments) == 11
    for name, keys in experiments.items():
        with torch.device("meta"):
            network = SiameseNetwork(ZOO[name].model)
        ours = {key: list(value.shape) for key, value in network.state_dict().items()}
        assert ours == dict(keys), name


def test_zoo_has_pysots_tracking_constants(built: tuple[str, dict, Any]) -> None:
    name, config, _ = built
    entry = parity_adapter.entry_from_pysot(name, config)
    assert entry == ZOO[name]


def test_networks_give_pysots_outputs(built: tuple[str, dict, Any], ref: Path) -> None:
    name, config, adapter = built
    inputs, stored = np.load(ref / "inputs.npz"), np.load(ref / name / "model_io.npz")
    adapter.template(inputs["template_u8"][None].astype(np.float32))
    searches = inputs[f"search{config['TRACK']['INSTANCE_SIZE']}_u8"]
    for i, search in enumerate(searches):
        out = adapter.track(search[None].astype(np.float32))
        np.testing.assert_allclose(out["cls"][0].numpy(), stored[f"cls_{i}"], rtol=0, atol=3e-3)
        np.testing.assert_allclose(out["loc"][0].numpy(), stored[f"loc_{i}"], rtol=0, atol=5e-4)
        if "mask_0" not in stored:
            continue
        for row, col in ((0, 0), (12, 12), (24, 24), (3, 20)):
            np.testing.assert_allclose(
                adapter.mask_refine((row, col))[0].numpy(),
                stored[f"refine_{i}_pos{row}_{col}"],
                rtol=0,
                atol=2e-2,
            )


def test_tracker_takes_pysots_steps(built: tuple[str, dict, Any], ref: Path, frames: np.ndarray) -> None:
    """Teacher-forced: the state is PySOT's before each frame, so that errors do not add up."""
    name, _, adapter = built
    stored = np.load(ref / name / "track.npz")
    adapter.tracker.init(frames[0], stored["init"].tolist())
    checked = 0
    for t, state in enumerate(stored["state_in"]):
        adapter.set_state(state[:2], state[2:], bool(stored["lt_state"][t]))
        out = adapter.tracker.track(frames[t + 1])
        if min(stored["gap"][t], stored["round_margin"][t]) < FRAGILE:
            continue
        checked += 1
        np.testing.assert_allclose(out["bbox"], stored["bbox"][t], rtol=0, atol=0.05, err_msg=f"frame {t}")
        assert out["best_score"] == pytest.approx(stored["best_score"][t], abs=1e-3)
        center, size, _ = adapter.get_state()
        np.testing.assert_allclose([*center, *size], stored["state_out"][t], rtol=0, atol=0.05)
        if "mask_bits" in stored:
            bits = np.unpackbits(stored["mask_bits"][t])[: out["mask"].size]
            theirs = bits.reshape(out["mask"].shape).astype(bool)
            assert (out["mask"] & theirs).sum() / (out["mask"] | theirs).sum() >= 0.985
            ours, corners = (
                p[np.lexsort(p.T.round(1))]
                for p in (np.reshape(out["polygon"], (4, 2)), stored["polygon"][t].reshape(4, 2))
            )
            np.testing.assert_allclose(ours, corners, rtol=0, atol=1.0)
    assert checked > 30


@pytest.mark.parametrize("score_size", [17, 21, 25, 97])
def test_anchors(utils: dict[str, np.ndarray], score_size: int) -> None:
    np.testing.assert_array_equal(anchor_grid(AnchorConfig(), score_size), utils[f"anchors_{score_size}"])


@pytest.mark.parametrize("case", range(11))
def test_crops(utils: dict[str, np.ndarray], frames: np.ndarray, case: int) -> None:
    index, cx, cy, side, size = utils["subwin_cases"][case]
    frame = frames[int(index)]
    window = centred_window(CenterBox(cx, cy, 1, 1), side)
    ours = crop_window(frame, window, int(size), channel_mean(frame))
    theirs = utils[f"subwin_{case}"].transpose(1, 2, 0)
    # The largest is stored at every third pixel.
    step = int(size) // len(theirs)
    difference = np.abs(ours[::step, ::step].astype(int) - theirs)
    assert difference.max() <= 1
    sampled = sample_windows(torch.from_numpy(frame), [window], int(size), [channel_mean(frame)])
    assert np.abs(sampled[0].numpy()[::step, ::step] - theirs).max() <= 1.0


def test_polygons_to_boxes(utils: dict[str, np.ndarray]) -> None:
    for polygon, area, extent in zip(
        utils["region8"], utils["region8_aabb"], utils["region8_minmax"], strict=True
    ):
        np.testing.assert_allclose(polygon_equal_area_box(polygon), area, rtol=1e-12)
        np.testing.assert_allclose(polygon_extent(polygon), extent, rtol=1e-12)


def test_clip(utils: dict[str, np.ndarray]) -> None:
    for box, clipped in zip(utils["clip_in"], utils["clip_out"], strict=True):
        np.testing.assert_allclose(clip_to_frame(CenterBox(*box), 480, 360, 10), clipped)
