"""The interface files say what their fields mean, and the built messages are what the files say."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from siam_tracker_ros.control import supervisor as control_supervisor
from siam_tracker_ros.tracking import confidence as tracking_confidence

PACKAGE = Path(__file__).resolve().parent.parent / "siam_tracker_msgs"
FILES = sorted([*PACKAGE.glob("msg/*.msg"), *PACKAGE.glob("srv/*.srv")])
CONSTANT = re.compile(r"uint8 ([A-Z][A-Z0-9_]*)=(\d+)  +# \S.*")
FIELD = re.compile(r"([A-Za-z0-9_/]+(?:\[\])?) ([a-z][a-z0-9_]*)  +# (\S.*)")
NUMBER = re.compile(r"(float|u?int)\d+")


def parts(file: Path) -> list[list[str]]:
    """Lines that declare something, of each part of the file (a service has two)."""
    texts = file.read_text().split("\n---\n")
    return [[line for line in text.splitlines() if line and not line.startswith("#")] for text in texts]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_field_and_constant_is_explained(file: Path) -> None:
    for line in (line for part in parts(file) for line in part):
        assert CONSTANT.fullmatch(line) or FIELD.fullmatch(line), f"{file.name}: {line}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_number_has_its_unit(file: Path) -> None:
    unit = re.compile(r"px|rad|ms|m/s|\bs,|s and ns|0\.\.1|count|\+1|one of the values above")
    for line in (line for part in parts(file) for line in part):
        field = FIELD.fullmatch(line)
        if field and NUMBER.fullmatch(field[1]):
            assert unit.search(field[3]), f"{file.name}: no unit: {line}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_constants_count_from_zero(file: Path) -> None:
    for part in parts(file):
        values = [int(match[2]) for line in part if (match := CONSTANT.fullmatch(line))]
        assert values[:1] in ([], [0])
        assert all(after == before + 1 for before, after in pairwise(values))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_built_interfaces_are_those_of_the_files(file: Path) -> None:
    interfaces = pytest.importorskip(
        f"siam_tracker_msgs.{file.suffix[1:]}", reason="NOT TESTED: the interfaces are not built"
    )
    built = getattr(interfaces, file.stem)
    classes = [built] if file.suffix == ".msg" else [built.Request, built.Response]
    for cls, part in zip(classes, parts(file), strict=True):
        fields = [match[2] for line in part if (match := FIELD.fullmatch(line))]
        assert list(cls.get_fields_and_field_types()) == fields
        for line in part:
            if constant := CONSTANT.fullmatch(line):
                assert getattr(cls, constant[1]) == int(constant[2])


def test_states_are_the_same_in_messages_tracker_and_servo() -> None:
    """The servo's are a copy, as `control` stands alone."""
    track = pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: no interfaces here").Track
    for copy in (tracking_confidence.TrackState, control_supervisor.TrackState):
        assert {state.name: int(state) for state in copy} == {
            name: getattr(track, name) for name in ("ACQUIRING", "TRACKING", "UNCERTAIN", "COASTING", "LOST")
        }
