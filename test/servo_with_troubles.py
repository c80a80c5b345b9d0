"""A servo node whose loop goes wrong once it is told to: by an exception, or by standing still for a while.

It hears of it on the topic `trouble` (std_msgs/String: "exception" or "standstill").
"""

from __future__ import annotations

import sys
import time
from typing import Any

from std_msgs.msg import String

from siam_tracker_ros.control.servo import Servo, ServoCommand
from siam_tracker_ros.nodes.node_process import run_node
from siam_tracker_ros.nodes.servo_node import ServoNode

STANDSTILL_S = 1.5
troubles: list[str] = []
step = Servo.step


def troubled_step(self: Servo, *arguments: Any) -> ServoCommand:
    if "exception" in troubles:
        raise ZeroDivisionError("as asked for")
    command = step(self, *arguments)
    if "standstill" in troubles:
        troubles.clear()
        time.sleep(STANDSTILL_S)
    return command


class TroubledNode(ServoNode):
    def __init__(self) -> None:
        super().__init__()
        self.create_subscription(String, "trouble", lambda message: troubles.append(message.data), 10)


Servo.step = troubled_step  # type: ignore[method-assign]
sys.exit(run_node(TroubledNode))
