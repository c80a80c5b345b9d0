"""The centre-bias study: asks for the right cells, draws its figure, runs as a command."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
import yaml
from training_footage import drawn_data

from siam_tracker_ros.cli import main
from siam_tracker_ros.training.centre_bias import Bias, PaddedNetwork, _near, draw_figure


def test_the_cells_asked_for_lie_on_the_target():
    boxes = torch.tensor([[0.0, 0.0, 40, 40], [64.0, -32.0, 20, 60]])
    near = _near(boxes, 25)
    for target, (row, col) in zip(near, [(12, 12), (8, 20)], strict=True):
        rows, cols = torch.nonzero(target, as_tuple=True)
        assert (float(rows.float().mean()), float(cols.float().mean())) == (row, col)
        # A disc of two cells' radius.
        assert len(rows) == 13


def test_padding_tells_the_network_where_a_cell_is():
    torch.manual_seed(0)
    network = PaddedNetwork()
    even = torch.full((1, 3, 255, 255), 90.0)

    def middle():
        with torch.no_grad():
            return network(even[..., :127, :127], even)[0, 8:17, 8:17]

    # An even image has an even response but for what padding adds, and here that reaches the middle.
    assert float(middle().std()) > 1e-4
    for layer in network.backbone:
        layer[0].padding_mode = "replicate"
        layer[0]._reversed_padding_repeated_twice = [layer[0].padding[0]] * 4
    assert float(middle().std()) < 1e-5


def test_the_figure_has_a_panel_for_each_range(tmp_path):
    heat = np.zeros((25, 25), np.float32)
    heat[12, 12] = 1
    draw_figure([Bias(0, heat, 1.0, 0.1), Bias(32, heat / 2, 1.0, 0.9)], tmp_path / "figure.png")
    image = cv2.imread(str(tmp_path / "figure.png"))
    assert image.shape[1] > 1.5 * image.shape[0]
    # The map's lowest and highest colour (viridis), BGR.
    for colour in ((84, 1, 68), (37, 231, 253)):
        assert (np.abs(image.astype(int) - colour).max(axis=2) < 12).sum() > 20


def test_the_command_runs_on_the_data_of_a_configuration(tmp_path, capsys):
    data = dataclasses.asdict(drawn_data(tmp_path))
    data["sources"] = [{k: v for k, v in s.items() if k != "synthetic"} for s in data["sources"]]
    data["held_out_sequences"] = list(data["held_out_sequences"])
    config = tmp_path / "train.yaml"
    config.write_text(
        yaml.safe_dump(
            {"model": "siammask_mobilev2_w10", "steps": 1, "data": data, "run": {"folder": "x", "workers": 0}}
        )
    )
    out = tmp_path / "bias.png"
    command = ["study", "centre-bias", str(config), "--out", str(out), "--pairs", "16"]
    assert main([*command, "--steps", "2", "--shifts", "0", "16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-3:-1]] == ["0", "16"]
    assert out.is_file()
    assert main([*command, "--steps", "0"]) == 1
    assert "--steps" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["absent/dir.png"])
def test_a_figure_in_a_new_folder_is_made(tmp_path, name):
    heat = np.ones((25, 25), np.float32)
    draw_figure([Bias(0, heat, 1.0, 1.0)], tmp_path / name)
    assert (tmp_path / name).is_file()
