"""Named errors of engines and devices; each message says what was given and what would be right."""

from siam_tracker_ros.errors import SiamTrackerError


class DeviceUnavailableError(SiamTrackerError, RuntimeError):
    """A device that does not exist on this machine."""


class EngineUnavailableError(SiamTrackerError, RuntimeError):
    """An engine that is not installed, or cannot do what is asked of it on this device."""


class ExportError(SiamTrackerError, RuntimeError):
    """A network that cannot be exported as asked, or whose files do not do what PyTorch does."""
