"""Parameters are described once; values are checked, and the parameter file is what the code says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from node_parameters import STRUCTS

from siam_tracker_ros.nodes.parameter_struct import (
    ParameterValueError,
    checked,
    declare,
    described,
    parameter_file,
    parameter_table,
    read,
)
from siam_tracker_ros.nodes.tracker_parameters import TrackerParameters

CONFIG = Path(__file__).resolve().parent.parent / "config"
PARAMETERS = described(TrackerParameters)
OF_ALL_NODES = [one for struct in STRUCTS.values() for one in described(struct)]


@pytest.mark.parametrize("name", STRUCTS)
def test_parameter_file_is_the_generated_one(name: str) -> None:
    assert (CONFIG / f"{name}.yaml").read_text() == parameter_file(STRUCTS[name])


@pytest.mark.parametrize("name", STRUCTS)
def test_parameter_file_holds_the_defaults(name: str) -> None:
    struct = STRUCTS[name]
    values = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())["/**"]["ros__parameters"]
    assert checked(struct, values) == struct()
    assert set(values) == {one.name for one in described(struct)}


@pytest.mark.parametrize("one", OF_ALL_NODES, ids=lambda one: one.name)
def test_every_parameter_is_described_and_bounded(one) -> None:
    assert one.description.endswith(".")
    one.check(one.default)
    if type(one.default) in (int, float):
        assert one.low < one.high
        for value in (one.low - 1, one.high + 1):
            with pytest.raises(ParameterValueError, match=one.name):
                one.check(type(one.default)(value))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_targets": 0}, "max_targets goes from 1 to 64, and 0 does not"),
        ({"max_targets": 2.0}, "max_targets is a int"),
        ({"max_targets": True}, "max_targets is a int"),
        ({"buffer_seconds": math.nan}, "buffer_seconds goes from 0 to 60"),
        ({"precision": "fp8"}, "precision is one of auto, fp32, fp16, bf16, int8, not 'fp8'"),
        ({"wights": "x"}, "no parameter is called 'wights'"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterValueError, match=words):
        checked(TrackerParameters, values)


def test_table_has_a_row_for_each() -> None:
    rows = parameter_table(TrackerParameters).splitlines()
    assert len(rows) == 2 + len(PARAMETERS)
    assert all(row.count(" | ") == 5 for row in rows[2:])


class FakeNode:
    """Keeps what is declared, as a node does."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.descriptors: dict[str, object] = {}

    def declare_parameter(self, name: str, value: object, descriptor: object) -> None:
        self.values[name], self.descriptors[name] = value, descriptor

    def get_parameter(self, name: str):
        return type("Parameter", (), {"value": self.values[name]})


def test_declared_with_description_and_range() -> None:
    pytest.importorskip("rcl_interfaces.msg", reason="NOT TESTED: no ROS 2 here")
    node = FakeNode()
    declare(node, TrackerParameters)
    assert read(node, TrackerParameters) == TrackerParameters()
    assert all(descriptor.description for descriptor in node.descriptors.values())
    (bounds,) = node.descriptors["max_targets"].integer_range
    assert (bounds.from_value, bounds.to_value) == (1, 64)
    (bounds,) = node.descriptors["buffer_seconds"].floating_point_range
    assert (bounds.from_value, bounds.to_value) == (0.0, 60.0)
    constraints = node.descriptors["weights"].additional_constraints
    assert "while unconfigured only, as the network is loaded" in constraints
    assert "at any time" in node.descriptors["max_targets"].additional_constraints
