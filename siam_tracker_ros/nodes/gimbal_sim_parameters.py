"""Parameters of the simulated gimbal, and the simulator that they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siam_tracker_ros.control.camera_model import CameraModel, camera_model
from siam_tracker_ros.control.frames import LineOfSight, PanTilt
from siam_tracker_ros.nodes.parameter_struct import parameter
from siam_tracker_ros.simulation.gimbal import GimbalConfig
from siam_tracker_ros.simulation.scene import drawn_panorama, read_panorama
from siam_tracker_ros.simulation.simulator import Occlusion, Simulator, SimulatorConfig
from siam_tracker_ros.simulation.target_path import PATH_NAMES, target_path

# Of occlusions that come again and again, so many are made.
_MOST_OCCLUSIONS = 200


@dataclass(frozen=True)
class GimbalSimParameters:
    """Everything the simulated gimbal can be told. Angles rad, times s, rates rad/s."""

    image_width: int = parameter(640, "Width of the image, px; a multiple of 8.", (64, 4096), read_only=True)
    image_height: int = parameter(
        480, "Height of the image, px; a multiple of 8.", (64, 4096), read_only=True
    )
    focal_length: float = parameter(600.0, "Focal length, px.", (50.0, 20000.0), read_only=True)
    distortion_model: str = parameter(
        "plumb_bob",
        "Lens model: plumb_bob takes k1, k2, p1, p2, k3; equidistant, a fisheye's, k1 to k4.",
        choices=("plumb_bob", "equidistant"),
        read_only=True,
    )
    k1: float = parameter(-0.2, "Radial distortion.", (-10.0, 10.0), read_only=True)
    k2: float = parameter(0.05, "Radial distortion.", (-10.0, 10.0), read_only=True)
    k3: float = parameter(0.0, "Radial distortion.", (-10.0, 10.0), read_only=True)
    k4: float = parameter(0.0, "Radial distortion, of equidistant alone.", (-10.0, 10.0), read_only=True)
    p1: float = parameter(0.001, "Tangential distortion, of plumb_bob alone.", (-1.0, 1.0), read_only=True)
    p2: float = parameter(-0.001, "Tangential distortion, of plumb_bob alone.", (-1.0, 1.0), read_only=True)
    frame_rate: float = parameter(30.0, "Images per second.", (0.5, 500.0), read_only=True)
    latency: float = parameter(
        0.08, "From the middle of an exposure to the arrival of its image, s.", (0.0, 2.0), read_only=True
    )
    jitter: float = parameter(
        0.0, "By how much the latency varies to either side, evenly, s.", (0.0, 2.0), read_only=True
    )
    exposure: float = parameter(0.008, "Time over which motion blurs, s.", (0.0, 0.2), read_only=True)
    noise: float = parameter(
        2.0, "Standard deviation of a pixel's value, of 0 to 255.", (0.0, 100.0), read_only=True
    )

    actuator_lag: float = parameter(
        0.05,
        "Time constant with which a joint takes up a rate, or a position, s.",
        (0.0, 2.0),
        read_only=True,
    )
    rate_limit: float = parameter(2.0, "Largest rate of a joint, rad/s.", (0.01, 50.0), read_only=True)
    acceleration_limit: float = parameter(
        20.0, "Largest change of a joint's rate, rad/s^2.", (0.1, 5000.0), read_only=True
    )
    pan_lower: float = parameter(
        -2.96, "Stop of the pan joint to the right, rad.", (-12.6, 12.6), read_only=True
    )
    pan_upper: float = parameter(
        2.96, "Stop of the pan joint to the left, rad.", (-12.6, 12.6), read_only=True
    )
    tilt_lower: float = parameter(-0.78, "Stop of the tilt joint upwards, rad.", (-3.2, 3.2), read_only=True)
    tilt_upper: float = parameter(1.57, "Stop of the tilt joint downwards, rad.", (-3.2, 3.2), read_only=True)
    backlash: float = parameter(
        0.0,
        "Play between the motors, whose angles joint_states has, and the camera, rad.",
        (0.0, 0.5),
        read_only=True,
    )
    command_timeout: float = parameter(
        0.5,
        "How long a rate command holds; then the joints are told to stand, s.",
        (0.01, 10.0),
        read_only=True,
    )
    start_pan: float = parameter(0.0, "Pan joint at the start, rad.", (-12.6, 12.6), read_only=True)
    start_tilt: float = parameter(0.0, "Tilt joint at the start, rad.", (-3.2, 3.2), read_only=True)
    joint_rate: float = parameter(
        100.0, "joint_states, and steps of simulated time, per second.", (5.0, 2000.0), read_only=True
    )

    scene: str = parameter(
        "",
        "Picture file of the surroundings: a panorama twice as wide as high, or any other. Empty: drawn.",
        read_only=True,
    )
    path: str = parameter("figure_of_eight", "Where the target goes.", choices=PATH_NAMES, read_only=True)
    path_rate: float = parameter(0.35, "Largest rate of the target, rad/s.", (0.001, 10.0), read_only=True)
    path_extent: float = parameter(
        0.4, "How far the target goes to either side, rad.", (0.001, 3.1), read_only=True
    )
    path_azimuth: float = parameter(
        0.0, "Middle of the path, rad to the left.", (-3.15, 3.15), read_only=True
    )
    path_elevation: float = parameter(0.07, "Middle of the path, rad upwards.", (-1.5, 1.5), read_only=True)
    path_ramp: float = parameter(
        1.0, "How long the target takes to its speed, s.", (0.01, 60.0), read_only=True
    )
    start: str = parameter(
        "at_once",
        "When the target sets out: at_once, or on_request by ~/start.",
        choices=("at_once", "on_request"),
        read_only=True,
    )
    target_width: float = parameter(0.157, "Width of the target, rad.", (0.005, 1.0), read_only=True)
    target_height: float = parameter(0.087, "Height of the target, rad.", (0.005, 1.0), read_only=True)
    occlusion_start: float = parameter(
        8.0, "When the target is first hidden, s after it set out.", (0.0, 86400.0), read_only=True
    )
    occlusion_duration: float = parameter(
        0.0, "How long all of the target is hidden then, s. 0: never.", (0.0, 5.0), read_only=True
    )
    occlusion_period: float = parameter(
        0.0, "After how long it is hidden again, s. 0: once only.", (0.0, 86400.0), read_only=True
    )
    target_id: str = parameter("target", "Name of the target in truth/tracks.", read_only=True)
    lost_after: float = parameter(
        3.0,
        "How long the target may be out of sight until truth/tracks say LOST, s.",
        (0.05, 600.0),
        read_only=True,
    )
    seed: int = parameter(
        0, "Seed of the scene, the evasive path, noise and jitter.", (0, 2**31 - 1), read_only=True
    )

    clock: str = parameter(
        "wall",
        "wall: the node's clock. step: the node makes the time itself and publishes it on /clock, where the "
        "others take it from (use_sim_time).",
        choices=("wall", "step"),
        read_only=True,
    )
    pace: float = parameter(
        1.0,
        "With clock step: simulated seconds per second at most. 0: as many as it can, once commands come.",
        (0.0, 1000.0),
        read_only=True,
    )
    wait_for_tracks: bool = parameter(
        True, "With clock step: whether time stands until an image has its tracks.", read_only=True
    )
    command_rate: float = parameter(
        50.0,
        "With clock step: commands per simulated second that time stands for, Hz; the controller's rate. 0: "
        "it does not.",
        (0.0, 1000.0),
        read_only=True,
    )
    answer_timeout: float = parameter(
        2.0,
        "With clock step: how long time stands for an answer, s of the wall clock. After it time runs on at "
        "pace 1 until answers come again.",
        (0.05, 600.0),
        read_only=True,
    )
    base_frame: str = parameter(
        "gimbal_base", "Frame that the gimbal stands on: x forward, y left, z up.", read_only=True
    )
    optical_frame: str = parameter(
        "camera_optical_frame", "Frame of the images: x right, y down, z forward.", read_only=True
    )
    pan_joint: str = parameter("pan_joint", "Name of the joint that turns about z.", read_only=True)
    tilt_joint: str = parameter("tilt_joint", "Name of the joint that turns about y.", read_only=True)


def camera_of_parameters(given: GimbalSimParameters) -> CameraModel:
    """The simulated camera, its principal point in the middle of the image."""
    width, height, focal = given.image_width, given.image_height, given.focal_length
    k = (focal, 0.0, (width - 1) / 2, 0.0, focal, (height - 1) / 2, 0.0, 0.0, 1.0)
    return camera_model(width, height, given.distortion_model, distortion_of(given), k)


def distortion_of(given: GimbalSimParameters) -> tuple[float, ...]:
    """The coefficients `d` of CameraInfo in the model's order."""
    if given.distortion_model == "equidistant":
        return (given.k1, given.k2, given.k3, given.k4)
    return (given.k1, given.k2, given.p1, given.p2, given.k3)


def simulator_of(given: GimbalSimParameters) -> Simulator:
    """The simulator. Raises SiamTrackerError for a picture that cannot be read or values that do not fit."""
    config = SimulatorConfig(
        gimbal=GimbalConfig(
            lag_s=given.actuator_lag,
            rate_limit=given.rate_limit,
            acceleration_limit=given.acceleration_limit,
            pan_stops=(given.pan_lower, given.pan_upper),
            tilt_stops=(given.tilt_lower, given.tilt_upper),
            backlash=given.backlash,
        ),
        frame_rate=given.frame_rate,
        latency_s=given.latency,
        jitter_s=given.jitter,
        exposure_s=given.exposure,
        noise=given.noise,
        target_width=given.target_width,
        target_height=given.target_height,
        occlusions=_occlusions(given),
        command_timeout_s=given.command_timeout,
        ramp_s=given.path_ramp,
        lost_after_s=given.lost_after,
        start_joints=PanTilt(given.start_pan, given.start_tilt),
        seed=given.seed,
    )
    center = LineOfSight(given.path_azimuth, given.path_elevation)
    path = target_path(given.path, given.path_rate, given.path_extent, center, given.seed)
    panorama = read_panorama(Path(given.scene).expanduser()) if given.scene else drawn_panorama(given.seed)
    return Simulator(camera_of_parameters(given), panorama, path, config)


def _occlusions(given: GimbalSimParameters) -> tuple[Occlusion, ...]:
    if not given.occlusion_duration:
        return ()
    count = _MOST_OCCLUSIONS if given.occlusion_period else 1
    starts = [given.occlusion_start + number * given.occlusion_period for number in range(count)]
    return tuple(Occlusion(start, given.occlusion_duration) for start in starts)
