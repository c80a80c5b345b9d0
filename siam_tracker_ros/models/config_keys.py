"""Telling the keys of an original's configuration that mean something here from those that mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from siam_tracker_ros.errors import SiamTrackerError


def refuse_unknown(
    config: Mapping[str, Any], known: Iterable[str], what: str, error: type[SiamTrackerError]
) -> None:
    """Raise `error`, naming them, where `config`, called `what`, has keys that are not `known`.

    A key that was misspelt would otherwise leave its setting at the default without a word.
    """
    unknown = [str(key) for key in config if key not in set(known)]
    if unknown:
        raise error(f"{what} has unknown keys: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def refuse_other(
    config: Mapping[str, Any], follows: Mapping[str, Any], what: str, error: type[SiamTrackerError]
) -> None:
    """Raise `error` where `config` gives a value for a key of `follows` that is not the one found there.

    These are what the original derives from its other settings, whatever it is told.
    """
    for key, value in follows.items():
        if key in config and config[key] != value:
            raise error(f"{what} has {key} {config[key]}; with its other settings it is {value}")
