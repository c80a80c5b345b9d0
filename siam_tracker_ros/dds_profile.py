"""Fast DDS's profile for large images: which variable names it, where ours is, whether one is good enough.

Fast DDS hands images to other processes through a shared-memory segment of 512 KiB by default. A best-effort
image that does not fit is lost, without an error anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.shipped_files import shipped_file

PROFILE_NAME = "fastdds_large_images.xml"
ENOUGH_BYTES = 32 * 1024 * 1024
"""A shared-memory segment that holds several images of 1080p in 8-bit colour (6 MB each)."""

_FAST_DDS_2_DISTROS = ("foxy", "galactic", "humble", "iron", "jazzy")


class DdsProfileError(SiamTrackerError):
    """A Fast DDS profile file that cannot be read."""


def profile_variable(distro: str | None) -> str:
    """The environment variable that names the profile file: Fast DDS 3 (Kilted and later) renamed it."""
    return f"{'FASTRTPS' if distro in _FAST_DDS_2_DISTROS else 'FASTDDS'}_DEFAULT_PROFILES_FILE"


def shipped_profile() -> Path | None:
    """Our profile file: the source tree's, or the installed package's; None where neither is."""
    return shipped_file(f"config/{PROFILE_NAME}")


def use_shipped_profile(distro: str | None) -> None:
    """Let nodes of this process, made from now on, publish large images, unless a profile is named already.

    An empty variable counts as named, and keeps Fast DDS's defaults.
    """
    profile = shipped_profile()
    if profile is not None:
        os.environ.setdefault(profile_variable(distro), str(profile))


def shared_memory_bytes(profile: Path) -> int:
    """The largest shared-memory segment, bytes, that a profile file's default participant uses; 0 if none.

    Raises DdsProfileError for a file that is absent or not XML.
    """
    try:
        root = ElementTree.parse(profile).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DdsProfileError(f"{profile} is not a readable profile file: {error}") from error
    segments: dict[str, int] = {}
    for transport in _all(root, "transport_descriptor"):
        if _text(transport, "type") == "SHM" and _text(transport, "segment_size").isdigit():
            segments[_text(transport, "transport_id")] = int(_text(transport, "segment_size"))
    used = [
        segments.get((transport.text or "").strip(), 0)
        for participant in _all(root, "participant")
        if participant.get("is_default_profile") == "true"
        for transports in _all(participant, "userTransports")
        for transport in _all(transports, "transport_id")
    ]
    return max(used, default=0)


def _all(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return element.findall(f".//{{*}}{tag}")


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(f"{{*}}{tag}") or "").strip()
