"""The contracts in pyproject.toml notice an import that goes the wrong way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytest.importorskip("importlinter", reason="NOT TESTED: import-linter is not installed")


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("models", "import siam_tracker_ros.tracking"),
        ("models", "import cv2"),
        ("models", "import rclpy"),
        ("tracking", "import siam_tracker_ros.evaluation"),
        ("tracking", "import rclpy"),
        ("tracking", "from siam_tracker_msgs.msg import Track"),
        ("control", "import torch"),
        ("control", "import siam_tracker_ros.tracking"),
        ("evaluation", "import rclpy"),
        ("evaluation", "import siam_tracker_ros.nodes"),
        ("commands", "import rclpy"),
        ("a_module_without_a_layer", ""),
    ],
)
def test_wrong_import_is_noticed(module: str, statement: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = tmp_path / "siam_tracker_ros"
    for file in (
        *(ROOT / "siam_tracker_ros").glob("*.py"),
        *(ROOT / "siam_tracker_ros").glob("*/__init__.py"),
    ):
        empty = tmp_path / file.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()

    def kept() -> bool:
        code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
        command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "Contracts: " in result.stdout or "layer" in result.stdout, result.stdout + result.stderr
        return result.returncode == 0

    assert kept()
    (package / module).mkdir(exist_ok=True)
    (package / module / "__init__.py").write_text(statement + "\n")
    assert not kept()
