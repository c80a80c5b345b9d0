"""Named errors of the simulation; each message says what was given and what would be right."""

from siam_tracker_ros.errors import SiamTrackerError


class SimulationError(SiamTrackerError, ValueError):
    """A setting that no camera, gimbal or scene can have."""


class SceneError(SiamTrackerError):
    """A picture for the scene that cannot be read."""
