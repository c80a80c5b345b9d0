"""Named errors of tracking; each message says what was given and what would be right."""

from siam_tracker_ros.errors import SiamTrackerError


class InvalidFrameError(SiamTrackerError, ValueError):
    """A frame that is no H x W x 3 or H x W array of uint8."""


class InvalidBoxError(SiamTrackerError, ValueError):
    """A box that is not finite, has no area, or lies outside the frame."""


class MaskUnavailableError(SiamTrackerError, ValueError):
    """Masks asked of a model without a mask branch."""


class InconsistentModelError(SiamTrackerError, ValueError):
    """A zoo entry whose tracking constants do not belong to its network."""
