"""`siam-tracker doctor`: what a bug report needs, and what will go wrong on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap

from siam_tracker_ros.doctor.checks import examine, findings
from siam_tracker_ros.doctor.finding import Finding
from siam_tracker_ros.version import version

HELP = "say what this machine has and what will go wrong on it, for you and for bug reports"

WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{HELP[0].upper()}{HELP[1:]}. Exit status 1 if something blocks, else 0."
    parser.add_argument(
        "--forget-engines",
        action="store_true",
        help="forget which engines auto has chosen, so that the next start measures them anew",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    if args.forget_engines:
        from siam_tracker_ros.engines.choose import forget_choices

        forget_choices()
    found = findings(examine())
    blocked = any(finding.status == "error" for finding in found)
    if args.json:
        report = {
            "version": version(),
            "blocked": blocked,
            "findings": [dataclasses.asdict(finding) for finding in found],
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"siam_tracker_ros {version()}")
        for finding in found:
            print(as_text(finding))
        print(summary(found))
    return 1 if blocked else 0


def as_text(finding: Finding) -> str:
    """Text wrapped in a column; the remedy on one line, to be copied."""
    head = f"{finding.status:<8}{finding.topic:<18}"
    lines = textwrap.wrap(finding.text, WIDTH - len(head), break_long_words=False, break_on_hyphens=False)
    if finding.remedy:
        lines.append(f"-> {finding.remedy}")
    return head + f"\n{'':<{len(head)}}".join(lines)


def summary(found: list[Finding]) -> str:
    errors = sum(finding.status == "error" for finding in found)
    warnings = sum(finding.status == "warning" for finding in found)
    if not errors and not warnings:
        return "Nothing stands in the way."
    blocks = (
        "Nothing blocks" if not errors else f"{errors} {'thing blocks' if errors == 1 else 'things block'}"
    )
    return f"{blocks}; {warnings} {'warning' if warnings == 1 else 'warnings'}."
