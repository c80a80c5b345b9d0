"""Energy that a machine took, where one of its meters can be read.

RAPL counts joules of a processor's packages, NVML those of a GPU board. nvidia-smi and a Jetson's tegrastats
tell the power now and then, which is averaged. What a meter counts includes all that runs beside.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
_SAMPLE_MS = 100
_END_S = 5.0


class Meter(Protocol):
    """Counts from `start` to `stop`. `name` says of what."""

    name: str

    def start(self) -> None:
        """Count from here."""

    def stop(self) -> float | None:
        """Joules since `start`; None if the meter told nothing in that time."""


class RaplMeter:
    """The processor's packages together, by the counters of Linux's power capping."""

    name = "processor"

    def __init__(self, packages: Sequence[Path]) -> None:
        self._packages = packages
        self._began: list[int] = []

    def start(self) -> None:
        """See `Meter`."""
        self._began = [_micro_joules(package, "energy_uj") for package in self._packages]

    def stop(self) -> float | None:
        """See `Meter`."""
        joules = 0.0
        for package, began in zip(self._packages, self._began, strict=True):
            taken = _micro_joules(package, "energy_uj") - began
            if taken < 0:  # the counter starts anew at its end
                taken += _micro_joules(package, "max_energy_range_uj")
            joules += taken / 1e6
        return joules


def _micro_joules(package: Path, name: str) -> int:
    return int((package / name).read_text())


class NvmlMeter:
    """One GPU board, by the counter that its driver keeps."""

    name = "GPU"

    def __init__(self, millijoules: Callable[[], int]) -> None:
        self._millijoules = millijoules
        self._began = 0

    def start(self) -> None:
        """See `Meter`."""
        self._began = self._millijoules()

    def stop(self) -> float | None:
        """See `Meter`."""
        return (self._millijoules() - self._began) / 1e3


class SampledMeter:
    """What a program that prints the power again and again says, averaged over the time."""

    def __init__(self, name: str, command: Sequence[str], watts: Callable[[str], float | None]) -> None:
        self.name = name
        self._command = command
        self._watts = watts
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0

    def start(self) -> None:
        """See `Meter`."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._began = time.monotonic()

    def stop(self) -> float | None:
        """See `Meter`."""
        assert self._process is not None
        seconds = time.monotonic() - self._began
        self._process.terminate()
        try:
            told, _ = self._process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            told, _ = self._process.communicate()
        seen = [watts for line in told.splitlines() if (watts := self._watts(line)) is not None]
        return seconds * sum(seen) / len(seen) if seen else None


def tegrastats_watts(line: str) -> float | None:
    """The power of the whole board in a line of tegrastats, W."""
    # Orin and Xavier name the module's input VDD_IN or the input of its parts, Nano and TX2 the 5 V rail.
    match = re.search(r"\b(?:VDD_IN|POM_5V_IN|SYS5V) (\d+)(?:mW)?/", line)
    return int(match[1]) / 1e3 if match else None


def smi_watts(line: str) -> float | None:
    """The power in a line of nvidia-smi, W."""
    try:
        return float(line)
    except ValueError:
        return None


def find_meters(device: str, powercap: Path = POWERCAP) -> tuple[list[Meter], str]:
    """The meters for work on `device` (cpu or cuda:N), and words on them, or on why there are none."""
    board = shutil.which("tegrastats")
    if board is not None:
        command = [board, "--interval", str(_SAMPLE_MS)]
        return [SampledMeter("board", command, tegrastats_watts)], "energy of the whole board by tegrastats"
    meters: list[Meter] = []
    notes = []
    rapl, note = _rapl(powercap)
    meters += rapl
    notes.append(note)
    if device != "cpu":
        index = int(device.partition(":")[2] or 0)
        gpu, note = _nvidia(index)
        meters += gpu
        notes.append(note)
    return meters, "; ".join(notes)


def _rapl(powercap: Path) -> tuple[list[Meter], str]:
    packages = [
        zone for zone in sorted(powercap.glob("*-rapl:*")) if _text(zone / "name").startswith("package")
    ]
    if not packages:
        return [], f"energy of the processor cannot be read: {powercap} has no RAPL package"
    try:
        for package in packages:
            _micro_joules(package, "energy_uj")
    except (OSError, ValueError) as error:
        return [], f"energy of the processor cannot be read: {error} (only root may, on most systems)"
    return [RaplMeter(packages)], "energy of the processor by RAPL, with what else ran"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _nvidia(index: int) -> tuple[list[Meter], str]:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    # Which error NVML raises depends on the board and the driver.
    except Exception:
        pass
    else:
        counter = NvmlMeter(lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)))
        return [counter], "energy of the GPU by NVML"
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "energy of the GPU cannot be read: there is neither NVML (nvidia-ml-py) nor nvidia-smi"
    query = ["--query-gpu=power.draw", "--format=csv,noheader,nounits", f"--loop-ms={_SAMPLE_MS}"]
    command = [program, f"--id={index}", *query]
    return [SampledMeter("GPU", command, smi_watts)], "energy of the GPU by nvidia-smi's power, averaged"


def per_frame(joules: Mapping[str, float | None], frames: int) -> dict[str, float]:
    """Joules a frame of the meters that told something."""
    return {name: value / frames for name, value in joules.items() if value is not None}
