"""Messages of packages that need not be installed."""

from __future__ import annotations

import importlib
from typing import Any

from siam_tracker_ros.errors import SiamTrackerError


class MissingMessagesError(SiamTrackerError, ImportError):
    """A package of messages that an output needs and that is not installed."""


def messages_of(package: str) -> Any:
    """The module of a package's messages. Raises MissingMessagesError."""
    try:
        return importlib.import_module(f"{package}.msg")
    except ImportError as error:
        raise MissingMessagesError(
            f"this output needs {package}, which does not import ({error}): install ros-<distro>-"
            f"{package.replace('_', '-')}, or build it in your workspace"
        ) from error
