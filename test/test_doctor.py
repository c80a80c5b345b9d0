"""The doctor: what it makes of what it finds, and that it survives what it looks at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siam_tracker_ros.dds_profile import shipped_profile
from siam_tracker_ros.doctor.checks import Machine, findings
from siam_tracker_ros.doctor.finding import Finding
from siam_tracker_ros.doctor.probes import Outcome, start
from siam_tracker_ros.version import version

TORCH: dict[str, Any] = {
    "version": "2.13.0",
    "cuda_built": "",
    "cuda_devices": [],
    "nvidia_gpu": False,
    "threads": 4,
    "numpy_failure": "",
}
ENGINES = {
    "file": "/c/engines.json",
    "choices": ["net: openvino bf16, the fastest here: 7.2 ms a search"],
    "openvino": "2026.4",
    "failure": "",
}
HEALTHY = Machine(
    outcomes={
        "numpy": Outcome({"version": "2.2.0"}),
        "torch": Outcome(TORCH),
        "opencv": Outcome({"version": "4.10.0", "gui": "QT5", "display": True}),
        "libraries": Outcome({name: {"version": "1.0"} for name in ("safetensors", "yaml", "tqdm", "av")}),
        "rclpy": Outcome({"rmw": "rmw_fastrtps_cpp"}),
        "interfaces": Outcome({}),
        "cv_bridge": Outcome({}),
        "message_filters": Outcome({}),
        "launch_ros": Outcome({}),
        "recording": Outcome(
            {"ros2bag": "/opt", "rosbag2_storage_mcap": "/opt", "rosbags": {"version": "0.11"}}
        ),
        "weights": Outcome({"files": {"net": "/w/net.safetensors"}, "folders": ["/w"]}),
        "engines": Outcome(ENGINES),
    },
    environment={"FASTRTPS_DEFAULT_PROFILES_FILE": str(shipped_profile())},
    distro="jazzy",
)


def with_outcome(probe: str, outcome: Outcome) -> Machine:
    return replace(HEALTHY, outcomes={**HEALTHY.outcomes, probe: outcome})


def finding(machine: Machine, topic: str) -> Finding:
    (found,) = [finding for finding in findings(machine) if finding.topic == topic]
    return found


def test_healthy_machine_has_nothing_to_mend() -> None:
    surroundings = {"system", "/dev/shm"}  # of this machine itself
    troubled = [
        f for f in findings(HEALTHY) if f.topic not in surroundings and (f.status != "ok" or f.remedy)
    ]
    assert troubled == []


@pytest.mark.parametrize(
    ("probe", "outcome", "topic", "status", "says"),
    [
        ("rclpy", Outcome({}, "No module named 'rclpy'"), "ROS 2", "error", "source"),
        ("interfaces", Outcome({}, "No module named 'x'"), "siam_tracker_msgs", "error", "colcon build"),
        ("torch", Outcome({}, "No module named 'torch'"), "PyTorch", "error", "install PyTorch"),
        ("torch", Outcome({**TORCH, "nvidia_gpu": True}), "PyTorch", "warning", "built with CUDA"),
        (
            "torch",
            Outcome({**TORCH, "nvidia_gpu": True, "cuda_built": "13.0"}),
            "PyTorch",
            "warning",
            "driver",
        ),
        ("torch", Outcome({**TORCH, "numpy_failure": "Numpy is not available"}), "PyTorch", "error", "NumPy"),
        ("numpy", Outcome({}, "No module named 'numpy'"), "NumPy", "error", "install"),
        ("opencv", Outcome({}, "libGL.so.1: cannot open"), "OpenCV", "error", "headless"),
        ("opencv", Outcome({"version": "5.0.0", "gui": "QT5", "display": True}), "OpenCV", "warning", "<5"),
        ("opencv", Outcome({"version": "4.1", "gui": "NONE", "display": True}), "OpenCV", "note", "--box"),
        ("opencv", Outcome({"version": "4.1", "gui": "QT5", "display": False}), "OpenCV", "note", "--box"),
        (
            "engines",
            Outcome({**ENGINES, "failure": "no openvino"}),
            "engines",
            "note",
            "pip install openvino",
        ),
        ("libraries", Outcome({"av": {"failure": "no"}}), "av", "warning", "pip install av"),
        ("libraries", Outcome({"yaml": {"failure": "no"}}), "yaml", "error", "python3-yaml"),
        ("cv_bridge", Outcome({}, "No module named 'cv_bridge'"), "cv_bridge", "note", "own conversion"),
        (
            "cv_bridge",
            Outcome({}, "x; built for NumPy 1, this is NumPy 2"),
            "cv_bridge",
            "warning",
            "numpy<2",
        ),
        ("cv_bridge", Outcome({}, "crashed with SIGSEGV"), "cv_bridge", "warning", "SIGSEGV"),
        ("message_filters", Outcome({}, "No module"), "message_filters", "note", "own"),
        ("launch_ros", Outcome({}, "No module"), "launch_ros", "note", "launch files"),
        ("recording", Outcome({"rosbags": {"failure": "no"}}), "recording", "warning", "pip install rosbags"),
        ("recording", Outcome({}, "No module"), "recording", "warning", "ros-jazzy-ros2bag"),
        (
            "recording",
            Outcome({"rosbags": {"version": "0.11"}}),
            "recording",
            "ok",
            "siam-tracker record (rosbags 0.11); ros2 bag is not installed",
        ),
        ("weights", Outcome({"files": {}, "folders": ["/w"]}), "weights", "warning", "--weights"),
        ("rclpy", Outcome({"rmw": "rmw_cyclonedds_cpp"}), "large images", "note", "cyclonedds"),
    ],
)
def test_trouble_is_named_with_its_remedy(
    probe: str, outcome: Outcome, topic: str, status: str, says: str
) -> None:
    found = finding(with_outcome(probe, outcome), topic)
    assert found.status == status
    assert says in f"{found.text} {found.remedy}"


@pytest.mark.parametrize("distro", ["jazzy", "kilted"])
def test_large_images_need_the_variable_of_the_distribution(distro: str) -> None:
    variables = {"jazzy": "FASTRTPS_DEFAULT_PROFILES_FILE", "kilted": "FASTDDS_DEFAULT_PROFILES_FILE"}
    right = variables.pop(distro)
    (wrong,) = variables.values()
    profile = str(shipped_profile())
    assert (
        finding(replace(HEALTHY, distro=distro, environment={right: profile}), "large images").status == "ok"
    )
    mistaken = finding(replace(HEALTHY, distro=distro, environment={wrong: profile}), "large images")
    assert mistaken.status == "warning"
    assert f"export {right}={profile}" in mistaken.remedy


def test_large_images_need_a_file_with_a_large_segment(tmp_path: Path) -> None:
    profile = shipped_profile()
    assert profile is not None
    small = tmp_path / "small.xml"
    small.write_text(profile.read_text().replace("33554432", "524288"))
    for file, says in ((small, "524288"), (tmp_path / "absent.xml", "absent.xml")):
        environment = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(file)}
        found = finding(replace(HEALTHY, environment=environment), "large images")
        assert found.status == "warning"
        assert says in found.text


def test_launcher_without_pytorch_blocks() -> None:
    machine = replace(HEALTHY, launcher_python="/usr/bin/python3", launcher_torch=Outcome({}, "No module"))
    found = finding(machine, "ros2 run")
    assert found.status == "error"
    assert "/usr/bin/python3" in found.text


CV_BRIDGES = {
    "converts": (
        """
import numpy
class CvBridge:
    def cv2_to_imgmsg(self, image, encoding): return image
    def imgmsg_to_cv2(self, message, desired_encoding): return numpy.repeat(message[:, :, None], 3, axis=2)
""",
        "",
    ),
    "is built for NumPy 1": (
        """
import sys
class CvBridge:
    def cv2_to_imgmsg(self, image, encoding): return image
    def imgmsg_to_cv2(self, message, desired_encoding):
        print("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2", file=sys.stderr)
        raise ImportError("numpy.core.multiarray failed to import")
""",
        "NumPy 1",
    ),
    "takes the process down": ("import os; os.abort()", "SIGABRT"),
    "returns something else": (
        """
class CvBridge:
    def cv2_to_imgmsg(self, image, encoding): return image
    def imgmsg_to_cv2(self, message, desired_encoding): return message[:, :, None] + 1
""",
        "changed",
    ),
}


@pytest.mark.parametrize("what", CV_BRIDGES)
def test_cv_bridge_is_judged_by_converting(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, failure = CV_BRIDGES[what]
    (tmp_path / "cv_bridge.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    outcome = start("cv_bridge").result()
    assert failure in outcome.failure
    assert bool(outcome.failure) == bool(failure)


def run_doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "siam_tracker_ros.cli", "doctor", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_report_of_this_machine_as_json() -> None:
    result = run_doctor("--json")
    report = json.loads(result.stdout)
    blocked = any(entry["status"] == "error" for entry in report["findings"])
    assert report["version"] == version()
    assert report["blocked"] == blocked
    assert result.returncode == int(blocked)
    assert {"system", "Python", "PyTorch", "NumPy", "OpenCV", "cv_bridge"} <= {
        entry["topic"] for entry in report["findings"]
    }


def test_broken_pytorch_blocks_and_the_rest_is_still_told(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so: cannot open shared object file')")
    result = run_doctor(PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert result.returncode == 1
    assert "libcudart.so" in result.stdout
    assert "1 thing blocks" in result.stdout
    assert "NumPy" in result.stdout
