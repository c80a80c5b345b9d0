"""Where tests find what is not part of the repository, and what keeps their ROS 2 graphs to themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _beside_the_repository(name: str, variable: str) -> Path:
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: {folder} is not there (name another in {variable})")
    return folder


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Folder of the reference numbers: `../shared/parity`, or SIAM_TRACKER_PARITY."""
    return _beside_the_repository("parity", "SIAM_TRACKER_PARITY")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real footage: `../shared/data`, or SIAM_TRACKER_DATA."""
    return _beside_the_repository("data", "SIAM_TRACKER_DATA")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for later runs is kept for this one, and not among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        # What is compared with exact numbers must not depend on which engine is the fastest here.
        patch.setenv("SIAM_TRACKER_ENGINE", "torch")
        yield


@contextmanager
def _own_ros_domain() -> Iterator[int]:
    pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
    from siam_tracker_ros.bringup.own_domain import free_domain

    with free_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain


@pytest.fixture
def ros_domain() -> Iterator[int]:
    """A ROS domain that no other test has now, on this machine only, for this process and those it starts."""
    with _own_ros_domain() as domain:
        yield domain


@pytest.fixture(scope="module")
def module_ros_domain() -> Iterator[int]:
    """The same for all tests of a module together."""
    with _own_ros_domain() as domain:
        yield domain
