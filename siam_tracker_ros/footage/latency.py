"""Where the time went from the camera's stamp of an image until its tracks were published."""

from __future__ import annotations

from typing import Any

from siam_tracker_ros.footage.stamps import stamp_ns

STAGES = ("transport", "queue", "preprocess", "inference", "postprocess")
"""In the order in which they come; each begins where the one before it ends."""


def stages_ms(message: Any) -> dict[str, float]:
    """The time of each of STAGES by a TrackArray of an image that was tracked in, ms.

    They add up to the time from the image's stamp to `published`. `transport` goes from the stamp to the
    image's arrival at the node, and means something only where the camera's clock is the node's; `queue` is
    how long the image then waited for the tracker to be done with another.
    """
    stamp, received, published = map(stamp_ns, (message.header.stamp, message.received, message.published))
    tracking = {name: float(getattr(message, f"{name}_ms")) for name in STAGES[2:]}
    return {
        "transport": (received - stamp) / 1e6,
        "queue": (published - received) / 1e6 - sum(tracking.values()),
        **tracking,
    }
