"""The machine a benchmark ran on, as far as its figures depend on it."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from siam_tracker_ros.processor import processor_name

# What inference engines choose their code by.
_FLAGS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimddp", "asimdhp", "i8mm", "bf16", "sve",
)  # fmt: skip
_LIBRARIES = {
    "torch": ("torch",),
    "OpenVINO": ("openvino",),
    "ONNX Runtime": ("onnxruntime", "onnxruntime-gpu"),
    "TensorRT": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "OpenCV": (
        "opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python",
    ),
    "NumPy": ("numpy",),
}  # fmt: skip
_GOVERNOR = "devices/system/cpu/cpu0/cpufreq/scaling_governor"


@dataclass(frozen=True)
class Machine:
    """Hardware and versions; empty where nothing tells. `cores` are those this process may use."""

    processor: str
    architecture: str
    cores: int
    flags: list[str]
    memory_gib: float
    kernel: str
    governor: str = ""
    gpus: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    load_average: float = 0.0

    def lines(self) -> list[str]:
        """The machine in words, for people."""
        flags = f" ({', '.join(self.flags)})" if self.flags else ""
        governor = f", governor {self.governor}" if self.governor else ""
        hardware = [f"{self.processor}, {self.cores} core{'s' * (self.cores > 1)}{flags}{governor}"]
        hardware += [f"{self.memory_gib:.1f} GiB", *(self.gpus or ["no GPU"])]
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [", ".join(hardware), f"{self.kernel}, {versions}"]

    def differences(self, other: Machine) -> list[str]:
        """In what `other` is not the same machine with the same software, in words."""
        told = []
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if one.name in ("date", "load_average", "versions") or mine == theirs:
                continue
            name = one.name.replace("_gib", "").replace("_", " ")
            told.append(f"{name}: {_shown(mine)}, then {_shown(theirs)}")
        for name in {**self.versions, **other.versions}:
            mine, theirs = self.versions.get(name, "none"), other.versions.get(name, "none")
            if mine != theirs:
                told.append(f"{name}: {mine}, then {theirs}")
        return told


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) or "none"


def this_machine() -> Machine:
    """The machine this runs on, now."""
    return Machine(
        processor=processor_name(),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        flags=_processor_flags(Path("/proc/cpuinfo")),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        governor=_first_line(Path("/sys") / _GOVERNOR),
        gpus=_gpus(),
        versions={"Python": platform.python_version(), **_versions()},
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        load_average=round(os.getloadavg()[0], 2),
    )


def _processor_flags(cpuinfo: Path) -> list[str]:
    for line in _text(cpuinfo).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            has = set(value.split())
            return [flag for flag in _FLAGS if flag in has]
    return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(path: Path) -> str:
    return _text(path).strip().split("\n")[0]


def _gpus() -> list[str]:
    """Names and drivers of NVIDIA's, or a Jetson's name."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            answer = ""
        found = [line.split(",") for line in answer.splitlines() if "," in line]
        if found:
            return [f"{name.strip()} (driver {driver.strip()})" for name, driver in found]
    board = _text(Path("/proc/device-tree/model")).strip("\0\n ")
    return [board] if "jetson" in board.lower() or "nvidia" in board.lower() else []


def _versions() -> dict[str, str]:
    """Versions of what computes, as installed; nothing is imported for it."""
    found = {}
    for name, packages in _LIBRARIES.items():
        for package in packages:
            try:
                found[name] = importlib.metadata.version(package)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found
