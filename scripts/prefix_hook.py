"""Let every Python of this virtual environment find the ROS 2 packages that set-up built into it.

Set-up copies this file into site-packages, where a .pth file runs it at start-up, so that nobody has to
source anything. The loader reads LD_LIBRARY_PATH only when a process starts: where it lacks the libraries,
Python starts itself over once. (The ROS 2 wheels' own start-up file does the same, and runs before this one.)
"""

import os
import sys


def prepended(variable: str, path: str) -> str:
    """The variable's value with `path` in front, once."""
    rest = [part for part in os.environ.get(variable, "").split(os.pathsep) if part and part != path]
    return os.pathsep.join([path, *rest])


def extend_environment() -> None:
    libraries = f"{sys.prefix}/lib"
    found = libraries in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    os.environ["AMENT_PREFIX_PATH"] = prepended("AMENT_PREFIX_PATH", sys.prefix)
    if not found:
        os.environ["LD_LIBRARY_PATH"] = prepended("LD_LIBRARY_PATH", libraries)
        os.execv(sys.executable, sys.orig_argv)


extend_environment()
