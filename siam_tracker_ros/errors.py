"""The error that every named error of this package derives from."""


class SiamTrackerError(Exception):
    """Something the user can put right: the message names the thing and says what would be right."""
