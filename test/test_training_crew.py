"""Processes that train together agree on gradients and on the leader's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from siam_tracker_ros.training.crew import join_crew

MEMBER = """
import json
import sys
from pathlib import Path
import torch
from torch import nn
from siam_tracker_ros.training.crew import join_crew
crew = join_crew("cpu")
used, half_used = (nn.Parameter(torch.zeros(2)) for _ in range(2))
used.grad = torch.tensor([1.0, 4.0]) * (crew.rank + 1)
if crew.leads:
    half_used.grad = torch.tensor([6.0, 8.0])
crew.average_gradients([used, half_used])
clock = crew.of_leader(10.0 + crew.rank)
said = [used.grad.tolist(), half_used.grad.tolist(), clock]
Path(f"{sys.argv[1]}/{crew.rank}.json").write_text(json.dumps(said))
"""


def test_a_process_started_by_hand_is_on_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    crew = join_crew("cpu")
    assert crew.leads
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.ones(1)
    crew.average_gradients([parameter])
    assert float(parameter.grad) == 1
    assert crew.of_leader(3.5) == 3.5


def test_two_processes_average_gradients_and_follow_the_leaders_clock(tmp_path):
    script = tmp_path / "member.py"
    script.write_text(MEMBER)
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*start, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A file each: on one standard output their lines would mix.
    for rank in (0, 1):
        said = json.loads((tmp_path / f"{rank}.json").read_text())
        assert said == [[1.5, 6.0], [3.0, 4.0], 10.0]
