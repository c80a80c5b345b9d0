"""The repository as ROS 2 packages: found, built, installed and tested by colcon as README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"siam_tracker_ros": "ros.ament_python", "siam_tracker_msgs": "ros.ament_cmake"}
# README gives the same list for a workspace.
BASE_PATHS = ["--base-paths", "src/siam_tracker", "src/siam_tracker/siam_tracker_msgs"]


def colcon(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if sys.prefix != sys.base_prefix:
        environment["VIRTUAL_ENV"] = sys.prefix
    command = [sys.executable, "-m", "colcon", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the repository in src/, built."""
    pytest.importorskip("colcon_core", reason="NOT TESTED: colcon is not installed")
    pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
    folder = tmp_path_factory.mktemp("ws")
    # Only what may be versioned: no virtual environment, no build products.
    ignored = shutil.ignore_patterns(
        ".*", "build", "install", "log", "out", "runs", "__pycache__", "*.egg-info"
    )
    shutil.copytree(ROOT, folder / "src" / "siam_tracker", ignore=ignored)
    colcon(folder, "build", *BASE_PATHS, "--cmake-args", "-DBUILD_TESTING=OFF")
    return folder


def test_colcon_lists_both_packages_at_the_root() -> None:
    pytest.importorskip("colcon_core", reason="NOT TESTED: colcon is not installed")
    rows = [line.split("\t") for line in colcon(ROOT, "list").splitlines()]
    assert {name: kind.strip("()") for name, _, kind in rows} == PACKAGES


def test_colcon_lists_both_packages_in_a_workspace(workspace: Path) -> None:
    rows = [line.split("\t") for line in colcon(workspace, "list", *BASE_PATHS).splitlines()]
    assert {name: kind.strip("()") for name, _, kind in rows} == PACKAGES


def test_installed_where_ros_looks(workspace: Path) -> None:
    prefix = workspace / "install" / "siam_tracker_ros"
    assert (prefix / "share/ament_index/resource_index/packages/siam_tracker_ros").is_file()
    assert (prefix / "share/siam_tracker_ros/package.xml").is_file()
    for folder in ("config", "launch", "weights"):
        sources = {
            f.relative_to(ROOT) for f in (ROOT / folder).rglob("*") if f.is_file() and f.suffix != ".pyc"
        }
        installed = prefix / "share/siam_tracker_ros"
        assert {f.relative_to(installed) for f in (installed / folder).rglob("*") if f.is_file()} == sources


def test_installed_program_runs_from_the_sourced_workspace(workspace: Path) -> None:
    program = "install/siam_tracker_ros/lib/siam_tracker_ros/siam-tracker"
    where = "import siam_tracker_ros as a, siam_tracker_msgs as b; print(a.__file__, b.__file__)"
    script = f'. install/setup.sh && {program} --version && "{sys.executable}" -c "{where}"'
    result = subprocess.run(
        ["/bin/sh", "-c", script], cwd=workspace, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    said, where = result.stdout.splitlines()
    assert said == f"siam-tracker {manifest(ROOT).findtext('version')}"
    assert all(path.startswith(str(workspace / "install")) for path in where.split())


def test_colcon_test_runs_pytest(workspace: Path) -> None:
    some = "test/test_dds_profile.py"
    colcon(workspace, "test", *BASE_PATHS, "--packages-select", "siam_tracker_ros", "--pytest-args", some)
    suites = ElementTree.parse(workspace / "build/siam_tracker_ros/pytest.xml").getroot().iter("testsuite")
    assert sum(int(suite.get("tests", 0)) for suite in suites) > 0


def manifest(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "package.xml").getroot()


def test_both_manifests_have_one_version_and_licence() -> None:
    mine, messages = manifest(ROOT), manifest(ROOT / "siam_tracker_msgs")
    for tag in ("version", "license"):
        assert mine.findtext(tag) == messages.findtext(tag)
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert mine.findtext("license") == "Apache-2.0"


def test_manifest_does_not_name_pytorch() -> None:
    """A key for it would put a CPU build in the place of the robot's own."""
    names = [element.text or "" for element in manifest(ROOT).iter() if element.tag.endswith("depend")]
    assert names
    assert not [name for name in names if "torch" in name]


def test_readme_gives_the_workspace_command() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    assert "--base-paths src/siam_tracker src/siam_tracker/siam_tracker_msgs" in text
