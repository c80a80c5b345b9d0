"""Parameters of a node as one frozen dataclass.

A field made with `parameter(...)` carries its default, description, range and whether it can change while the
node runs. Declaration, validation, the parameter file and the table in the documentation are all derived
from it, so that they cannot differ. Nothing of ROS is imported until a node declares.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from siam_tracker_ros.errors import SiamTrackerError

Value = bool | int | float | str
T = TypeVar("T")

_TYPE_NAMES = {bool: "bool", int: "int", float: "double", str: "string"}


class ParameterValueError(SiamTrackerError, ValueError):
    """A parameter's value that is not allowed, or not allowed to change now."""


@dataclasses.dataclass(frozen=True)
class Described:
    """What is known of one parameter besides its value; `low` and `high` are both part of the range."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fixed_because: str = ""
    read_only: bool = False

    @property
    def type_name(self) -> str:
        """The type as `ros2 param describe` calls it."""
        return _TYPE_NAMES[type(self.default)]

    @property
    def range_text(self) -> str:
        """The range in words; empty if every value of the type is allowed."""
        if self.choices:
            return ", ".join(choice or "''" for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" if self.low is not None else ""

    @property
    def when_text(self) -> str:
        """When it can be changed, and if not always, why."""
        if self.read_only:
            return "at the start only"
        return f"while unconfigured only, as {self.fixed_because}" if self.fixed_because else "at any time"

    def check(self, value: object) -> None:
        """Raises ParameterValueError unless `value` has the type and lies in the range."""
        if type(value) is not type(self.default):
            raise ParameterValueError(
                f"{self.name} is a {self.type_name}, not {value!r} ({type(value).__name__})"
            )
        if self.choices and value not in self.choices:
            raise ParameterValueError(f"{self.name} is one of {self.range_text}, not '{value}'")
        if isinstance(value, int | float) and self.low is not None and self.high is not None:
            inside = math.isfinite(value) and self.low <= value <= self.high
            if not inside:
                raise ParameterValueError(f"{self.name} goes from {self.range_text}, and {value} does not")


def parameter(
    default: Value,
    description: str,
    range: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    fixed_because: str = "",
    read_only: bool = False,
) -> Any:
    """A field of a parameter dataclass.

    A change takes effect at once; with `fixed_because` (a reason) the lifecycle node must be unconfigured for
    it, and a `read_only` one is given when the node starts.
    """
    low, high = range or (None, None)
    described = Described("", default, description, low, high, choices, fixed_because, read_only)
    return dataclasses.field(default=default, metadata={"described": described})


def described(struct: type) -> list[Described]:
    """The parameters of a dataclass, in its order."""
    return [
        dataclasses.replace(field.metadata["described"], name=field.name)
        for field in dataclasses.fields(struct)
    ]


def checked(struct: type[T], values: Mapping[str, object]) -> T:
    """`struct` with `values`, defaults for the rest. Raises ParameterValueError, for unknown names too."""
    known = {one.name: one for one in described(struct)}
    for name, value in values.items():
        if name not in known:
            raise ParameterValueError(f"no parameter is called '{name}'; there are {', '.join(known)}")
        known[name].check(value)
    return struct(**values)


def declare(node: Any, struct: type) -> None:
    """Declare every parameter of `struct` on a node, with what `ros2 param describe` shows.

    Raises what rclpy raises for a value given at the start that has another type or lies out of range.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    for one in described(struct):
        constraints = "; ".join(
            text
            for text in (
                f"one of {one.range_text}" if one.choices else "",
                f"can be changed {one.when_text}",
            )
            if text
        )
        descriptor = ParameterDescriptor(
            description=one.description, additional_constraints=constraints, read_only=one.read_only
        )
        if isinstance(one.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(one.low or 0), to_value=float(one.high or 0), step=0.0)
            ]
        elif isinstance(one.default, int) and not isinstance(one.default, bool):
            descriptor.integer_range = [
                IntegerRange(from_value=int(one.low or 0), to_value=int(one.high or 0), step=1)
            ]
        node.declare_parameter(one.name, one.default, descriptor)


def read(node: Any, struct: type[T]) -> T:
    """The node's values as one `struct`. Raises ParameterValueError."""
    return checked(struct, {one.name: node.get_parameter(one.name).value for one in described(struct)})


def follow_changes(
    node: Any,
    struct: type[T],
    take: Callable[[T], None],
    is_unconfigured: Callable[[], bool] = lambda: True,
    check_together: Callable[[T], object] = lambda values: None,
) -> None:
    """Refuse changes that are not allowed, with the reason; `take` the values after each that is.

    A parameter that is fixed for a reason is refused unless the lifecycle node `is_unconfigured`.
    `check_together` raises a SiamTrackerError where the values contradict each other.
    """
    from rcl_interfaces.msg import SetParametersResult

    known = {one.name: one for one in described(struct)}

    def check(changes: list[Any]) -> Any:
        mine = {change.name: change.value for change in changes if change.name in known}
        present = {name: node.get_parameter(name).value for name in known}
        try:
            check_together(checked(struct, {**present, **mine}))
            for name in mine:
                reason = known[name].fixed_because
                if reason and not is_unconfigured():
                    raise ParameterValueError(
                        f"{name} can be changed while unconfigured only, as {reason}: clean up the node first"
                    )
        except SiamTrackerError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(lambda _: take(read(node, struct)))


def parameter_file(struct: type) -> str:
    """A ROS 2 parameter file with every default, its description above it; for any node name."""
    lines = [
        "# Every parameter with its default. Generated from the code; a test holds the two together.",
        "",
    ]
    lines += ["/**:", "  ros__parameters:"]
    for one in described(struct):
        notes = [one.description, one.range_text and f"Allowed: {one.range_text}."]
        notes.append(f"Can be changed {one.when_text}.")
        text = " ".join(note for note in notes if note)
        lines += [f"    # {line}" for line in textwrap.wrap(text, 100)]
        lines.append(f"    {one.name}: {_yaml(one.default)}")
    return "\n".join(lines) + "\n"


def parameter_table(struct: type) -> str:
    """The parameters as a Markdown table, for the documentation."""
    rows = ["| parameter | type | default | allowed | can be changed | |", "|---|---|---|---|---|---|"]
    rows += [
        f"| `{one.name}` | {one.type_name} | `{_yaml(one.default)}` | {one.range_text} "
        f"| {one.when_text} | {one.description} |"
        for one in described(struct)
    ]
    return "\n".join(rows) + "\n"


def _yaml(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
