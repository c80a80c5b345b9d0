"""A servo node that goes wrong once it is told to.

It hears of it on the topic `trouble` (std_msgs/String): "exception" in the loop, "standstill" of the loop for
a while, or a rate "output" that fails.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from std_msgs.msg import String

from siam_tracker_ros.control.servo import Servo, ServoCommand
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.servo_node import ServoNode
from siam_tracker_ros.nodes.servo_outputs import RateOutput

STANDSTILL_S = 1.5
troubles: list[str] = []
step = Servo.step
send = RateOutput.send


def troubled_step(self: Servo, *arguments: Any) -> ServoCommand:
    if "exception" in troubles:
        raise ZeroDivisionError("as asked for")
    command = step(self, *arguments)
    if "standstill" in troubles:
        troubles.clear()
        time.sleep(STANDSTILL_S)
    return command


def troubled_send(self: RateOutput, *arguments: Any) -> None:
    if "output" in troubles:
        raise OSError("the line is dead")
    send(self, *arguments)


class TroubledNode(ServoNode):
    def __init__(self) -> None:
        super().__init__()
        self.create_subscription(String, "trouble", lambda message: troubles.append(message.data), 10)


Servo.step = troubled_step  # type: ignore[method-assign]
RateOutput.send = troubled_send  # type: ignore[method-assign]
sys.exit(run_node(TroubledNode))
