"""`siam-tracker`: one program, a sub-command for each thing to do.

A sub-command is a module of `siam_tracker_ros.commands` with `HELP: str` (a literal), `add_arguments(parser)`
and `run(args) -> int`, the exit status. Only the one called is imported, so that `--help`, `--version` and
`doctor` work, and at once, where PyTorch or OpenCV is slow or broken.

Exit status: 0 done, 1 an error that one line on stderr tells, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.version import version

PROGRAM = "siam-tracker"
COMMANDS = (
    "track",
    "eval",
    "report",
    "annotate",
    "vot",
    "train",
    "study",
    "calibrate",
    "weights",
    "model",
    "export",
    "bench",
    "bringup",
    "demo",
    "follow",
    "record",
    "tune",
    "doctor",
)
"""In the order of --help; one whose module is absent is not offered."""

_FOLDER = Path(__file__).parent / "commands"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, sys.argv's by default; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = build_parser(arguments).parse_args(arguments)
        return int(args.run(args))
    except SiamTrackerError as error:
        return failed(str(error))
    except ImportError as error:
        return failed(f"{error}; `{PROGRAM} doctor` tells what is missing")
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130


def failed(message: str) -> int:
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)
    return 1


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands, with the options of the one that `arguments` call."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Box a target once, follow it from then on.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name in COMMANDS:
        if not (_FOLDER / f"{name}.py").is_file():
            continue
        command = commands.add_parser(name, help=help_line(name))
        if name == called:
            module = importlib.import_module(f"siam_tracker_ros.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def help_line(name: str) -> str:
    """The HELP of a command's module, read without importing it."""
    for statement in ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == "HELP" for target in targets):
                return str(ast.literal_eval(statement.value))
    raise ValueError(f"commands/{name}.py has no HELP that is a literal string")


if __name__ == "__main__":
    sys.exit(main())
