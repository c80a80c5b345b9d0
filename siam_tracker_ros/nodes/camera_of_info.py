"""The camera model of a sensor_msgs/CameraInfo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from siam_tracker_ros.control.camera_model import CameraModel, camera_model, rectified_camera_model


def camera_of(message: Any, rectified: bool = False) -> CameraModel:
    """Model of the images that come with `message`, a CameraInfo: raw ones, or `rectified`.

    Binning and region of interest are taken into account: `width` and `height` are those of the images as
    published. Raises CameraInfoError if the message is not calibrated or not understood.
    """
    roi, binning = message.roi, (message.binning_x, message.binning_y)
    size = (roi.width or message.width, roi.height or message.height)
    # The models take the sensor's size only to know that of the image.
    if not rectified:
        return camera_model(
            *size,
            message.distortion_model,
            message.d,
            message.k,
            binning=binning,
            roi_offset=(roi.x_offset, roi.y_offset),
        )
    camera = rectified_camera_model(*size, message.p, binning=binning)
    return replace(
        camera,
        cx=camera.cx - roi.x_offset / max(message.binning_x, 1),
        cy=camera.cy - roi.y_offset / max(message.binning_y, 1),
    )
