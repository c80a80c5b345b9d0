"""Look at one thing each, in a process of its own: a library that is broken may take its process down.

`python -m siam_tracker_ros.doctor.probes NAME` prints what was found as one line of JSON. `start` and
`Probe.result` run that from another process.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

TIME_LIMIT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What a probe found, or, if it failed, why in one line."""

    facts: Mapping[str, Any]
    failure: str = ""


@dataclass(frozen=True)
class Probe:
    """A probe under way."""

    process: subprocess.Popen[str]

    def result(self) -> Outcome:
        try:
            out, err = self.process.communicate(timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return Outcome({}, f"no answer within {TIME_LIMIT_S:.0f} s")
        code = self.process.returncode
        if code < 0:
            return Outcome({}, f"crashed with {signal.Signals(-code).name}{_hint(err)}")
        if code:
            return Outcome({}, (_last_line(err) or f"exit status {code}") + _hint(err))
        return Outcome(json.loads(_last_line(out)))


def start(name: str, python: str = sys.executable) -> Probe:
    """Start the probe of that name in a process of `python`."""
    command = [python, "-m", __name__ if __name__ != "__main__" else __spec__.name, name]
    return Probe(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _hint(stderr: str) -> str:
    """NumPy says what is wrong well before the error that ends the process."""
    return (
        "; built for NumPy 1, this is NumPy 2"
        if re.search(r"compiled using NumPy 1|_ARRAY_API", stderr)
        else ""
    )


def probe_numpy() -> dict[str, Any]:
    import numpy

    return {"version": numpy.__version__}


def probe_torch() -> dict[str, Any]:
    import numpy
    import torch

    try:
        torch.from_numpy(numpy.zeros(1, numpy.float32)).numpy()
        numpy_failure = ""
    except RuntimeError as error:
        numpy_failure = str(error)
    available = torch.cuda.is_available()
    return {
        "version": torch.__version__,
        "cuda_built": torch.version.cuda or "",
        "cuda_devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        if available
        else [],
        "nvidia_gpu": Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists(),
        "threads": torch.get_num_threads(),
        "numpy_failure": numpy_failure,
    }


def probe_opencv() -> dict[str, Any]:
    import cv2

    gui = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    return {
        "version": cv2.__version__,
        "gui": gui[1] if gui else "NONE",
        "display": bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
    }


def probe_libraries() -> dict[str, Any]:
    """Version, or failure, of the smaller libraries."""
    found = {}
    for module in ("safetensors", "yaml", "tqdm", "av"):
        try:
            found[module] = {"version": str(getattr(importlib.import_module(module), "__version__", "?"))}
        except Exception as error:
            found[module] = {"failure": f"{type(error).__name__}: {error}"}
    return found


def probe_rclpy() -> dict[str, Any]:
    import rclpy

    return {"rmw": rclpy.get_rmw_implementation_identifier()}


def probe_interfaces() -> dict[str, Any]:
    from siam_tracker_msgs.msg import TrackArray

    # Import alone does not load the libraries that publishing needs.
    TrackArray.__import_type_support__()
    return {}


def probe_cv_bridge() -> dict[str, Any]:
    """Convert an image: cv_bridge imports well and fails only then where it was built for another NumPy."""
    import numpy
    from cv_bridge import CvBridge

    bridge = CvBridge()
    grey = numpy.arange(12, dtype=numpy.uint8).reshape(3, 4)
    colour = bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(grey, encoding="mono8"), desired_encoding="bgr8")
    if not (numpy.asarray(colour) == grey[:, :, None]).all():
        raise ValueError("a grey image came back changed")
    return {}


def probe_message_filters() -> dict[str, Any]:
    importlib.import_module("message_filters")
    return {}


def probe_launch_ros() -> dict[str, Any]:
    importlib.import_module("launch_ros.actions")
    return {}


def probe_recording() -> dict[str, Any]:
    """What bags can be recorded with: rosbag2 with its MCAP storage, and rosbags, by version or failure."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    found: dict[str, Any] = {}
    for package in ("ros2bag", "rosbag2_storage_mcap"):
        try:
            found[package] = get_package_prefix(package)
        except PackageNotFoundError:
            found[package] = ""
    try:
        importlib.import_module("rosbags.rosbag2")
        found["rosbags"] = {"version": metadata.version("rosbags")}
    except Exception as error:
        found["rosbags"] = {"failure": f"{type(error).__name__}: {error}"}
    return found


def probe_weights() -> dict[str, Any]:
    from siam_tracker_ros.models.weights import list_weights, weight_folders

    return {
        "files": {name: str(path) for name, path in list_weights().items()},
        "folders": [str(folder) for folder in weight_folders()],
    }


def probe_engines() -> dict[str, Any]:
    from siam_tracker_ros.engines import openvino_runtime
    from siam_tracker_ros.engines.choose import choices_file, read_choices
    from siam_tracker_ros.engines.errors import EngineUnavailableError

    choices = [f"{one.model}: {one}" for one in read_choices().values()]
    found = {"file": str(choices_file()), "choices": choices, "openvino": "", "failure": ""}
    try:
        found["openvino"] = openvino_runtime.version()
    except EngineUnavailableError as error:
        found["failure"] = str(error)
    return found


PROBES: Mapping[str, Callable[[], dict[str, Any]]] = {
    name.removeprefix("probe_"): probe for name, probe in list(globals().items()) if name.startswith("probe_")
}


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]]()))
