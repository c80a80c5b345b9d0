"""What README shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from node_parameters import STRUCTS

from siam_tracker_ros.models.config import ModelConfig
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO
from siam_tracker_ros.nodes.parameter_struct import parameter_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    section = README.split("\n## In your own program\n")[1].split("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "video.mp4"), "w") as video:
        stream = video.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 640, 272
        for _ in range(3):
            image = rng.integers(0, 256, (272, 640, 3), dtype=np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        video.mux(stream.encode())
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("Box(x=") for line in lines)


def test_every_entry_of_the_zoo_is_listed_and_no_other() -> None:
    section = README.split("## Models")[1].split("\n## ")[0]
    names, costs = re.findall(r"\| entry \|.*\n(?:\|.*\n)+", section)[:2]
    listed: list[str] = []
    for row in re.findall(r"^\| (`siam.*?) \|", names, re.MULTILINE):
        first, *variants = re.findall(r"`(.+?)`", row)
        listed += [first, *(first.removesuffix("_otb") + variant for variant in variants)]
    assert sorted(listed) == sorted(ZOO)
    assert sorted(re.findall(r"^\| `(siam\w+)` \|", costs, re.MULTILINE)) == sorted(ZOO)


def test_the_parameters_of_every_entry_are_those_of_its_network() -> None:
    stated = dict(re.findall(r"^\| `(siam\w+)` \| ([\d.]+) M \|", README, re.MULTILINE))
    counted: dict[ModelConfig, str] = {}
    for name, entry in ZOO.items():
        if entry.model not in counted:
            with torch.device("meta"):
                parameters = SiameseNetwork(entry.model).parameters()
            counted[entry.model] = f"{sum(parameter.numel() for parameter in parameters) / 1e6:.1f}"
        assert stated[name] == counted[entry.model], name


def test_the_contents_lead_to_every_section() -> None:
    contents, _ = README.split("\n## ", 1)
    linked = re.findall(r"\[([^]]+)\]\(#([\w-]+)\)", contents)
    assert sorted(title for title, _ in linked) == sorted(re.findall(r"^## (.+)$", README, re.MULTILINE))
    for title, anchor in linked:  # as GitHub makes them
        assert anchor == re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_layout_names_every_folder_once() -> None:
    layout = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("siam_tracker_ros/\n")[1]
    named = re.findall(r"^  (\w+)/", layout.split("```")[0], re.MULTILINE)
    assert sorted(named) == sorted(path.parent.name for path in ROOT.glob("siam_tracker_ros/*/__init__.py"))


def test_every_file_and_command_named_exists() -> None:
    package = ROOT / "siam_tracker_ros"
    for name in re.findall(r"`((?:models|tracking|test)/\w+\.py)`", README):
        assert (package / name).is_file() or (ROOT / name).is_file(), name
    for command in re.findall(r"siam-tracker (\w+)", README):
        assert (package / "commands" / f"{command}.py").is_file(), command
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([\w-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", STRUCTS)
def test_the_parameters_of_the_nodes_are_those_declared(name: str) -> None:
    assert parameter_table(STRUCTS[name]).strip() in README


def test_the_arguments_of_bring_up_are_those_declared() -> None:
    from siam_tracker_ros.bringup.arguments import BringUpArguments, TrackerArguments, argument_table
    from siam_tracker_ros.nodes.parameter_struct import described

    assert argument_table(BringUpArguments).strip() in README
    # As README says of the launch file.
    assert len(described(BringUpArguments)) - len(described(TrackerArguments)) == 5
