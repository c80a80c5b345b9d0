"""The arguments of bring-up, declared once: launch files, `siam-tracker bringup` and the table in README.

All values can be written as text, as a launch file gets them. An empty text leaves a parameter as the
parameter files have it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from siam_tracker_ros.engines.names import ENGINES, PRECISIONS
from siam_tracker_ros.nodes.parameter_struct import (
    ParameterValueError,
    Value,
    checked,
    described,
    parameter,
)

T = TypeVar("T")

TRUE, FALSE = ("true", "True", "1"), ("false", "False", "0")


@dataclass(frozen=True)
class TrackerArguments:
    """What is started around the tracker. Topics are relative to the namespace unless they begin with /."""

    namespace: str = parameter("", "Namespace of all nodes, and of the topics and services they offer.")
    image_topic: str = parameter("image_raw", "Images to track in.")
    camera_info_topic: str = parameter(
        "", "Calibration of the camera. Empty: camera_info beside image_topic."
    )
    image_transport: str = parameter(
        "",
        "What is read: raw images, or compressed ones on image_topic/compressed. Empty: as params_file says, "
        "or raw.",
        choices=("", "raw", "compressed"),
    )
    image_qos: str = parameter(
        "",
        "Reliability of the image subscriptions; best_effort matches every camera. Empty: as params_file "
        "says, or best_effort.",
        choices=("", "best_effort", "reliable"),
    )
    model: str = parameter("", "Zoo entry, where the weight file does not say. Empty: as params_file says.")
    weights: str = parameter(
        "", "Weights by name or path. Empty: as params_file says, or those shipped with the package."
    )
    device: str = parameter("", "auto, cpu, cuda or cuda:N. Empty: as params_file says, or auto.")
    engine: str = parameter(
        "", "What runs the network. Empty: as params_file says, or auto.", choices=("", *ENGINES)
    )
    precision: str = parameter(
        "",
        "Number type of the network. Empty: as params_file says, or auto.",
        choices=("", *PRECISIONS),
    )
    params_file: str = parameter(
        "", "Parameter file for all nodes, read after the shipped config/NAME.yaml of each. Empty: none."
    )
    autostart: bool = parameter(True, "Configure and activate the lifecycle nodes.")
    composed: bool = parameter(
        False,
        "Run source, tracker, overlay and servo in one process, where images are handed over without being "
        "copied.",
    )
    use_sim_time: bool = parameter(False, "Take the time from /clock.")
    log_level: str = parameter(
        "info", "Least severity that nodes log.", choices=("debug", "info", "warn", "error", "fatal")
    )
    rviz: bool = parameter(False, "Start RViz with config/siam_tracker.rviz, and the overlay that it shows.")
    selector: bool = parameter(False, "Open a window in which a box is drawn on the image with the mouse.")
    overlay: bool = parameter(False, "Publish the image with the results drawn in.")
    record: bool = parameter(
        False,
        "Record image, camera_info, tracks, status and the servo's topics: with ros2 bag where it is "
        "installed, else with siam-tracker record.",
    )
    record_image: str = parameter(
        "",
        "Which images are recorded: raw, or compressed ones on image_topic/compressed. Empty: those that are "
        "tracked in.",
        choices=("", "raw", "compressed"),
    )
    bag: str = parameter("", "Folder of the recording. Empty: siam_tracker_ and the time, where you are.")
    servo: bool = parameter(False, "Start the servo node, disarmed.")


@dataclass(frozen=True)
class BringUpArguments(TrackerArguments):
    """The same, and where the images come from. The end of the footage ends everything."""

    source: str = parameter(
        "",
        "Images to publish on image_topic: video file, folder of images, camera index, stream URL. Empty: "
        "they come from elsewhere.",
    )
    frames: str = parameter("", "Frames of source, A:B counted from 0, B not included. Empty: all.")
    loop: bool = parameter(False, "Whether source starts over at its end.")
    pace: str = parameter(
        "rate",
        "When the next image of source is published. rate: at its time. consumed: when the one before it was "
        "tracked in, so that none is dropped.",
        choices=("rate", "consumed"),
    )
    box: str = parameter(
        "",
        "Target in the first image of source: x,y,w,h of top-left corner and size, px. Empty: nothing is "
        "tracked until init_target is called.",
    )


@dataclass(frozen=True)
class DemoArguments(BringUpArguments):
    """The same, with overlay and recording on, for footage."""

    overlay: bool = parameter(True, "Publish the image with the results drawn in.")
    record: bool = parameter(
        True, "Record image, camera_info, tracks, status, overlay: with ros2 bag, else siam-tracker record."
    )


def from_text(struct: type[T], values: Mapping[str, str]) -> T:
    """`struct` from texts, as launch files give them. Raises ParameterValueError."""
    kinds = {one.name: type(one.default) for one in described(struct)}
    return checked(struct, {name: _parsed(name, kinds.get(name, str), text) for name, text in values.items()})


def _parsed(name: str, kind: type, text: str) -> Value:
    if kind is bool:
        if text not in TRUE + FALSE:
            raise ParameterValueError(f"{name} is true or false, not '{text}'")
        return text in TRUE
    if kind is str:
        return text
    try:
        number: Value = kind(text)
    except ValueError:
        raise ParameterValueError(f"{name} is a number, not '{text}'") from None
    return number


def as_text(value: object) -> str:
    """A default as launch files write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def add_options(parser: argparse._ActionsContainer, struct: type) -> None:
    """An option for each argument, `_` in its name written as `-`."""
    for one in described(struct):
        option = f"--{one.name.replace('_', '-')}"
        text = one.description.rstrip(".").replace("%", "%%")
        if isinstance(one.default, bool):
            text += f" (default {'on' if one.default else 'off'})"
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=one.default, help=text)
            continue
        if one.default != "":
            text += f" (default {one.default})"
        parser.add_argument(
            option,
            type=type(one.default),
            default=one.default,
            choices=one.choices or None,
            metavar="{" + ",".join(choice for choice in one.choices if choice) + "}"
            if one.choices
            else one.name.rsplit("_", 1)[-1].upper(),
            help=text,
        )


def from_options(struct: type[T], args: argparse.Namespace) -> T:
    """`struct` from the options that `add_options` added. Raises ParameterValueError."""
    return checked(struct, {one.name: getattr(args, one.name) for one in described(struct)})


def argument_table(struct: type) -> str:
    """The arguments as a Markdown table, for the documentation."""
    rows = ["| argument | default | allowed | |", "|---|---|---|---|"]
    for one in described(struct):
        allowed = "true, false" if isinstance(one.default, bool) else one.range_text.removeprefix("'', ")
        rows.append(
            f"| `{one.name}` | `{as_text(one.default) or chr(39) * 2}` | {allowed} | {one.description} |"
        )
    return "\n".join(rows) + "\n"
