"""The command line's frame: what it lists, what it prints on errors, and how it ends."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from siam_tracker_ros import cli
from siam_tracker_ros.errors import SiamTrackerError


def command_that(monkeypatch: pytest.MonkeyPatch, action: object) -> None:
    """Put a module in place of the doctor whose run does `action`."""

    def run(args: argparse.Namespace) -> int:
        if isinstance(action, BaseException):
            raise action
        return int(str(action))

    module = SimpleNamespace(add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "siam_tracker_ros.commands.doctor", module)


@pytest.mark.parametrize("status", [0, 1, 7])
def test_exit_status_is_the_commands(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    command_that(monkeypatch, status)
    assert cli.main(["doctor"]) == status


def test_named_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, SiamTrackerError("box is outside\nthe frame"))
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().err == "siam-tracker: error: box is outside the frame\n"


def test_missing_library_points_at_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(monkeypatch, ModuleNotFoundError("No module named 'torch'"))
    assert cli.main(["doctor"]) == 1
    err = capsys.readouterr().err
    assert "torch" in err
    assert "siam-tracker doctor" in err


def test_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, KeyboardInterrupt())
    assert cli.main(["doctor"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["doctor", "--no-such-option"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_help_lists_every_command_there_is_and_imports_none(tmp_path: Path) -> None:
    """Where PyTorch, OpenCV and NumPy cannot be imported at all."""
    for broken in ("torch", "cv2", "numpy"):
        (tmp_path / f"{broken}.py").write_text("raise ImportError('broken on purpose')")
    result = subprocess.run(
        [sys.executable, "-m", "siam_tracker_ros.cli", "--help"],
        env={"PYTHONPATH": f"{tmp_path}:{Path(cli.__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    present = [name for name in cli.COMMANDS if (Path(cli.__file__).parent / f"commands/{name}.py").exists()]
    assert "doctor" in present
    listed = re.findall(r"^    (\w+)(?:  |$)", result.stdout, re.MULTILINE)
    assert listed == present


def test_every_command_is_known() -> None:
    modules = {path.stem for path in (Path(cli.__file__).parent / "commands").glob("*.py")} - {"__init__"}
    assert modules <= set(cli.COMMANDS), "name the new command in cli.COMMANDS"
