"""What `auto` chooses, what it remembers, and what it says when something is wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from test_networks import SMALL, seeded
from test_tracker import ENTRY

from siam_tracker_ros.engines import choose
from siam_tracker_ros.engines.choose import ENGINE_ENV, choices_file, choose_engine, forget_choices
from siam_tracker_ros.engines.engine import Engine
from siam_tracker_ros.engines.errors import EngineUnavailableError
from siam_tracker_ros.engines.torch_engine import TorchEngine

CPU = torch.device("cpu")


class _Machine:
    """Stands for engines of known speeds: each is PyTorch by another name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms = {"torch fp32": 30.0, "openvino fp32": 20.0, "openvino bf16": 10.0}
        self.broken: set[str] = set()
        self.measured: list[set[str]] = []
        options = [choose.Candidate(*name.split()) for name in self.ms]
        monkeypatch.setattr(choose, "candidates", lambda *asked: options)
        monkeypatch.setattr(choose, "build_engine", self._build)
        monkeypatch.setattr(choose, "fastest_ms", self._measure)

    def _build(self, name: str, entry: object, network: torch.nn.Module, device: object, precision: str):
        if f"{name} {precision}" in self.broken:
            raise EngineUnavailableError(f"{name} is broken")
        engine = TorchEngine(network, CPU, torch.float32)
        engine.name, engine.precision = name, precision
        return engine

    def _measure(self, engines: dict[str, Engine], entry: object) -> dict[str, float]:
        self.measured.append(set(engines))
        return {name: self.ms[name] for name in engines}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Machine]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(ENGINE_ENV)
    return _Machine(monkeypatch)


def chosen(seed: int = 0) -> tuple[str, str]:
    engine, note = choose_engine("auto", ENTRY, seeded(SMALL, seed), CPU, "auto")
    return f"{engine.name} {engine.precision}", note


def test_the_fastest_is_chosen_and_remembered(machine: _Machine) -> None:
    name, note = chosen()
    assert name == "openvino bf16"
    assert note.startswith(
        "openvino bf16, the fastest here: 10.0 ms a search (torch fp32 30.0, openvino fp32 20.0; measured "
    )
    machine.ms["torch fp32"] = 1.0
    assert chosen() == (name, note)
    assert len(machine.measured) == 1


def test_other_weights_threads_and_what_was_forgotten_are_measured_anew(
    machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen()
    chosen(seed=1)
    assert len(machine.measured) == 2
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    chosen()
    assert len(machine.measured) == 3
    forget_choices()
    chosen()
    assert len(machine.measured) == 4
    chosen()
    assert len(machine.measured) == 4


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"key": {"engine": "torch"}}', '{"key": 3}', b"\xff\xfe"], ids=repr
)
def test_a_memory_that_was_spoilt_is_said_and_survived(
    text: str | bytes, machine: _Machine, caplog: pytest.LogCaptureFixture
) -> None:
    choices_file().parent.mkdir(parents=True)
    choices_file().write_bytes(text if isinstance(text, bytes) else text.encode())
    with caplog.at_level(logging.WARNING):
        assert chosen()[0] == "openvino bf16"
    assert "cannot be read, so that engines are measured again" in caplog.text
    (kept,) = json.loads(choices_file().read_text()).values()
    assert (kept["engine"], kept["precision"]) == ("openvino", "bf16")


def test_a_memory_that_cannot_be_written_is_said_and_survived(
    machine: _Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "siam_tracker").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert chosen()[0] == "openvino bf16"
    assert "cannot be written" in caplog.text


def test_one_engine_that_fails_leaves_the_others(machine: _Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.broken = {"openvino bf16"}
    assert chosen()[0] == "openvino fp32"
    assert "openvino is broken" in caplog.text
    machine.broken = set(machine.ms)
    with pytest.raises(EngineUnavailableError, match=r"no engine can do what is asked; torch fp32: "):
        chosen()


def test_what_was_chosen_and_fails_now_is_measured_anew(machine: _Machine) -> None:
    assert chosen()[0] == "openvino bf16"
    machine.broken = {"openvino bf16"}
    assert chosen()[0] == "openvino fp32"


def test_one_engine_alone_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(ENGINE_ENV)
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    assert chosen() == (
        "torch fp32",
        "torch fp32, the only one installed (pip install openvino: several times as fast on a CPU)",
    )
    assert not choices_file().exists()
    engine, note = choose_engine("torch", ENTRY, seeded(SMALL), CPU, "bf16")
    assert (engine.precision, note) == ("bf16", "torch bf16, as asked")


def test_the_environment_says_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_ENV, "torch:bf16")
    assert chosen() == ("torch bf16", f"torch bf16, as {ENGINE_ENV} says")
    assert choose_engine("torch", ENTRY, seeded(SMALL), CPU, "fp32")[0].precision == "fp32"
    monkeypatch.setenv(ENGINE_ENV, "steam")
    with pytest.raises(EngineUnavailableError, match="SIAM_TRACKER_ENGINE is 'steam', and not ENGINE or"):
        chosen()


def test_what_pytorch_has_not_is_named() -> None:
    with pytest.raises(EngineUnavailableError, match="'torch' has no int8; it has fp32, fp16, bf16"):
        choose_engine("torch", ENTRY, seeded(SMALL), CPU, "int8")


def test_real_engines_are_measured_in_turns() -> None:
    engine = TorchEngine(seeded(SMALL), CPU, torch.float32)
    ms = choose.fastest_ms({"one": engine, "other": engine}, ENTRY)
    assert ms.keys() == {"one", "other"}
    assert all(0 < each < 60_000 for each in ms.values())
