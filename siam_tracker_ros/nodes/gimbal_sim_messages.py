"""What the simulated camera and gimbal publish, as messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Vector3, Vector3Stamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, JointState

from siam_tracker_msgs.msg import BoundingBox2D, Track, TrackArray
from siam_tracker_ros.control.frames import PanTilt
from siam_tracker_ros.control.supervisor import TrackState
from siam_tracker_ros.nodes.gimbal_sim_parameters import (
    GimbalSimParameters,
    camera_of_parameters,
    distortion_of,
)
from siam_tracker_ros.nodes.image_messages import image_message
from siam_tracker_ros.nodes.mask_encoding import MASK_ENCODINGS, mask_message
from siam_tracker_ros.simulation.simulator import Truth
from siam_tracker_ros.tracking.result import TargetMask

# Share of the target that has to be visible for its mask to be that of the whole.
_WHOLE = 0.95


def camera_info(given: GimbalSimParameters) -> CameraInfo:
    """The simulated camera's calibration, its header left to who publishes."""
    camera = camera_of_parameters(given)
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return CameraInfo(
        width=camera.width,
        height=camera.height,
        distortion_model=given.distortion_model,
        d=list(distortion_of(given)),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def joint_state(header: Any, given: GimbalSimParameters, angles: PanTilt, rates: PanTilt) -> JointState:
    """The joints' angles (rad) and rates (rad/s)."""
    return JointState(
        header=header,
        name=[given.pan_joint, given.tilt_joint],
        position=list(angles),
        velocity=list(rates),
    )


def direction(header: Any, vector: NDArray[np.float64]) -> Vector3Stamped:
    """A unit vector [3] in the header's frame."""
    x, y, z = (float(value) for value in vector)
    return Vector3Stamped(header=header, vector=Vector3(x=x, y=y, z=z))


def truth_tracks(header: Any, given: GimbalSimParameters, truth: Truth, hidden_s: float) -> TrackArray:
    """The truth of one image as a perfect tracker's message.

    `hidden_s`: how long the target has been out of sight. Its box stays where the target is meanwhile, which
    no tracker could know; the state says that it is not seen. Its mask is given while all of it is visible:
    the middle of a part would not be the target's.
    """
    message = TrackArray(header=header, image_width=given.image_width, image_height=given.image_height)
    if truth.box is None:
        return message
    left, top, right, bottom = truth.box
    seen = truth.state == TrackState.TRACKING
    seconds, nanoseconds = divmod(round(hidden_s * 1e9), 1_000_000_000)
    track = Track(
        id=given.target_id,
        generation=1,
        state=int(truth.state),
        bbox=BoundingBox2D(
            center_x=(left + right) / 2,
            center_y=(top + bottom) / 2,
            size_x=right - left,
            size_y=bottom - top,
        ),
        confidence=1.0 if seen else 0.0,
        raw_score=truth.visible,
        since_update=Duration(sec=seconds, nanosec=nanoseconds),
    )
    if truth.mask is not None and truth.visible >= _WHOLE:
        mask = TargetMask(*truth.corner, truth.mask, given.image_width, given.image_height)
        track.mask = mask_message(mask, MASK_ENCODINGS["rle"])
    message.tracks = [track]
    return message


def truth_mask(header: Any, given: GimbalSimParameters, truth: Truth) -> Image:
    """The target's visible pixels as mono8: 0 background, 255 target."""
    pixels = np.zeros((given.image_height, given.image_width), np.uint8)
    if truth.mask is not None:
        (height, width), (x, y) = truth.mask.shape, truth.corner
        pixels[y : y + height, x : x + width][truth.mask] = 255
    return image_message(header, "mono8", pixels)
