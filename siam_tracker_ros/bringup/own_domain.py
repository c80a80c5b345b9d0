"""A ROS domain of one's own, so that what is shown or tested hears nobody else and disturbs no robot."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from siam_tracker_ros.bringup.process import BringUpError

# Above 101 the ports may be those the system gives out.
_DOMAINS = range(1, 101)


@contextmanager
def free_domain() -> Generator[int, None, None]:
    """A domain that nobody else on this machine has got from here. Raises BringUpError if none is left."""
    for step in range(len(_DOMAINS)):
        domain = _DOMAINS[(os.getpid() + step) % len(_DOMAINS)]
        lock = (Path(tempfile.gettempdir()) / f"siam_tracker_domain_{domain}_{os.getuid()}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        with lock:
            yield domain
        return
    raise BringUpError("every ROS domain from 1 to 100 is taken: set ROS_DOMAIN_ID yourself")


@contextmanager
def own_domain() -> Generator[int, None, None]:
    """Have processes started from here talk in a free domain, on this machine only.

    Where the user has set ROS_DOMAIN_ID, it is that one, and as far as they have it reach.
    """
    chosen = os.environ.get("ROS_DOMAIN_ID")
    if chosen:
        yield int(chosen)
        return
    before = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    with free_domain() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = before or "LOCALHOST"
        try:
            yield domain
        finally:
            del os.environ["ROS_DOMAIN_ID"]
            if before is None:
                del os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]
