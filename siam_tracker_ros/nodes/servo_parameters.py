"""Parameters of the servo node, and the servo's settings that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from siam_tracker_ros.control.aim_point import MaskTrust
from siam_tracker_ros.control.errors import LimitError
from siam_tracker_ros.control.limits import AxisLimits, SlewLimits
from siam_tracker_ros.control.servo_config import Law, ServoConfig
from siam_tracker_ros.control.servo_law import AntiWindup, ServoGains
from siam_tracker_ros.control.supervisor import SupervisorConfig
from siam_tracker_ros.control.target_filter import TargetFilterConfig
from siam_tracker_ros.control.vehicle_follow import FollowConfig
from siam_tracker_ros.nodes.parameter_struct import parameter

_SUBSCRIBED = "the subscriptions are made with it on activate"
_OPENED = "the outputs are opened with it on configure"
_TIMED = "the loop's timer is made with it on activate"


@dataclass(frozen=True)
class ServoParameters:
    """Everything the servo node can be told.

    Angles rad, times s, lengths m. Azimuth is positive to the left, elevation upwards.
    """

    target_id: str = parameter(
        "", "Which track to follow. Empty: the first, and that one as long as it is there."
    )
    attitude_source: str = parameter(
        "joint_states",
        "Where the camera's attitude comes from: joint_states (sensor_msgs/JointState), quaternion "
        "(geometry_msgs/QuaternionStamped on the topic attitude, base from camera body), mavlink (the "
        "gimbal's own GIMBAL_DEVICE_ATTITUDE_STATUS, with gimbal_output mavlink), or fixed: a camera without "
        "gimbal, for following with the vehicle alone.",
        choices=("joint_states", "quaternion", "mavlink", "fixed"),
        fixed_because=_SUBSCRIBED,
    )
    pan_joint: str = parameter("pan_joint", "Name of the joint that turns about z, positive to the left.")
    tilt_joint: str = parameter("tilt_joint", "Name of the joint that turns about y, positive down.")
    fixed_elevation: float = parameter(
        0.0, "Where a fixed camera looks, rad upwards from the base's x axis.", range=(-1.6, 1.6)
    )
    base_frame: str = parameter(
        "gimbal_base",
        "Frame that the gimbal is mounted on: x forward, y left, z up. Commands carry it, attitudes have to.",
        fixed_because=_OPENED,
    )
    vehicle_frame: str = parameter(
        "base_link", "Frame of the vehicle's speeds, x forward, y left, z up.", fixed_because=_OPENED
    )
    use_odometry: bool = parameter(
        False,
        "Whether the topic odom tells how the base itself turns, so that the gimbal turns against it at "
        "once. Not for gimbals that keep their direction in the world by themselves. The axes of base_frame "
        "have to be those of vehicle_frame.",
        fixed_because=_SUBSCRIBED,
    )
    image_rectified: bool = parameter(
        False,
        "Whether the tracker's images are rectified ones: then P of camera_info holds, without distortion.",
        fixed_because="camera_info is read on configure",
    )
    camera_info_timeout: float = parameter(
        10.0, "How long configure waits for camera_info before it fails, s.", range=(0.1, 120.0)
    )

    gimbal_output: str = parameter(
        "rate",
        "What moves the gimbal: rate (geometry_msgs/TwistStamped on cmd_rate), joint_state "
        "(sensor_msgs/JointState positions on cmd_position), joint_trajectory "
        "(trajectory_msgs/JointTrajectory on cmd_trajectory), mavlink (a gimbal manager at mavlink_url), "
        "mavros (mavros_msgs/GimbalManagerSetPitchyaw on gimbal_control/manager/set_pitchyaw), px4 "
        "(px4_msgs/VehicleCommand on fmu/in/vehicle_command) or none.",
        choices=("rate", "joint_state", "joint_trajectory", "mavlink", "mavros", "px4", "none"),
        fixed_because=_OPENED,
    )
    vehicle_output: str = parameter(
        "none",
        "Whether the vehicle follows too: none, twist (geometry_msgs/TwistStamped on cmd_vel), mavros "
        "(mavros_msgs/PositionTarget on setpoint_raw/local) or px4 (px4_msgs/TrajectorySetpoint on "
        "fmu/in/trajectory_setpoint).",
        choices=("none", "twist", "mavros", "px4"),
        fixed_because=_OPENED,
    )
    mavlink_url: str = parameter(
        "udpout:127.0.0.1:14550",
        "Where the gimbal manager is, as pymavlink has it: udpout:HOST:PORT, udpin:HOST:PORT, or a serial "
        "port.",
        fixed_because=_OPENED,
    )
    mavlink_baud: int = parameter(
        57600, "Speed of a serial mavlink_url, baud.", range=(1200, 4_000_000), fixed_because=_OPENED
    )
    mavlink_message: str = parameter(
        "set_pitchyaw",
        "set_pitchyaw streams GIMBAL_MANAGER_SET_PITCHYAW; command sends "
        "MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW by COMMAND_LONG, for managers that know only that.",
        choices=("set_pitchyaw", "command"),
        fixed_because=_OPENED,
    )
    mavlink_setpoint: str = parameter(
        "rate",
        "Whether the MAVLink gimbal is given rates or angles.",
        choices=("rate", "angle"),
        fixed_because=_OPENED,
    )
    mavlink_system: int = parameter(
        1, "Our own MAVLink system: the vehicle's.", range=(1, 255), fixed_because=_OPENED
    )
    mavlink_component: int = parameter(
        191,
        "Our own MAVLink component; 191 is MAV_COMP_ID_ONBOARD_COMPUTER.",
        range=(1, 255),
        fixed_because=_OPENED,
    )
    mavlink_target_system: int = parameter(
        1, "MAVLink system of the gimbal manager.", range=(0, 255), fixed_because=_OPENED
    )
    mavlink_target_component: int = parameter(
        1,
        "MAVLink component of the gimbal manager; 1 is the autopilot.",
        range=(0, 255),
        fixed_because=_OPENED,
    )
    mavlink_gimbal_device: int = parameter(
        0, "Which gimbal device, 0: all.", range=(0, 255), fixed_because=_OPENED
    )
    mavlink_flags: int = parameter(
        44,
        "GIMBAL_MANAGER_FLAGS to send. 44: ROLL_LOCK, PITCH_LOCK and YAW_IN_VEHICLE_FRAME.",
        range=(0, 1023),
        fixed_because=_OPENED,
    )

    control_rate: float = parameter(
        50.0, "Control periods per second, Hz.", range=(5.0, 500.0), fixed_because=_TIMED
    )
    watchdog_timeout: float = parameter(
        0.1,
        "After how long a standstill of the loop the watchdog sends zero, s; at least two periods.",
        range=(0.01, 2.0),
        fixed_because=_TIMED,
    )
    simulated_watchdog_timeout: float = parameter(
        2.0,
        "The same under use_sim_time, s of the wall clock: a simulation may run slowly, or be paused.",
        range=(0.01, 600.0),
        fixed_because=_TIMED,
    )
    manual_timeout: float = parameter(
        0.3, "How long a rate given by hand holds, s; after it the servo takes over.", range=(0.02, 5.0)
    )
    diagnostics_period: float = parameter(1.0, "Time between diagnostics, s.", range=(0.1, 60.0))

    law: str = parameter(
        "line_of_sight",
        "line_of_sight turns the axes by the error in azimuth and elevation; image_based draws the target "
        "along a straight line in the image.",
        choices=("line_of_sight", "image_based"),
    )
    proportional_gain: float = parameter(5.0, "Rate per error, 1/s.", range=(0.01, 50.0))
    integral_gain: float = parameter(0.5, "Growth of the rate per error, 1/s^2.", range=(0.0, 50.0))
    feed_forward: float = parameter(1.0, "Share of the target's own rate that is added.", range=(0.0, 1.5))
    deadband: float = parameter(0.001, "Error that is left alone, rad.", range=(0.0, 0.2))
    anti_windup: str = parameter(
        "conditional",
        "How the integral is kept from winding up at a limit.",
        choices=("conditional", "back_calculation"),
    )
    integral_limit: float = parameter(0.2, "Largest rate from the integral, rad/s.", range=(0.0, 2.0))
    actuator_lag: float = parameter(
        0.05, "Time constant with which the gimbal follows a rate, its delay added, s.", range=(0.0, 1.0)
    )
    stamp_offset: float = parameter(
        0.0, "By how much images are stamped later than they were exposed, s.", range=(-1.0, 1.0)
    )

    azimuth_rate: float = parameter(1.0, "Largest rate of azimuth, rad/s.", range=(0.01, 20.0))
    azimuth_acceleration: float = parameter(
        4.0, "Largest change of the rate of azimuth, rad/s^2.", range=(0.01, 200.0)
    )
    azimuth_endless: bool = parameter(False, "Whether the pan joint turns endlessly: it has no stops then.")
    azimuth_lower: float = parameter(-2.79, "Stop to the right, rad.", range=(-12.6, 12.6))
    azimuth_upper: float = parameter(2.79, "Stop to the left, rad.", range=(-12.6, 12.6))
    elevation_rate: float = parameter(1.0, "Largest rate of elevation, rad/s.", range=(0.01, 20.0))
    elevation_acceleration: float = parameter(
        4.0, "Largest change of the rate of elevation, rad/s^2.", range=(0.01, 200.0)
    )
    elevation_lower: float = parameter(-1.4, "Stop at the bottom, rad.", range=(-3.2, 3.2))
    elevation_upper: float = parameter(0.52, "Stop at the top, rad.", range=(-3.2, 3.2))
    setpoint_lead: float = parameter(
        0.2, "How far a commanded position may run ahead of the joints, rad.", range=(0.001, 3.2)
    )

    track_timeout: float = parameter(
        0.5,
        "How old a track may be, from the exposure of its image on, s: the latency of camera and tracker "
        "has to fit in.",
        range=(0.02, 5.0),
    )
    attitude_timeout: float = parameter(0.2, "How old an attitude may be, s.", range=(0.01, 2.0))
    coast_full: float = parameter(
        0.7, "How long an unseen target is followed at full rate, s.", range=(0.01, 10.0)
    )
    coast: float = parameter(
        2.0, "After how long the rate for an unseen target has decayed to zero, s.", range=(0.02, 30.0)
    )

    target_acceleration: float = parameter(
        0.05,
        "Spectral density of the target's angular acceleration, rad^2/s^3: more follows turns sooner, less "
        "is calmer.",
        range=(1e-6, 100.0),
    )
    sigma_confident: float = parameter(
        0.003, "Standard deviation of a bearing measured at confidence 1, rad.", range=(1e-5, 0.5)
    )
    sigma_doubtful: float = parameter(
        0.03, "Standard deviation of a bearing measured at confidence 0, rad.", range=(1e-5, 1.0)
    )
    gate: float = parameter(
        13.8, "Squared Mahalanobis distance above which a bearing is refused.", range=(1.0, 1000.0)
    )
    mask_min_area: float = parameter(
        50.0, "Area from which on a mask's centroid is aimed at, px^2.", range=(1.0, 1e6)
    )

    follow_yaw_gain: float = parameter(1.0, "Yaw rate of the vehicle per azimuth, 1/s.", range=(0.01, 10.0))
    follow_forward_gain: float = parameter(
        1.5,
        "Speed of the vehicle per logarithm of the distance over the wanted one, m/s.",
        range=(0.0, 20.0),
    )
    follow_climb_gain: float = parameter(
        0.0, "Climb of the vehicle per elevation, m/s per rad. 0: it keeps its height.", range=(0.0, 10.0)
    )
    follow_yaw_rate: float = parameter(0.6, "Largest yaw rate of the vehicle, rad/s.", range=(0.01, 5.0))
    follow_yaw_acceleration: float = parameter(
        1.0, "Largest change of the vehicle's yaw rate, rad/s^2.", range=(0.01, 20.0)
    )
    follow_speed: float = parameter(
        1.0, "Largest speed of the vehicle, forward and back, m/s.", range=(0.01, 20.0)
    )
    follow_acceleration: float = parameter(
        0.5, "Largest change of the vehicle's speed, m/s^2.", range=(0.01, 10.0)
    )
    follow_climb_speed: float = parameter(
        0.5, "Largest climb and descent of the vehicle, m/s.", range=(0.01, 5.0)
    )
    follow_climb_acceleration: float = parameter(
        0.5, "Largest change of the vehicle's climb, m/s^2.", range=(0.01, 10.0)
    )
    follow_range: float = parameter(
        0.0,
        "Distance to keep where the topic range measures it, m. 0: that when it was first measured armed.",
        range=(0.0, 1000.0),
    )
    follow_min_range: float = parameter(
        3.0, "Nearer than this it never drives forward, m, where a range is measured.", range=(0.1, 1000.0)
    )
    follow_min_ratio: float = parameter(
        0.7,
        "Nearer than this share of the wanted distance it never drives forward.",
        range=(0.05, 1.0),
    )


def servo_config(given: ServoParameters) -> ServoConfig:
    """The servo's settings. Raises LimitError where parameters contradict each other."""
    if given.attitude_source == "fixed" and given.gimbal_output != "none":
        raise LimitError(
            "attitude_source fixed is for a camera without gimbal: gimbal_output must be none, "
            f"not {given.gimbal_output}"
        )
    if given.attitude_source == "mavlink" and given.gimbal_output != "mavlink":
        raise LimitError(
            f"attitude_source mavlink comes with gimbal_output mavlink, not with {given.gimbal_output}"
        )
    if given.watchdog_timeout * given.control_rate < 2:
        raise LimitError(
            f"watchdog_timeout ({given.watchdog_timeout} s) must be at least two control periods of "
            f"{1 / given.control_rate:g} s"
        )
    stops = (None, None) if given.azimuth_endless else (given.azimuth_lower, given.azimuth_upper)
    return ServoConfig(
        azimuth=AxisLimits(given.azimuth_rate, given.azimuth_acceleration, *stops),
        elevation=AxisLimits(
            given.elevation_rate, given.elevation_acceleration, given.elevation_lower, given.elevation_upper
        ),
        gains=ServoGains(
            proportional=given.proportional_gain,
            integral=given.integral_gain,
            feed_forward=given.feed_forward,
            deadband=given.deadband,
            anti_windup=cast(AntiWindup, given.anti_windup),
            integral_limit=given.integral_limit,
        ),
        target=TargetFilterConfig(
            acceleration_density=given.target_acceleration,
            sigma_confident=given.sigma_confident,
            sigma_doubtful=given.sigma_doubtful,
            gate=given.gate,
        ),
        supervisor=SupervisorConfig(
            track_timeout_s=given.track_timeout,
            attitude_timeout_s=given.attitude_timeout,
            coast_full_s=given.coast_full,
            coast_s=given.coast,
        ),
        mask=MaskTrust(min_area_px=given.mask_min_area),
        law=cast(Law, given.law),
        actuator_lag_s=given.actuator_lag,
        stamp_offset_s=given.stamp_offset,
        max_setpoint_lead=given.setpoint_lead,
        follow=None if given.vehicle_output == "none" else _follow_config(given),
        wanted_range_m=given.follow_range or None,
    )


def _follow_config(given: ServoParameters) -> FollowConfig:
    return FollowConfig(
        yaw_gain=given.follow_yaw_gain,
        forward_gain=given.follow_forward_gain,
        climb_gain=given.follow_climb_gain,
        yaw=SlewLimits(given.follow_yaw_rate, given.follow_yaw_acceleration),
        forward=SlewLimits(given.follow_speed, given.follow_acceleration),
        climb=SlewLimits(given.follow_climb_speed, given.follow_climb_acceleration),
        min_range_m=given.follow_min_range,
        min_ratio=given.follow_min_ratio,
    )
