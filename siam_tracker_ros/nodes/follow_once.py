"""Operate a run of the simulated gimbal: start the target, arm the servo, let the target go, end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.utilities import remove_ros_args
from std_srvs.srv import SetBool, Trigger

from siam_tracker_msgs.msg import ServoState, Track, TrackArray
from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.footage.stamps import stamp_ns
from siam_tracker_ros.nodes.client_node import ClientNode, run_client

NAME = "follow_once"
_READY_S = 120.0
_ANSWER_S = 60.0
# A machine under load may take this many times longer than what it simulates.
_SLOWEST = 30.0
_STARTS = 5


class FollowError(SiamTrackerError):
    """A run that could not be carried out; the message says why."""


class _Run:
    """What has been heard so far."""

    def __init__(self, client: ClientNode) -> None:
        self.client = client
        self.truth: TrackArray | None = None
        self.tracks: TrackArray | None = None
        self.state: ServoState | None = None
        subscribe = client.node.create_subscription
        subscribe(TrackArray, "truth/tracks", lambda message: setattr(self, "truth", message), 10)
        subscribe(TrackArray, "tracks", lambda message: setattr(self, "tracks", message), 10)
        subscribe(ServoState, "servo_state", lambda message: setattr(self, "state", message), 10)

    @property
    def now(self) -> float:
        """The servo's time, s: simulated where that is."""
        return 0.0 if self.state is None else stamp_ns(self.state.header.stamp) * 1e-9

    def wait(self, until: Callable[[], Any], what: str, within_s: float = _READY_S) -> None:
        if not self.client.wait(until, within_s):
            raise FollowError(f"waited {within_s:.0f} s in vain for {what}")

    def wait_seconds(self, seconds: float) -> None:
        """Until so many seconds of the servo's time have passed. Raises FollowError where it faults."""
        end = self.now + seconds

        def over() -> bool:
            assert self.state is not None
            if self.state.state == ServoState.FAULT:
                raise FollowError(f"the servo is at fault: {self.state.reason}")
            return self.now >= end

        self.wait(over, f"{seconds:g} s of servo_state", _READY_S + _SLOWEST * seconds)

    def ask(self, type_: Any, service: str, request: Any) -> Any:
        return self.client.ask(type_, service, request, _ANSWER_S)


def follow(client: ClientNode, perfect: bool, settle_s: float, seconds: float) -> None:
    """One run: `settle_s` on the standing target, then `seconds` on its path. Raises FollowError."""
    run = _Run(client)
    run.wait(lambda: _seen(run.truth), "a target in sight on truth/tracks")
    run.wait(lambda: run.state is not None, "servo_state: is the servo active?")
    if not perfect:
        _start_target(run)
        run.wait(lambda: _seen(run.tracks), "the tracker to see the target")
    _require(run.ask(SetBool, "servo_node/arm", SetBool.Request(data=True)), "the servo does not arm")
    _say("armed")
    run.wait_seconds(settle_s)
    started = _require(run.ask(Trigger, "gimbal_sim_node/start", Trigger.Request()), "the target stays")
    _say(started.message)
    run.wait_seconds(seconds)
    _require(run.ask(SetBool, "servo_node/arm", SetBool.Request(data=False)), "the servo does not disarm")
    _say(f"followed for {seconds:g} s, disarmed")


def _start_target(run: _Run) -> None:
    """Call `init_target` with the true box of the newest image."""
    for attempt in range(_STARTS):
        message = run.truth
        assert message is not None
        request = InitTarget.Request(header=message.header, bbox=message.tracks[0].bbox)
        answer = run.ask(InitTarget, "init_target", request)
        if answer.success:
            _say(f"target {answer.id} started")
            return
        if attempt + 1 < _STARTS:  # that image may have been passed over: take the next
            run.truth = None
            run.wait(lambda: _seen(run.truth), "the next image")
    raise FollowError(f"init_target refused: {answer.message}")


def _seen(message: TrackArray | None) -> bool:
    return message is not None and any(track.state == Track.TRACKING for track in message.tracks)


def _require(answer: Any, what: str) -> Any:
    if not answer.success:
        raise FollowError(f"{what}: {answer.message}")
    return answer


def _say(text: str) -> None:
    print(text, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Carry the run out; the exit status."""
    words = list(sys.argv if argv is None else [NAME, *argv])
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument("--perfect", action="store_true", help="there is no tracker to start a target in")
    parser.add_argument("--settle", type=float, default=4.0, metavar="S", help="time on the standing target")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="time on its path")
    args = parser.parse_args(remove_ros_args(words)[1:])
    return run_client(NAME, words[1:], lambda client: follow(client, args.perfect, args.settle, args.seconds))


if __name__ == "__main__":
    sys.exit(main())
