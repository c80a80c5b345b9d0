"""The configuration file: what it may hold, and what it says when it holds something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.training.config import TrainConfigError, parse_config, read_config
from siam_tracker_ros.training.schedule import learning_rate

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "config").glob("train_*.yaml"))


def content(**more):
    return {
        "model": "siammask_mobilev2_w10",
        "steps": 10,
        "data": {"sources": [{"layout": "sequence_folder", "path": "there"}], "store": "store"},
        "run": {"folder": "out"},
    } | more


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configurations_are_understood(path):
    assert read_config(path).model in ZOO


def test_there_is_a_shipped_configuration():
    assert CONFIGS


def test_what_is_not_given_has_the_papers_values():
    config = parse_config(content())
    assert config.augmentation.search_shift == 64
    assert config.pairs.negative_share == 0.2
    assert (config.anchors.positive_iou, config.anchors.negative_iou) == (0.6, 0.3)
    assert (config.anchors.positives, config.anchors.total) == (16, 64)
    assert (config.losses.cls_weight, config.losses.loc_weight, config.losses.mask_weight) == (1.0, 1.2, 32.0)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"stepz": 3}, "unknown key stepz"),
        ({"steps": "many"}, "steps must be of type int, not 'many'"),
        ({"losses": {"mask_weigth": 3}}, r"unknown key losses\.mask_weigth; known here: cls_weight"),
        ({"run": {"folder": "out", "precision": "fp8"}}, r"run\.precision is 'fp8'; it may be fp32, bf16"),
        ({"run": {}}, r"run\.folder is missing"),
        ({"data": {"sources": "all", "store": "s"}}, r"data\.sources must be a list"),
        ({"data": {"sources": [{"layout": "voc", "path": ""}], "store": "s"}}, r"sources\[0\]\.layout"),
        ({"optimiser": [1]}, "optimiser must be a mapping"),
        ({"steps": True}, "steps must be of type int"),
        ({"steps": 0}, "steps must be 1 at least, not 0"),
        ({"run": {"folder": "out", "picture_every": 0}}, r"run\.picture_every must be 1 at least"),
        ({"augmentation": {"flip": 1.5}}, r"augmentation\.flip must be from 0 to 1, not 1\.5"),
    ],
)
def test_what_is_wrong_is_named(more, told):
    with pytest.raises(TrainConfigError, match=told):
        parse_config(content(**more))


def test_a_whole_number_will_do_for_a_fraction():
    assert parse_config(content(optimiser={"rate": 1})).optimiser.rate == 1.0


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainConfigError, match=r"absent\.yaml"):
        read_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize("decay", ["cosine", "log"])
def test_the_rate_warms_up_and_decays(decay):
    given = {"rate": 1e-2, "final_rate": 1e-4, "warm_up_steps": 10, "decay": decay}
    config = parse_config(content(optimiser=given)).optimiser
    assert learning_rate(config, 0, 0.0) == pytest.approx(1e-3)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1e-2)
    assert learning_rate(config, 100, 1.0) == pytest.approx(1e-4)
    middle = learning_rate(config, 100, 0.5)
    assert middle == pytest.approx(1e-3 if decay == "log" else (1e-2 + 1e-4) / 2)


def test_several_processes_do_not_make_one_store(tmp_path, monkeypatch, capsys):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", str(path)]) == 1
    assert "--prepare-only" in capsys.readouterr().err
