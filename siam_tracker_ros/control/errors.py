"""Named errors of control; each message says what was given and what would be right."""

import math

from siam_tracker_ros.errors import SiamTrackerError


class CameraInfoError(SiamTrackerError, ValueError):
    """A calibration that no camera model can be made of."""


class NoBearingError(SiamTrackerError, ValueError):
    """A pixel that no ray reaches through this lens, or a direction that it does not show."""


class AttitudeError(SiamTrackerError, ValueError):
    """A quaternion that is no rotation."""


class LimitError(SiamTrackerError, ValueError):
    """A limit, gain or time that is infinite, negative, or contradicts another."""


class NotFiniteError(SiamTrackerError, ValueError):
    """A measurement with a value that is not a finite number."""


class ServoFaultError(SiamTrackerError, RuntimeError):
    """Arming asked for while there is a fault."""


def require_positive(**values: float) -> None:
    """Raise LimitError unless every value, called by its keyword, is a finite number above 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise LimitError(f"{name} must be a finite number above 0, not {value!r}")


def require_not_negative(**values: float) -> None:
    """Raise LimitError unless every value, called by its keyword, is a finite number of at least 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise LimitError(f"{name} must be a finite number of at least 0, not {value!r}")
