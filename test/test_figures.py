"""Pictures of networks: that they are drawn, of what the network really is and does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_networks import SMALL, seeded
from test_training_family import small
from training_footage import draw_sequence

from siam_tracker_ros.cli import main
from siam_tracker_ros.figures import architecture
from siam_tracker_ros.figures.architecture import draw_architecture
from siam_tracker_ros.figures.from_footage import seen_in
from siam_tracker_ros.figures.responses import channel_responses, draw_responses, strongest_channels
from siam_tracker_ros.models import zoo
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.config import TrackingConfig, ZooEntry

ENTRY = ZooEntry("small", SMALL, TrackingConfig(penalty_k=0.04, window_influence=0.4, lr=0.5))


@pytest.mark.parametrize(
    "name", ["siammask_r50_base", "siammask_r50_two_branch", "siamfc_alexnet", "siamattn_r50"]
)
def test_an_architecture_is_drawn_with_its_shapes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{name}.png"
    draw_architecture(zoo.ZOO[name], path)
    assert cv2.imread(str(path)).std() > 5
    blocks, arrows = architecture._blocks(zoo.ZOO[name])
    text = "\n".join(block.text for block in blocks)
    entry = zoo.ZOO[name]
    cells = entry.tracking.score_size(entry.tracking.instance_size)
    assert f"{cells} x {cells}" in text
    assert ("mask 63 x 63" in text) == (name == "siammask_r50_base")
    assert ("mask 127 x 127" in text) == (name == "siammask_r50_two_branch")
    assert ("deformable RoI pooling" in text) == (name == "siamattn_r50")
    reached = {id(end) for _, end in arrows}
    assert all(id(block) in reached or block.kind == "image" for block in blocks)
    # Nothing is drawn over anything else.
    for i, one in enumerate(blocks):
        for other in blocks[:i]:
            if one.column == other.column:
                assert abs(one.y - other.y) >= (one.height + other.height) / 2


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("mobilenetv2", "similarity"), ("mobilenetv2", "depthwise"), ("alexnet", "up_channel")],
)
def test_channels_add_up_to_what_the_head_sees(backbone: str, head: str) -> None:
    layers = {"rpn_layers": (5,), "rpn_channels": None if backbone == "alexnet" else (16,)}
    model = replace(SMALL, backbone=backbone, head=head, mask=None, **layers)
    network = seeded(model)
    torch.manual_seed(0)
    with torch.inference_mode():
        template = network.template(torch.rand(1, 3, 127, 127) * 255)
        features = network.features(torch.rand(1, 3, 255, 255) * 255)
        responses = channel_responses(network, template, features.levels)
        cls, _ = network.respond(template, features)
        assert responses.shape[2:] == cls.shape[2:]
        if head == "up_channel":
            torch.testing.assert_close(responses.sum(1), cls.mean(1), rtol=1e-3, atol=1e-3)
        else:
            again = network.rpn_head.cls.head(responses)
            torch.testing.assert_close(
                again, cls[:, 1:] if head == "similarity" else cls, rtol=1e-4, atol=1e-4
            )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("videos")
    for seed, name in enumerate(("one", "other")):
        draw_sequence(folder / name, seed, frames=18)
    return [str(folder / name) for name in ("one", "other")]


def test_responses_of_footage_are_drawn_with_the_attention_there_is(
    videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = small("siamattn_r50")
    weights = tmp_path / "attention.safetensors"
    save_weights(seeded(entry.model), weights, entry.name)
    rows = seen_in(entry, weights, videos, [(100, 70, 48, 36)] * 2)
    assert [(row.footage, row.number) for row in rows] == [
        ("one", 1),
        ("one", 16),
        ("other", 1),
        ("other", 16),
    ]
    for row in rows:
        assert row.image.shape == (255, 255, 3)
        assert row.responses.shape == (16, 25, 25)
        assert row.spatial.shape == (31, 31)
        assert row.spatial.sum() == pytest.approx(1, rel=1e-4)
        np.testing.assert_allclose(row.own.sum(axis=1), 1, rtol=1e-4)
        assert row.cross.shape == (16, 16)
    channels = strongest_channels(rows[0], 8)
    assert len(set(channels.tolist())) == 8
    draw_responses(entry, rows, tmp_path / "responses.png")
    assert cv2.imread(str(tmp_path / "responses.png")).std() > 20


def test_the_command_draws_both_pictures(
    videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo, "ZOO", {"small": ENTRY})
    save_weights(seeded(SMALL), tmp_path / "small.safetensors", "small")
    figure, responses = tmp_path / "a.svg", tmp_path / "r.png"
    options = ["--weights", str(tmp_path / "small.safetensors"), "--out", str(responses)]
    shown = ["--responses", videos[0], "--box=100,70,48,36"]
    assert main(["model", "small", "--figure", str(figure), *shown, *options]) == 0
    assert figure.read_text().lstrip().startswith("<?xml")
    assert responses.is_file()
    assert capsys.readouterr().out == f"wrote {figure}\nwrote {responses}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["siammask_r50_base", "siamattn_r50", "--figure", "x.png"], "give one NAME, not 2"),
        (["siammask_r50_base", "--responses", "v.mp4"], "there are 1 videos and 0 boxes"),
        (["siammask_r50_base", "--figure", "x.txt"], "a .png, .svg or .pdf file, not x.txt"),
        (["siammask", "--figure", "x.png"], "no model called 'siammask'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_drawn_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", *arguments]) == 1
    assert told in capsys.readouterr().err
