"""Make the virtual environment that `make test` and `make demo` run in.

A sourced ROS 2 is used if there is one; otherwise ROS 2 is installed from its wheels. What is done already is
not done again: each step keeps a hash of what it was made from. A step that was interrupted is started over.

Only the standard library: this runs before anything is installed. `check_tools.sh` ran before it.
"""

from __future__ import annotations

import argparse
import configparser
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
CONSTRAINTS = REQUIREMENTS / "constraints.txt"
WHEEL_DISTROS = ("jazzy", "kilted")
HEADLESS = "opencv-python-headless"
KEPT = {"numpy", "torch"}  # of a machine with ROS 2: cv_bridge was built for its NumPy, PyTorch for its GPU
BUILD_TOOLS = {"pip", "setuptools"}  # the virtual environment has its own


class SetUpError(Exception):
    """Set-up cannot go on; the message says what would let it."""


@dataclass(frozen=True)
class Environment:
    """The virtual environment to make, and where its ROS 2 comes from."""

    folder: Path
    distro: str
    sourced: bool

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    @property
    def stamps(self) -> Path:
        return self.folder / "set-up.json"

    @property
    def unfinished(self) -> Path:
        """Stands while packages are being installed: a folder that has it is in no known state."""
        return self.folder / "set-up.unfinished"


def choose_environment(wheels: str | None) -> Environment:
    """The sourced ROS 2 if there is one, else the wheels of the distro asked for (Jazzy if none is)."""
    sourced = os.environ.get("ROS_DISTRO") if importable("rclpy") else None
    if sourced and wheels:
        raise SetUpError(
            f"ROS_WHEELS={wheels} was asked for, but ROS 2 {sourced} is sourced in this terminal: "
            "use one that has none sourced, or leave ROS_WHEELS out"
        )
    if sourced:
        return Environment(ROOT / ".venv", sourced, sourced=True)
    distro = wheels or WHEEL_DISTROS[0]
    if distro not in WHEEL_DISTROS:
        raise SetUpError(f"ROS_WHEELS={distro}: there are wheels of {' and '.join(WHEEL_DISTROS)}")
    folder = ".venv" if distro == WHEEL_DISTROS[0] else f".venv-{distro}"
    return Environment(ROOT / folder, distro, sourced=False)


def importable(module: str, python: Path | str = sys.executable) -> bool:
    return (
        subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    )


def run(*command: object, **environment: str) -> None:
    """Run a command from the repository's root; its output is shown."""
    words = [str(word) for word in command]
    result = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, check=False)
    if result.returncode:
        raise SetUpError(f"this failed, see above: {textwrap.shorten(' '.join(words), 250)}")


def say(message: str) -> None:
    print(f"set-up: {message}", flush=True)


# What was done already


def fingerprint(paths: Iterable[Path], *facts: object) -> str:
    """A hash of the contents of files and folders, and of other facts."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def read_stamps(environment: Environment) -> dict[str, str]:
    try:
        return dict(json.loads(environment.stamps.read_text()))
    except (OSError, ValueError):
        return {}


def write_stamp(environment: Environment, step: str, value: str) -> None:
    new = environment.stamps.with_suffix(".new")
    new.write_text(json.dumps({**read_stamps(environment), step: value}, indent=1))
    new.replace(environment.stamps)


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Two set-ups of one checkout would write the same files: the second waits."""
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# The steps


def create(environment: Environment) -> None:
    say(f"creating {environment.folder.name} with Python {sys.version.split()[0]}")
    shutil.rmtree(environment.folder, ignore_errors=True)
    options = ["--system-site-packages"] if environment.sourced else []
    run(sys.executable, "-m", "venv", *options, environment.folder)


def install_packages(environment: Environment) -> None:
    environment.unfinished.touch()
    pip = [environment.python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    run(*pip, "-c", CONSTRAINTS, "pip")
    wanted, constraints = requirements(environment)
    limits = environment.folder / "constraints.txt"
    limits.write_text("\n".join(constraints) + "\n")
    say(f"installing {len(wanted)} packages and what they need (a few minutes the first time)")
    run(*pip, "-c", limits, "--build-constraint", CONSTRAINTS, *wanted)
    if not environment.sourced:
        point_at_this_machine(environment)
    if not importable("cv2", environment.python):
        say(f"OpenCV's windows need libraries this machine lacks (package libgl1): taking {HEADLESS}")
        run(environment.python, "-m", "pip", "uninstall", "-qq", "--yes", "opencv-python")
        run(*pip, "-c", limits, HEADLESS)
        if not importable("cv2", environment.python):
            raise SetUpError(f"OpenCV does not import; see: {environment.python} -c 'import cv2'")
    environment.unfinished.unlink()


def requirements(environment: Environment) -> tuple[list[str], list[str]]:
    """What pip is to install, and the versions it is held to.

    Beside a sourced ROS 2 what the machine has is good in any version, and what compiled code of ROS 2 or the
    machine's GPU hangs on stays exactly as it is.
    """
    files = ["runtime", "build", "test"] + ([] if environment.sourced else [f"ros-{environment.distro}"])
    wanted = [name for file in files for name in entries(REQUIREMENTS / f"{file}.txt")]
    constraints = entries(CONSTRAINTS)
    if environment.sourced:
        if not importable("cv2"):
            raise SetUpError("OpenCV of this ROS 2's distribution is missing: install python3-opencv")
        wanted.remove("opencv-python")
        present: dict[str, str] = {}
        for (
            distribution
        ) in metadata.distributions():  # in the order of the path: the first is the one imported
            present.setdefault(normalised(distribution.metadata["Name"]), distribution.version)
        free = present.keys() - BUILD_TOOLS
        constraints = [line for line in constraints if normalised(re.split("[=; ]", line)[0]) not in free]
        constraints += [f"{name}=={present[name]}" for name in sorted(KEPT & present.keys())]
    elif any(environment.site_packages.glob(HEADLESS.replace("-", "_") + "-*.dist-info")):
        wanted[wanted.index("opencv-python")] = HEADLESS
    return wanted, constraints


def entries(file: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def point_at_this_machine(environment: Environment) -> None:
    """The wheels' CMake files hold the absolute paths of the machine that built them: put this one's in."""
    include = sysconfig.get_path("include")
    for file in environment.folder.glob("share/**/*.cmake"):
        text = file.read_text()
        new = re.sub(r"/opt/python/[^;\"/]+/include/python3\.\d+", include, text)
        new = re.sub(r"/opt/python/[^;\"]+?/site-packages", str(environment.site_packages), new)
        if new != text:
            file.write_text(new)


def build_interfaces(environment: Environment) -> None:
    say("building siam_tracker_msgs")
    work = environment.folder / "colcon"
    shutil.rmtree(work, ignore_errors=True)
    run(
        *(environment.python, "-m", "colcon", "--log-base", work / "log", "build"),
        *("--base-paths", "siam_tracker_msgs", "--build-base", work / "build"),
        *("--install-base", environment.folder, "--merge-install"),
        *("--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={environment.python}"),
        VIRTUAL_ENV=str(environment.folder),
        PATH=f"{environment.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    )


def install_project(environment: Environment) -> None:
    """Put the checkout itself on the path, with its files where ROS 2 looks for them."""
    say("installing siam_tracker_ros (the checkout itself)")
    shutil.copy(
        ROOT / "scripts" / "prefix_hook.py", environment.site_packages / "siam_tracker_prefix_hook.py"
    )
    # Start-up files run in the order of their names: this one before ros_wheels_bootstrapper.pth.
    (environment.site_packages / "a0_siam_tracker.pth").write_text("import siam_tracker_prefix_hook\n")
    run(
        *(environment.python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"),
        *("--no-deps", "--no-build-isolation", "--editable", "."),
    )
    share = environment.folder / "share"
    link(
        ROOT / "resource" / "siam_tracker_ros", share / "ament_index/resource_index/packages/siam_tracker_ros"
    )
    for name in ("package.xml", "config", "launch", "weights"):
        link(ROOT / name, share / "siam_tracker_ros" / name)
    # Where launch files and `ros2 run` look for executables, as colcon installs them.
    for name in executables(environment):
        link(environment.folder / "bin" / name, environment.folder / "lib" / "siam_tracker_ros" / name)


def executables(environment: Environment) -> list[str]:
    """Names of the programs that this checkout installs."""
    (file,) = environment.site_packages.glob("siam_tracker_ros-*.dist-info/entry_points.txt")
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(file)
    return list(parser["console_scripts"])


def link(target: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def set_up(environment: Environment) -> None:
    identity = (str(ROOT), sys.executable, sys.version, environment.distro, environment.sourced)
    made_from = {
        "create": fingerprint([], identity),
        "packages": fingerprint([REQUIREMENTS, ROOT / "scripts" / "set_up.py"], identity),
        "interfaces": fingerprint([ROOT / "siam_tracker_msgs", REQUIREMENTS], identity),
        "project": fingerprint([ROOT / "setup.py", ROOT / "setup.cfg", ROOT / "scripts"], identity),
    }
    steps = {
        "create": create,
        "packages": install_packages,
        "interfaces": build_interfaces,
        "project": install_project,
    }
    if environment.unfinished.exists():
        say(f"the last set-up of {environment.folder.name} was interrupted: starting over")
        environment.stamps.unlink(missing_ok=True)
    for step, perform in steps.items():
        if read_stamps(environment).get(step) != made_from[step]:
            perform(environment)
            write_stamp(environment, step, made_from[step])


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the virtual environment of this checkout.")
    parser.add_argument(
        "--wheels", default="", help="take ROS 2 from the wheels of this distro: jazzy or kilted"
    )
    wheels = parser.parse_args().wheels or None
    try:
        environment = choose_environment(wheels)
        with only_one_at_a_time():
            set_up(environment)
    except SetUpError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; run it again to go on", file=sys.stderr)
        return 130
    source = "sourced" if environment.sourced else "from wheels"
    say(f"{environment.folder.name} is ready: ROS 2 {environment.distro} ({source})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
