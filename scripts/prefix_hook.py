"""Let every Python of this virtual environment find the ROS 2 packages that set-up built into it.

Set-up copies this file into site-packages, where a .pth file runs it at start-up, so that nobody has to
source anything. The loader reads LD_LIBRARY_PATH only when a process starts: where it lacks the libraries,
Python starts itself over once.

What is there already comes first, so that a workspace sourced on top of this environment wins. The ROS 2
wheels' own start-up file does not keep the order, and is told that there is nothing left to do.
"""

import os
import sys
from pathlib import Path

# The process that started itself over: the same one after exec, never a child.
RESTARTED = "SIAM_TRACKER_RESTARTED_PROCESS"


def extend(variable: str, additions: list[str]) -> bool:
    """Append what the variable lacks; whether it lacked anything."""
    present = [part for part in os.environ.get(variable, "").split(os.pathsep) if part]
    missing = [part for part in additions if part not in present]
    os.environ[variable] = os.pathsep.join(present + missing)
    return bool(missing)


def find_packages() -> None:
    extend("AMENT_PREFIX_PATH", [sys.prefix])
    bundled = sorted(str(folder) for folder in Path(__file__).parent.glob("ros_*.libs"))
    os.environ["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    if extend("LD_LIBRARY_PATH", [f"{sys.prefix}/lib", *bundled]):
        me = str(os.getpid())
        if os.environ.get(RESTARTED) != me:
            os.environ[RESTARTED] = me
            os.execv(sys.executable, sys.orig_argv)


find_packages()
