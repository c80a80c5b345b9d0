"""Turn what the probes and the environment say into findings, each problem with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from siam_tracker_ros import dds_profile
from siam_tracker_ros.doctor.finding import Finding, Status
from siam_tracker_ros.doctor.probes import PROBES, Outcome, start
from siam_tracker_ros.processor import processor_name
from siam_tracker_ros.ros_distro import ros_distro

BUILD_REMEDY = "build the workspace and source it: colcon build, then . install/setup.bash (or: make setup)"
SOURCE_REMEDY = (
    "source a ROS 2 (. /opt/ros/<distro>/setup.bash), or use the environment that make setup makes"
)
FULL_SHARED_MEMORY_BYTES = 4 * dds_profile.ENOUGH_BYTES


@dataclass(frozen=True)
class Machine:
    """What the checks look at: the outcome of every probe, and this process's surroundings."""

    outcomes: Mapping[str, Outcome]
    environment: Mapping[str, str]
    distro: str | None
    launcher_python: str = ""
    launcher_torch: Outcome | None = None


def examine() -> Machine:
    """Run every probe, all at once."""
    probes = {name: start(name) for name in PROBES}
    launcher = launcher_python(os.environ.get("AMENT_PREFIX_PATH", ""))
    launcher_probe = start("torch", launcher) if launcher else None
    return Machine(
        outcomes={name: probe.result() for name, probe in probes.items()},
        environment=dict(os.environ),
        distro=ros_distro(),
        launcher_python=launcher,
        launcher_torch=launcher_probe.result() if launcher_probe else None,
    )


def launcher_python(ament_prefix_path: str) -> str:
    """The Python that `ros2 run` starts this package with; '' if it is this one, or cannot be told."""
    for prefix in filter(None, ament_prefix_path.split(os.pathsep)):
        script = Path(prefix) / "lib" / "siam_tracker_ros" / "siam-tracker"
        if script.is_file():
            shebang = script.read_text(errors="replace").split("\n", 1)[0].removeprefix("#!").split()
            python = shutil.which(shebang[-1]) if shebang else None
            same = python and Path(python).absolute() == Path(sys.executable).absolute()
            return "" if same or not python else python
    return ""


def check_system(machine: Machine) -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{processor_name()}, {os.cpu_count()} cores"
    text = f"{_system_name()}, {platform.machine()}, {cores}, {memory:.1f} GiB"
    return Finding("system", "ok", text)


def _system_name() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return f"{name or platform.system()}, kernel {platform.release()}"


def check_python(machine: Machine) -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")


def check_ros(machine: Machine) -> Finding:
    outcome = machine.outcomes["rclpy"]
    name = f"ROS 2 {machine.distro or '(unknown distribution)'}"
    if outcome.failure:
        return Finding("ROS 2", "error", f"rclpy does not import: {outcome.failure}", SOURCE_REMEDY)
    return Finding("ROS 2", "ok", f"{name}, {outcome.facts['rmw']}")


def check_interfaces(machine: Machine) -> Finding:
    failure = machine.outcomes["interfaces"].failure
    if failure:
        return Finding("siam_tracker_msgs", "error", f"does not import: {failure}", BUILD_REMEDY)
    return Finding("siam_tracker_msgs", "ok", "messages and their libraries load")


def check_numpy(machine: Machine) -> Finding:
    outcome = machine.outcomes["numpy"]
    if outcome.failure:
        return Finding("NumPy", "error", outcome.failure, "install python3-numpy, or: pip install numpy")
    return Finding("NumPy", "ok", outcome.facts["version"])


def check_torch(machine: Machine) -> Finding:
    outcome = machine.outcomes["torch"]
    if outcome.failure:
        remedy = "install PyTorch: pip install torch; on a Jetson, NVIDIA's build for its JetPack"
        return Finding("PyTorch", "error", outcome.failure, remedy)
    facts = outcome.facts
    built = f"CUDA {facts['cuda_built']}" if facts["cuda_built"] else "no CUDA"
    text = f"{facts['version']} (built with {built})"
    if facts["numpy_failure"]:
        remedy = "install a NumPy of the major version that this PyTorch was built for"
        return Finding(
            "PyTorch", "error", f"{text} does not take NumPy arrays: {facts['numpy_failure']}", remedy
        )
    if facts["cuda_devices"]:
        return Finding("PyTorch", "ok", f"{text}, cuda: {', '.join(facts['cuda_devices'])}")
    if facts["nvidia_gpu"]:
        remedy = (
            "install a driver that is new enough for this PyTorch's CUDA"
            if facts["cuda_built"]
            else "install a PyTorch built with CUDA; on a Jetson, NVIDIA's for its JetPack"
        )
        return Finding(
            "PyTorch", "warning", f"{text} does not reach the NVIDIA GPU: it will use the CPU", remedy
        )
    return Finding("PyTorch", "ok", f"{text}, cpu with {facts['threads']} threads (no NVIDIA GPU)")


def check_launcher(machine: Machine) -> Finding | None:
    """A virtual environment's PyTorch is not seen by nodes that were built with the system's Python."""
    if not machine.launcher_torch:
        return None
    if machine.launcher_torch.failure and not machine.outcomes["torch"].failure:
        return Finding(
            "ros2 run",
            "error",
            f"starts nodes with {machine.launcher_python}, without PyTorch: {machine.launcher_torch.failure}",
            f"install PyTorch there, or build the workspace anew with {sys.executable} -m colcon build",
        )
    return Finding("ros2 run", "ok", f"starts nodes with {machine.launcher_python}")


def check_opencv(machine: Machine) -> Finding:
    outcome = machine.outcomes["opencv"]
    if outcome.failure:
        remedy = "install python3-opencv, or: pip install opencv-python-headless"
        return Finding("OpenCV", "error", outcome.failure, remedy)
    facts = outcome.facts
    if int(facts["version"].split(".")[0]) >= 5:
        text = f"{facts['version']}: cv_bridge and this package are made for OpenCV 4"
        return Finding("OpenCV", "warning", text, "pip install 'opencv-python<5'")
    if facts["gui"] == "NONE":
        return Finding("OpenCV", "note", f"{facts['version']}, headless: no mouse selection, give --box")
    display = "" if facts["display"] else ", but no display here: give --box"
    return Finding(
        "OpenCV", "ok" if facts["display"] else "note", f"{facts['version']}, {facts['gui']}{display}"
    )


def check_libraries(machine: Machine) -> list[Finding]:
    needed: dict[str, tuple[Status, str, str]] = {
        "safetensors": ("error", "weights cannot be read", "pip install safetensors"),
        "yaml": ("error", "parameter files cannot be read", "install python3-yaml, or: pip install PyYAML"),
        "tqdm": (
            "warning",
            "siam-tracker track has no progress bar",
            "install python3-tqdm, or: pip install tqdm",
        ),
        "av": ("warning", "siam-tracker track reads and writes no video", "pip install av"),
    }
    outcome = machine.outcomes["libraries"]
    findings = []
    for module, (status, loss, remedy) in needed.items():
        entry = outcome.facts.get(module, {"failure": outcome.failure})
        if "version" in entry:
            findings.append(Finding(module, "ok", entry["version"]))
        else:
            findings.append(Finding(module, status, f"{loss}: {entry['failure']}", remedy))
    return findings


def check_cv_bridge(machine: Machine) -> Finding:
    failure = machine.outcomes["cv_bridge"].failure
    if not failure:
        return Finding("cv_bridge", "ok", "converts images")
    if "No module named 'cv_bridge'" in failure:
        return Finding("cv_bridge", "note", "not installed: the package's own conversion is used")
    text = f"unusable, the package's own conversion is used: {failure}"
    remedy = "for other nodes that need cv_bridge: pip install 'numpy<2'" if "NumPy 1" in failure else ""
    return Finding("cv_bridge", "warning", text, remedy)


def check_message_filters(machine: Machine) -> Finding:
    failure = machine.outcomes["message_filters"].failure
    if failure:
        own = "the package's own is used (nodes/message_filters_fallback.py)"
        return Finding("message_filters", "note", f"not usable, {own}: {failure}")
    return Finding("message_filters", "ok", "imports")


def check_launch_ros(machine: Machine) -> Finding:
    failure = machine.outcomes["launch_ros"].failure
    if failure:
        return Finding("launch_ros", "note", f"not usable, launch files do not run here: {failure}")
    return Finding("launch_ros", "ok", "imports")


def check_recording(machine: Machine) -> Finding:
    """Whether `ros2 bag record` or `siam-tracker record` can write bags."""
    outcome = machine.outcomes["recording"]
    facts = outcome.facts
    rosbags = facts.get("rosbags", {"failure": outcome.failure})
    ours = "siam-tracker record"
    if facts.get("ros2bag") and facts.get("rosbag2_storage_mcap"):
        return Finding("recording", "ok", "ros2 bag, with MCAP")
    if "version" in rosbags:
        lacks = "ros2 bag has no MCAP storage" if facts.get("ros2bag") else "ros2 bag is not installed"
        return Finding("recording", "ok", f"{ours} (rosbags {rosbags['version']}); {lacks}")
    distro = machine.distro or "<distro>"
    remedy = f"pip install rosbags, or install ros-{distro}-ros2bag and ros-{distro}-rosbag2-storage-mcap"
    return Finding("recording", "warning", f"no bag can be written: {rosbags['failure']}", remedy)


def check_weights(machine: Machine) -> Finding:
    outcome = machine.outcomes["weights"]
    if outcome.failure:
        return Finding("weights", "warning", f"not looked for: {outcome.failure}", "mend PyTorch first")
    if outcome.facts["files"]:
        return Finding("weights", "ok", ", ".join(f"{n} ({p})" for n, p in outcome.facts["files"].items()))
    searched = ", ".join(outcome.facts["folders"]) or "no folder there is"
    remedy = "give --weights PATH, or name a folder of weight files in SIAM_TRACKER_WEIGHTS"
    return Finding("weights", "warning", f"none found (looked in: {searched})", remedy)


def check_engines(machine: Machine) -> Finding:
    """Whether there is a fast engine for CPUs, and what `auto` has chosen for each network, newest last."""
    outcome = machine.outcomes["engines"]
    if outcome.failure:
        return Finding("engines", "warning", f"not looked for: {outcome.failure}", "mend PyTorch first")
    facts = outcome.facts
    if facts["failure"]:
        return Finding("engines", "note", f"PyTorch alone: {facts['failure']}", "pip install openvino")
    chosen = "; ".join(facts["choices"]) or "nothing chosen yet"
    again = "siam-tracker doctor --forget-engines has it measured anew"
    return Finding("engines", "ok", f"OpenVINO {facts['openvino']}; {chosen} ({facts['file']}; {again})")


def check_large_images(machine: Machine) -> Finding:
    """Whether images above half a megabyte reach other processes."""
    topic = "large images"
    rmw = machine.outcomes["rclpy"].facts.get("rmw", "")
    if not rmw:
        return Finding(topic, "note", "not looked at without a ROS 2")
    if "fastrtps" not in rmw:
        return Finding(topic, "note", f"{rmw} does not use Fast DDS's profile")
    variable = dds_profile.profile_variable(machine.distro)
    ours = dds_profile.shipped_profile()
    remedy = f"in the camera's terminal too: export {variable}={ours or dds_profile.PROFILE_NAME}"
    lost = "images above 512 KiB from other processes will be lost"
    value = machine.environment.get(variable, "")
    if not value:
        return Finding(topic, "warning", f"{variable} is not set: {lost}", remedy)
    try:
        segment = dds_profile.shared_memory_bytes(Path(value))
    except dds_profile.DdsProfileError as error:
        return Finding(topic, "warning", f"{variable}: {error}: {lost}", remedy)
    if segment < dds_profile.ENOUGH_BYTES:
        has = (
            f"a shared-memory segment of {segment} bytes"
            if segment
            else "no shared-memory segment of its own"
        )
        text = f"{variable}={value} has {has}, under {dds_profile.ENOUGH_BYTES}: large images may be lost"
        return Finding(topic, "warning", text, remedy)
    return Finding(topic, "ok", f"{variable}={value}, segment of {segment // 2**20} MiB")


def check_shared_memory(machine: Machine) -> Finding | None:
    if "fastrtps" not in machine.outcomes["rclpy"].facts.get("rmw", ""):
        return None
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return Finding(
            "/dev/shm", "warning", "is not there: Fast DDS has no shared memory", "mount a tmpfs on it"
        )
    text = f"{usage.free // 2**20} of {usage.total // 2**20} MiB free"
    if usage.free < FULL_SHARED_MEMORY_BYTES:
        remedy = "leave room for 32 MiB a process; for a container: docker run --shm-size=1g"
        return Finding("/dev/shm", "warning", text, remedy)
    return Finding("/dev/shm", "ok", text)


CHECKS: tuple[Callable[[Machine], Finding | list[Finding] | None], ...] = (
    check_system,
    check_python,
    check_ros,
    check_interfaces,
    check_numpy,
    check_torch,
    check_launcher,
    check_opencv,
    check_libraries,
    check_cv_bridge,
    check_message_filters,
    check_launch_ros,
    check_recording,
    check_weights,
    check_engines,
    check_large_images,
    check_shared_memory,
)


def findings(machine: Machine) -> list[Finding]:
    """Every check's findings, in the order of the report."""
    found: list[Finding] = []
    for check in CHECKS:
        result = check(machine)
        found += result if isinstance(result, list) else [result] if result else []
    return found
