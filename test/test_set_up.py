"""Set-up: missing tools named, everything pinned, wheels made to fit, recovery from an interruption."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECK_TOOLS = ROOT / "scripts" / "check_tools.sh"


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("set_up", ROOT / "scripts" / "set_up.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "set_up", module)  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_all_missing_tools_are_named_at_once_with_their_packages(tmp_path: Path) -> None:
    (tmp_path / "make").symlink_to("/bin/true")
    result = subprocess.run(
        ["/bin/sh", str(CHECK_TOOLS), sys.executable],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    named = dict(re.findall(r"^  (.+): (.+)$", result.stderr, re.MULTILINE))
    assert named == {"a C++ compiler": "g++", "a C compiler": "gcc", "cmake": "cmake", "git": "git"}


def test_missing_python_is_named(tmp_path: Path) -> None:
    result = subprocess.run(
        ["/bin/sh", str(CHECK_TOOLS), "python3.99"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "python3.99 (3.10 or newer): python3" in result.stderr


def test_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.8.1" || exit 1\n')
    old.chmod(0o755)
    result = subprocess.run(["/bin/sh", str(CHECK_TOOLS), old], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "3.8.1" in result.stderr


def test_everything_that_is_installed_is_pinned(set_up: ModuleType) -> None:
    pinned = {
        set_up.normalised(re.split("[=; ]", line)[0]): line for line in set_up.entries(set_up.CONSTRAINTS)
    }
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+", line) for line in pinned.values())
    for file in ("runtime", "build", "test", "ros-jazzy", "ros-kilted"):
        names = {set_up.normalised(name) for name in set_up.entries(set_up.REQUIREMENTS / f"{file}.txt")}
        assert names <= pinned.keys()
    for opencv in ("opencv-python", set_up.HEADLESS):
        assert pinned[opencv].split("==")[1].startswith("4."), "cv_bridge is made for OpenCV 4"


def test_wheels_are_pointed_at_this_machine(set_up: ModuleType, tmp_path: Path) -> None:
    environment = set_up.Environment(tmp_path, "jazzy", sourced=False)
    file = tmp_path / "share" / "x_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    python = "/opt/python/cp311-cp311"
    numpy = "lib/python3.11/site-packages/numpy/_core/include"
    file.write_text(f'set(I "{python}/include/python3.11;{python}/{numpy};/usr/x")')
    for _ in range(2):  # the second time changes nothing
        set_up.point_at_this_machine(environment)
        text = file.read_text()
        assert "/opt/python" not in text
        include = set_up.sysconfig.get_path("include")
        assert text == f'set(I "{include};{environment.site_packages}/numpy/_core/include;/usr/x")'


@pytest.mark.parametrize(
    ("wheels", "folder"), [(None, ".venv"), ("jazzy", ".venv"), ("kilted", ".venv-kilted")]
)
def test_each_distribution_of_wheels_has_its_environment(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, wheels: str | None, folder: str
) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    environment = set_up.choose_environment(wheels)
    assert environment.folder.name == folder
    assert not environment.sourced


def test_unknown_wheels_are_refused(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    with pytest.raises(set_up.SetUpError, match="jazzy and kilted"):
        set_up.choose_environment("rolling")


def test_a_sourced_ros_is_used_and_wheels_beside_it_are_refused(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DISTRO", "lyrical")
    monkeypatch.setattr(set_up, "importable", lambda module: module == "rclpy")
    assert set_up.choose_environment(None) == set_up.Environment(ROOT / ".venv", "lyrical", sourced=True)
    with pytest.raises(set_up.SetUpError, match="sourced"):
        set_up.choose_environment("kilted")


def test_steps_are_done_once_and_started_over_after_an_interruption(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    environment = set_up.Environment(tmp_path / "venv", "jazzy", sourced=False)
    for step in ("create", "install_packages", "build_interfaces", "install_project"):

        def perform(environment: object, step: str = step) -> None:
            (tmp_path / "venv").mkdir(exist_ok=True)
            done.append(step)

        monkeypatch.setattr(set_up, step, perform)
    everything = ["create", "install_packages", "build_interfaces", "install_project"]
    set_up.set_up(environment)
    assert done == everything
    set_up.set_up(environment)
    assert done == everything
    environment.unfinished.touch()
    set_up.set_up(environment)
    assert done == everything * 2


def test_a_failed_step_is_done_again(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    environment = set_up.Environment(tmp_path, "jazzy", sourced=False)

    def fail(environment: object) -> None:
        raise set_up.SetUpError("no network")

    for step in ("create", "install_packages", "install_project"):
        monkeypatch.setattr(set_up, step, lambda environment, step=step: done.append(step))
    monkeypatch.setattr(set_up, "build_interfaces", fail)
    with pytest.raises(set_up.SetUpError):
        set_up.set_up(environment)
    monkeypatch.setattr(set_up, "build_interfaces", lambda environment: done.append("build_interfaces"))
    set_up.set_up(environment)
    assert done == ["create", "install_packages", "build_interfaces", "install_project"]


def test_fingerprint_follows_contents_and_names(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    folder = tmp_path / "msgs"
    folder.mkdir()
    (folder / "a.msg").write_text("x")
    seen = [set_up.fingerprint([folder])]
    (folder / "a.msg").write_text("y")
    seen.append(set_up.fingerprint([folder]))
    (folder / "a.msg").rename(folder / "b.msg")
    seen.append(set_up.fingerprint([folder]))
    seen.append(set_up.fingerprint([folder], "another Python"))
    assert len(set(seen)) == len(seen)
    assert set_up.fingerprint([folder]) == seen[2]


def test_environment_finds_what_was_built_with_nothing_sourced() -> None:
    if not (Path(sys.prefix) / "set-up.json").is_file():
        pytest.skip("NOT TESTED: these tests do not run in an environment that make setup made")
    code = (
        "from siam_tracker_msgs.msg import TrackArray as T; T.__import_type_support__();"
        "from ament_index_python.packages import get_package_share_directory as share;"
        "print(share('siam_tracker_ros'))"
    )
    keep = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    result = subprocess.run(
        [sys.executable, "-c", code], env=keep, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (Path(result.stdout.strip()) / "package.xml").samefile(ROOT / "package.xml")
