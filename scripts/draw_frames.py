"""Draw docs/frames_and_signs.svg: the frames of the servo, and which way each angle grows.

usage: draw_frames.py [FILE]   (another FILE may be of any kind that matplotlib writes)
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Circle, FancyArrowPatch, Polygon, Rectangle

FILE = Path(__file__).resolve().parent.parent / "docs" / "frames_and_signs.svg"
INK, AXIS, TARGET, PLUS = "#24292f", "#57606a", "#bc4c00", "#0969da"
SIGHT_DEG = 32.0


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str, width: float = 1.6
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=14,
            color=color,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
        )
    )


def turning(ax: Axes, radius: float, start_deg: float, end_deg: float, color: str) -> None:
    """An arc about the origin with a head at its end; angles counter-clockwise from the right."""
    low, high = sorted((start_deg, end_deg))
    ax.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=low, theta2=high, color=color, linewidth=1.8))
    end, before = math.radians(end_deg), math.radians(end_deg + math.copysign(4, start_deg - end_deg))
    arrow(
        ax,
        (radius * math.cos(before), radius * math.sin(before)),
        (radius * math.cos(end), radius * math.sin(end)),
        color,
    )


def panel(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=12, color=INK, pad=12, loc="left", fontweight="bold")
    ax.set_aspect("equal")
    ax.axis("off")


def draw_gimbal(ax: Axes, angle_deg: float) -> None:
    """A camera at the origin that looks along an angle."""
    turn = mpl.transforms.Affine2D().rotate_deg(angle_deg) + ax.transData
    ax.add_patch(Rectangle((-0.3, -0.17), 0.5, 0.34, color="#8c959f", transform=turn, zorder=3))
    lens = Polygon([(0.2, -0.08), (0.36, -0.15), (0.36, 0.15), (0.2, 0.08)], color="#6e7781", zorder=3)
    lens.set_transform(turn)
    ax.add_patch(lens)


def draw_target(ax: Axes, x: float, y: float) -> None:
    ax.add_patch(Circle((x, y), 0.13, color=TARGET, zorder=4))


def note(ax: Axes, x: float, y: float, text: str, color: str = INK, **options: object) -> None:
    ax.text(x, y, text, color=color, fontsize=10, va="center", **options)  # type: ignore[arg-type]


def from_above(ax: Axes) -> None:
    """x to the right on paper, y up: azimuth grows counter-clockwise."""
    panel(ax, "From above: azimuth")
    sight_and_turns(ax, "y left", ("azimuth +", "pan joint +"), "MAVLink yaw +")


def from_the_right(ax: Axes) -> None:
    """x to the right on paper, z up: seen from the right-hand side of the gimbal."""
    panel(ax, "From its right: elevation")
    sight_and_turns(ax, "z up", ("elevation +", "MAVLink pitch +"), "tilt joint + (about y)")


def sight_and_turns(ax: Axes, up: str, counter_clockwise: tuple[str, str], clockwise: str) -> None:
    """The forward axis and the one that points up on paper, the line of sight, and what turns which way."""
    arrow(ax, (0, 0), (3.0, 0), AXIS)
    arrow(ax, (0, 0), (0, 2.2), AXIS)
    note(ax, 3.08, 0, "x forward", AXIS)
    note(ax, 0.0, 2.4, up, AXIS, ha="center")
    sight = math.radians(SIGHT_DEG)
    ax.plot(
        [0, 2.6 * math.cos(sight)], [0, 2.6 * math.sin(sight)], color=TARGET, linewidth=1.2, linestyle="--"
    )
    draw_target(ax, 2.75 * math.cos(sight), 2.75 * math.sin(sight))
    draw_gimbal(ax, 0)
    turning(ax, 1.5, 0, SIGHT_DEG, PLUS)
    note(ax, 1.62, 0.42, counter_clockwise[0], PLUS)
    note(ax, 1.62, 0.16, counter_clockwise[1], PLUS)
    turning(ax, 1.5, 0, -SIGHT_DEG, INK)
    note(ax, 1.62, -0.55, clockwise)
    ax.set_xlim(-0.5, 4.2)
    ax.set_ylim(-1.0, 2.7)


def in_the_image(ax: Axes) -> None:
    """The picture, with v downwards, and the same target in it."""
    panel(ax, "In the image: optical frame")
    ax.add_patch(Rectangle((0, 0), 3.6, 2.7, facecolor="#f6f8fa", edgecolor=INK, linewidth=1.4))
    middle = (1.8, 1.35)
    ax.plot([1.8, 1.8], [0, 2.7], color="#d0d7de", linewidth=1)
    ax.plot([0, 3.6], [1.35, 1.35], color="#d0d7de", linewidth=1)
    arrow(ax, middle, (2.7, 1.35), AXIS)
    arrow(ax, middle, (1.8, 0.45), AXIS)
    note(ax, 2.55, 1.18, "x (u) right", AXIS)
    note(ax, 1.87, 0.35, "y (v) down", AXIS)
    ax.add_patch(Circle(middle, 0.09, facecolor="white", edgecolor=AXIS, linewidth=1.4, zorder=3))
    for sign in (-1, 1):
        ax.plot(
            [1.8 - 0.06, 1.8 + 0.06],
            [1.35 - 0.06 * sign, 1.35 + 0.06 * sign],
            color=AXIS,
            linewidth=1.4,
            zorder=4,
        )
    note(ax, 1.7, 1.14, "z into the scene", AXIS, ha="right")
    target = (0.75, 2.1)
    draw_target(ax, *target)
    ax.plot([middle[0], target[0]], [middle[1], target[1]], color=TARGET, linewidth=1.2, linestyle="--")
    note(ax, 0.12, 2.45, "left of and above the middle:", TARGET)
    note(ax, 0.95, 2.1, "azimuth +, elevation +", PLUS)
    note(ax, 0.0, -0.22, "(0, 0) is the centre of the top-left pixel", AXIS)
    ax.set_xlim(-0.15, 4.0)
    ax.set_ylim(-0.9, 3.0)


def main() -> None:
    """Draw the three views side by side."""
    plt.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "frames", "svg.fonttype": "path"})
    figure, axes = plt.subplots(1, 3, figsize=(13.0, 3.6), facecolor="white")
    for draw, ax in zip((from_above, from_the_right, in_the_image), axes, strict=True):
        draw(ax)
    figure.subplots_adjust(left=0.02, right=0.99, bottom=0.02, top=0.88, wspace=0.06)
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
