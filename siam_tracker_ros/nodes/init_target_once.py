"""Start one target in the first image of a source that was started paused, then let it play."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import SetBool, Trigger

from siam_tracker_msgs.msg import BoundingBox2D
from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.nodes.client_node import ClientNode, run_client

NAME = "init_target_once"
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_READY_S = 120.0
_ANSWER_S = 60.0


class NotStartedError(SiamTrackerError):
    """The target could not be started; the message says why."""


def box_message(text: str) -> BoundingBox2D:
    """A box written x,y,w,h (top-left corner and size, px). Raises NotStartedError."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise NotStartedError(
            f"a box is four numbers x,y,w,h (top-left corner, width and height in px), not '{text}'"
        ) from None
    # The corner is a pixel's centre, and the box has that pixel in it.
    return BoundingBox2D(
        center_x=x + (width - 1) / 2, center_y=y + (height - 1) / 2, size_x=width, size_y=height
    )


def start_target(client: ClientNode, box: BoundingBox2D, source: str, tracker: str) -> None:
    """Call `init_target` for the image that `source` publishes next, then end its pause.

    Raises NotStartedError where something is missing or refuses, NoAnswerError where it does not answer.
    """
    states: list[str] = []
    infos: list[CameraInfo] = []
    client.node.create_subscription(
        DiagnosticStatus, f"{source}/status", lambda message: states.append(_state(message)), _LATCHED
    )
    client.node.create_subscription(CameraInfo, "camera_info", infos.append, 10)
    if not client.wait(lambda: "paused" in states[-1:], _READY_S):
        raise NotStartedError(f"{source} does not wait for its first image: {states[-1:] or 'no status'}")

    request = InitTarget.Request(bbox=box)
    future = client.send(InitTarget, "init_target", request, _ANSWER_S)
    if future is None:
        raise NotStartedError("nobody serves init_target: is the tracker running?")
    # Whoever answers this has taken the request above in: the image may come.
    client.ask(GetState, f"{tracker}/get_state", GetState.Request(), _ANSWER_S)
    step = client.ask(Trigger, f"{source}/step", Trigger.Request(), _ANSWER_S)
    if not step.success:
        raise NotStartedError(f"{source} publishes no image: {step.message}")
    if not client.wait(future.done, _ANSWER_S):
        raise NotStartedError(f"init_target does not answer within {_ANSWER_S:g} s")
    answer = future.result()
    if answer.error_code == InitTarget.Response.TIMEOUT and client.wait(lambda: infos, _ANSWER_S):
        # A machine under load: by now the image may have arrived and be kept.
        request.header = infos[0].header
        answer = client.ask(InitTarget, "init_target", request, _ANSWER_S)
    if not answer.success:
        raise NotStartedError(f"init_target refused: {answer.message}")
    playing = client.ask(SetBool, f"{source}/pause", SetBool.Request(data=False), _ANSWER_S)
    if not playing.success and states[-1:] != ["finished"]:
        raise NotStartedError(f"{source} does not play on: {playing.message}")
    stamp = answer.header.stamp
    print(f"target {answer.id} started in the image of {stamp.sec}.{stamp.nanosec:09d}", flush=True)


def _state(message: DiagnosticStatus) -> str:
    return next((value.value for value in message.values if value.key == "state"), "")


def main(argv: Sequence[str] | None = None) -> int:
    """Start the target; the exit status."""
    words = list(sys.argv if argv is None else [NAME, *argv])
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument("--box", required=True, metavar="X,Y,W,H", help="top-left corner and size, px")
    parser.add_argument("--source", default="video_source_node", metavar="NODE", help="who publishes")
    parser.add_argument("--tracker", default="tracker_node", metavar="NODE", help="who tracks")
    args = parser.parse_args(remove_ros_args(words)[1:])
    return run_client(
        NAME,
        words[1:],
        lambda client: start_target(client, box_message(args.box), args.source, args.tracker),
    )


if __name__ == "__main__":
    sys.exit(main())
