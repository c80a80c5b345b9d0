"""Where targets were in the last while."""

from __future__ import annotations

import pytest

pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.nodes.trails import Trails


def tracks(milliseconds: int, **targets: tuple[float, int, int]) -> TrackArray:
    """Targets by id: x of the centre, generation, state."""
    message = TrackArray()
    seconds, rest = divmod(milliseconds, 1000)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, rest * 1_000_000
    message.tracks = [
        Track(id=id, generation=generation, state=state, bbox=BoundingBox2D(center_x=x, center_y=5.0))
        for id, (x, generation, state) in targets.items()
    ]
    return message


def xs(trails: Trails, id: str = "a") -> list[float]:
    return [x for x, _ in trails.points().get(id, [])]


def test_trail_reaches_back_as_far_as_it_should() -> None:
    trails = Trails(0.25)
    for number in range(6):
        trails.add(tracks(1900 + 100 * number, a=(float(number), 1, Track.TRACKING)))
    assert xs(trails) == [3.0, 4.0, 5.0]
    trails.seconds = 0.0
    assert trails.points() == {}


def test_a_new_target_of_the_same_name_has_a_trail_of_its_own() -> None:
    trails = Trails(10.0)
    trails.add(tracks(100, a=(1.0, 1, Track.TRACKING), b=(7.0, 1, Track.TRACKING)))
    trails.add(tracks(200, a=(2.0, 2, Track.ACQUIRING), b=(8.0, 1, Track.COASTING)))
    assert xs(trails) == [2.0]
    assert xs(trails, "b") == [7.0, 8.0]


@pytest.mark.parametrize("gone", [{}, {"a": (2.0, 1, Track.LOST)}])
def test_trail_ends_where_the_target_is_lost_or_gone(gone: dict[str, tuple[float, int, int]]) -> None:
    trails = Trails(10.0)
    trails.add(tracks(100, a=(1.0, 1, Track.TRACKING)))
    trails.add(tracks(200, **gone))
    assert xs(trails) == []
    trails.add(tracks(300, a=(3.0, 1, Track.TRACKING)))
    assert xs(trails) == [3.0]


def test_time_that_goes_back_starts_over() -> None:
    trails = Trails(10.0)
    trails.add(tracks(5000, a=(1.0, 1, Track.TRACKING)))
    trails.add(tracks(1000, a=(2.0, 1, Track.TRACKING)))
    assert xs(trails) == [2.0]
