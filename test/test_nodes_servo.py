"""The servo node on a DDS graph: a process of its own, between a tracker, a camera and a gimbal."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="NOT TESTED: no ROS 2 here")
pytest.importorskip("siam_tracker_msgs.msg", reason="NOT TESTED: the interfaces are not built")

from geometry_msgs.msg import QuaternionStamped, TwistStamped
from gimbal_manager import GimbalManager
from graph_process import DEADLINE_S
from graph_servo import (
    FOCAL,
    FRAME,
    HEIGHT,
    NODE,
    WIDTH,
    ServoGraph,
    camera_info,
    moving,
    servo_process,
)
from graph_tracker import HEIGHT as SCENE_HEIGHT
from graph_tracker import NODE as TRACKER
from graph_tracker import WIDTH as SCENE_WIDTH
from graph_tracker import box_in_scene, image_message, scene, tracker_process
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, Range

from siam_tracker_msgs.msg import ServoState, Track
from siam_tracker_msgs.srv import InitTarget
from siam_tracker_ros.nodes.parameter_struct import described
from siam_tracker_ros.nodes.servo_parameters import ServoParameters

PARAMETERS = {one.name: one.default for one in described(ServoParameters)}
SLOW_HZ = 10.0
README = Path(__file__).resolve().parent.parent / "README.md"


@pytest.fixture(scope="module")
def shared_graph(module_ros_domain: int) -> Iterator[ServoGraph]:
    """One node process for all tests that leave it alive."""
    with servo_process() as process:
        graph = ServoGraph(process=process)
        yield graph
        graph.close()


@pytest.fixture
def graph(shared_graph: ServoGraph) -> ServoGraph:
    """The node unconfigured, with default parameters, and all well around it."""
    shared_graph.calm()
    for state, transition in (("active", "deactivate"), ("inactive", "cleanup")):
        if shared_graph.state() == state:
            assert shared_graph.change_state(transition)
    for name in shared_graph.changed:
        assert shared_graph.set_parameter(name, PARAMETERS[name]) == ""
    shared_graph.changed.clear()
    return shared_graph


# Lifecycle, arming, signs


def test_every_transition_there_and_back(graph: ServoGraph) -> None:
    assert not graph.change_state("activate")
    for transition, state in (
        ("configure", "inactive"),
        ("activate", "active"),
        ("deactivate", "inactive"),
        ("activate", "active"),
        ("deactivate", "inactive"),
        ("cleanup", "unconfigured"),
    ):
        assert graph.change_state(transition)
        assert graph.state() == state
    assert graph.node.count_publishers("cmd_rate") == 0


def test_no_camera_info_no_configure(graph: ServoGraph) -> None:
    graph.info = None
    assert graph.set_parameter("camera_info_timeout", 0.5) == ""
    assert not graph.change_state("configure")
    assert graph.state() == "unconfigured"
    level, _ = graph.diagnosis("configure failed: nothing came on /camera_info for 0.5 s")
    assert level == b"\x02"
    assert graph.node.count_publishers("cmd_rate") == 0


def test_an_uncalibrated_camera_is_refused(graph: ServoGraph) -> None:
    graph.info.k[0] = 0.0
    assert not graph.change_state("configure")
    graph.diagnosis("focal lengths k[0] = 0")


def test_zero_until_armed_then_towards_the_target(graph: ServoGraph) -> None:
    assert not graph.arm().success  # not active
    graph.activate()
    graph.stands()
    assert graph.reaches(ServoState.DISARMED).target_id == "1"
    assert graph.arm().success
    turn = graph.moves().twist.angular
    # The target is to the right and above: REP-103 joints turn left and down.
    assert turn.z < 0
    assert turn.y < 0
    assert turn.x == 0
    state = graph.reaches(ServoState.ARMED)
    right, up = math.atan(100 / FOCAL), math.atan(40 / FOCAL)
    assert state.target_azimuth == pytest.approx(-right, abs=0.01)
    assert state.target_elevation == pytest.approx(up, abs=0.01)
    assert state.error == pytest.approx(math.hypot(right, up), abs=0.01)
    assert state.header.frame_id == "gimbal_base"
    assert graph.arm(False).success
    graph.stands()


def test_deactivated_it_is_disarmed(graph: ServoGraph) -> None:
    graph.follow()
    assert graph.change_state("deactivate")
    assert graph.change_state("activate")
    graph.stands()
    graph.reaches(ServoState.DISARMED)


# Safety


def changed(what: Callable[[Track], None]) -> Callable[[ServoGraph], int]:
    """Report the track, changed by `what`, from now on; when, ns."""

    def apply(graph: ServoGraph) -> int:
        what(graph.track)
        return graph.report(graph.track)

    return apply


def set_on(path: str, value: object) -> Callable[[Track], None]:
    *parents, name = path.split(".")

    def apply(track: Track) -> None:
        owner = track
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, value)

    return apply


def gone(graph: ServoGraph) -> int:
    graph.track = None
    return graph.report()


def in_another_frame(graph: ServoGraph) -> int:
    graph.track_frame = "other_camera"
    return graph.report(graph.track)


def of_another_size(graph: ServoGraph) -> int:
    graph.track_size = (WIDTH // 2, HEIGHT // 2)
    return graph.report(graph.track)


def joints_not_finite(graph: ServoGraph) -> int:
    graph.joints = {"pan_joint": math.nan, "tilt_joint": 0.0}
    return graph.now_ns()


@pytest.mark.parametrize(
    ("event", "state", "words"),
    [
        (changed(set_on("state", Track.LOST)), ServoState.HOLDING, "LOST"),
        (gone, ServoState.HOLDING, "no track"),
        (changed(set_on("bbox.center_x", math.nan)), ServoState.FAULT, "not finite"),
        (changed(set_on("bbox.size_y", math.inf)), ServoState.FAULT, "not finite"),
        (changed(set_on("confidence", math.nan)), ServoState.FAULT, "not finite"),
        (changed(set_on("state", 17)), ServoState.FAULT, "17"),
        (joints_not_finite, ServoState.FAULT, "finite"),
        (in_another_frame, ServoState.FAULT, "'other_camera'"),
        (of_another_size, ServoState.FAULT, "320 x 240"),
    ],
    ids=["lost", "gone", "nan", "inf", "nan-confidence", "no-such-state", "nan-joint", "frame", "size"],
)
def test_zero_within_a_control_period(
    graph: ServoGraph, event: Callable[[ServoGraph], int], state: int, words: str
) -> None:
    graph.set("watchdog_timeout", 2.0)
    graph.set("control_rate", SLOW_HZ)
    graph.follow()
    happened_ns = event(graph)
    graph.stands(5)
    # A period for the loop, and one for the message's way.
    late_ns = happened_ns + 2e9 / SLOW_HZ
    assert not [c for c in graph.commands if moving(c) and stamp_ns(c.header) > late_ns]
    assert words in graph.reaches(state).reason
    if state == ServoState.FAULT:
        refused = graph.arm()
        assert not refused.success
        assert words in refused.message
        graph.calm()
        graph.stands(4)  # well again, and still zero
        assert graph.arm(False).success
        assert graph.arm().success
    graph.calm()
    graph.moves()


def test_zero_on_a_stale_track(graph: ServoGraph) -> None:
    graph.set("track_timeout", 0.3)
    graph.follow()
    graph.states.clear()
    graph.track = None
    graph.stands()
    assert_zero_beyond(graph.states, "track_age", 0.3)
    assert "track is" in graph.reaches(ServoState.HOLDING).reason
    graph.calm()
    graph.moves()


def test_zero_on_a_stale_attitude(graph: ServoGraph) -> None:
    graph.follow()
    graph.joints = None
    graph.stands()
    assert "attitude is" in graph.reaches(ServoState.HOLDING).reason
    graph.calm()
    graph.moves()


def test_an_attitude_without_stamps_is_a_stale_one(graph: ServoGraph) -> None:
    graph.joints_are_stamped = False
    graph.activate()
    assert graph.arm().success
    graph.reaches(ServoState.HOLDING, "the attitude is")
    graph.stands()


def assert_zero_beyond(states: list[ServoState], age: str, limit: float) -> None:
    """Period by period: a rate goes out up to the limit, none beyond it."""
    old = [state for state in states if getattr(state, age) > limit]
    young = [state for state in states if getattr(state, age) <= limit and state.state == ServoState.ARMED]
    assert old
    assert young
    assert not any(state.azimuth_rate or state.elevation_rate for state in old)
    assert all(state.azimuth_rate for state in young)


def test_a_coasting_track_decays_to_zero(graph: ServoGraph) -> None:
    graph.set("coast_full", 0.2)
    graph.set("coast", 1.0)
    graph.follow()
    graph.states.clear()
    graph.track.state = Track.COASTING
    graph.stands()
    rates = [abs(s.azimuth_rate) for s in graph.states if s.state == ServoState.COASTING]
    assert 0 < rates[-1] < rates[0] / 2
    assert "not seen for" in graph.reaches(ServoState.HOLDING).reason


def test_zero_when_the_tracker_is_killed(graph: ServoGraph) -> None:
    """The real tracker, in images of a square that stays where it is."""
    graph.track = None
    graph.info = camera_info()
    graph.info.width, graph.info.height = SCENE_WIDTH, SCENE_HEIGHT
    graph.info.k[2], graph.info.k[5] = 20.0, 20.0  # the square is not in the middle
    camera = graph.node.create_publisher(Image, "image", qos_profile_sensor_data)

    def film(_: float) -> None:
        camera.publish(image_message(scene(0), graph.now_ns(), FRAME))

    graph.before_tick = film
    graph.set("track_timeout", 5.0)
    with tracker_process() as tracker:
        for name in ("configure", "activate"):
            transition = Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
            assert graph.ask(ChangeState, f"{TRACKER}/change_state", transition=transition).success
        graph.activate()
        assert graph.arm().success
        assert graph.ask(InitTarget, "init_target", bbox=box_in_scene(0)).success
        graph.moves()
        os.killpg(tracker.pid, signal.SIGKILL)
        tracker.wait(DEADLINE_S)
        graph.states.clear()
        graph.stands()
        assert_zero_beyond(graph.states, "track_age", 5.0)
    graph.node.destroy_publisher(camera)


def test_a_new_generation_starts_over(graph: ServoGraph) -> None:
    graph.set("azimuth_acceleration", 1.0)
    graph.follow()
    graph.wait(lambda: abs(graph.states[-1].azimuth_rate) > 0.4, "full rate")
    graph.track.generation = 2
    graph.wait(lambda: graph.states and graph.states[-1].generation == 2, "the new generation")
    before = [state for state in graph.states if state.generation == 1]
    (first, *_) = [state for state in graph.states if state.generation == 2]
    assert before
    assert abs(before[-1].azimuth_rate) > 0.4
    assert abs(first.azimuth_rate) <= 1.0 * 0.1  # from zero: the acceleration over the longest step


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("azimuth_rate", math.inf, "azimuth_rate out of range"),
        ("azimuth_rate", -1.0, "azimuth_rate out of range"),
        ("elevation_acceleration", math.nan, "elevation_acceleration out of range"),
        ("track_timeout", math.inf, "track_timeout out of range"),
        ("follow_speed", -0.5, "follow_speed out of range"),
        ("azimuth_lower", 3.0, "lower below upper"),
        ("coast", 0.5, "coast_s (0.5) must be above coast_full_s (0.7)"),
        ("watchdog_timeout", 0.03, "at least two control periods"),
        ("attitude_source", "fixed", "gimbal_output must be none"),
        ("law", "magic", "law is one of line_of_sight, image_based"),
    ],
)
def test_what_is_not_safe_is_refused(graph: ServoGraph, name: str, value: object, words: str) -> None:
    assert words in graph.set_parameter(name, value)


def test_gains_change_while_it_follows_outputs_do_not(graph: ServoGraph) -> None:
    graph.set("elevation_rate", 5.0)
    graph.set("azimuth_rate", 5.0)
    graph.follow()
    before = graph.moves().twist.angular.z
    graph.set("proportional_gain", 1.0)
    graph.wait(lambda: abs(graph.commands[-1].twist.angular.z) < abs(before) / 2, "the lower gain's rate")
    assert "while unconfigured only" in graph.set_parameter("gimbal_output", "none")


# By hand


def by_hand(left: float = 0.0, down: float = 0.0, frame: str = "") -> TwistStamped:
    message = TwistStamped()
    message.header.frame_id = frame
    message.twist.angular.y, message.twist.angular.z = down, left
    return message


def test_a_rate_by_hand_wins_over_everything(graph: ServoGraph) -> None:
    graph.activate()
    graph.stands()
    graph.manual = by_hand(left=0.3, down=-0.2)
    for arm in (False, True):
        if arm:
            assert graph.arm().success
        graph.wait(
            lambda: (
                graph.commands[-1].twist.angular.z == pytest.approx(0.3)
                and graph.commands[-1].twist.angular.y == pytest.approx(-0.2)
            ),
            "the rates by hand",
        )
        assert graph.states[-1].manual
    graph.track_frame = "other"
    graph.reaches(ServoState.FAULT)
    graph.moves()  # by hand also then
    graph.manual = None
    graph.stands()
    assert not graph.states[-1].manual


def test_limits_hold_by_hand_too(graph: ServoGraph) -> None:
    graph.activate()
    graph.manual = by_hand(left=50.0)
    graph.wait(
        lambda: graph.commands and graph.commands[-1].twist.angular.z == pytest.approx(1.0), "the limit"
    )
    assert max(command.twist.angular.z for command in graph.commands) <= 1.0


@pytest.mark.parametrize("manual", [by_hand(left=math.nan), by_hand(left=0.2, frame="elsewhere")])
def test_nonsense_by_hand_stops(graph: ServoGraph, manual: TwistStamped) -> None:
    graph.follow()
    graph.manual = manual
    graph.reaches(ServoState.FAULT)
    graph.stands()


# What it is given


def test_an_attitude_as_a_quaternion(graph: ServoGraph) -> None:
    graph.set("attitude_source", "quaternion")
    graph.joints = None
    graph.quaternion = QuaternionStamped()
    graph.quaternion.header.frame_id = "gimbal_base"
    # Looking 90 degrees to the left: a quarter turn about z.
    graph.quaternion.quaternion.w = graph.quaternion.quaternion.z = math.sqrt(0.5)
    graph.follow()
    state = graph.reaches(ServoState.ARMED)
    assert state.target_azimuth == pytest.approx(math.pi / 2 - math.atan(100 / FOCAL), abs=0.01)
    graph.quaternion.header.frame_id = "map"
    graph.reaches(ServoState.FAULT, "attitude is in frame 'map'")
    graph.stands()


def test_the_attitude_is_that_of_the_image(graph: ServoGraph) -> None:
    """The target stands still while the camera sways; images are told of 120 ms later."""

    def sway(t: float) -> None:
        pan = 0.25 * math.sin(4 * t)
        graph.joints = {"pan_joint": pan, "tilt_joint": 0.0, "wheel": 3.0}
        graph.track.bbox.center_x = WIDTH / 2 + FOCAL * math.tan(pan)
        graph.track.bbox.center_y = HEIGHT / 2

    graph.before_tick = sway
    graph.track_latency_s = 0.12
    graph.activate()
    graph.wait(lambda: graph.states and graph.states[-1].has_target, "a target")
    graph.states.clear()
    graph.wait(lambda: len(graph.states) > 100, "a second or two of swaying")
    # With the newest attitude in place of the image's it would be up to 0.12 s * 1 rad/s off.
    assert max(abs(state.target_azimuth) for state in graph.states) < 0.03


def test_odometry_tells_how_the_base_turns(graph: ServoGraph) -> None:
    """The base sways under a camera that does not turn; the target stands still in the world."""
    graph.set("use_odometry", True)
    # What is left of the law is the feed-forward.
    graph.set("proportional_gain", 0.01)
    graph.set("integral_gain", 0.0)
    graph.odometry = Odometry(child_frame_id="base_link")
    graph.track.bbox.center_y = HEIGHT / 2

    def sway(t: float) -> None:
        graph.track.bbox.center_x = WIDTH / 2 + FOCAL * math.tan(0.1 * math.sin(5 * t))  # base to the left
        graph.odometry.twist.twist.angular.z = 0.5 * math.cos(5 * t)

    graph.before_tick = sway
    graph.follow_still()
    graph.states.clear()
    graph.wait(lambda: len(graph.states) > 150, "some swaying")
    off = [
        abs(state.azimuth_rate + 0.5 * math.cos(5 * stamp_ns(state.header) * 1e-9)) for state in graph.states
    ]
    # Told by the images alone, it comes late and is off by 0.16 rad/s.
    assert sum(off) / len(off) < 0.08
    graph.odometry.child_frame_id = "imu"
    graph.reaches(ServoState.FAULT, "odom is of 'imu'")
    graph.stands()


def test_which_target(graph: ServoGraph) -> None:
    other = Track(id="2", generation=7, state=Track.TRACKING, confidence=0.9)
    other.bbox.center_x, other.bbox.center_y = 200.0, HEIGHT / 2
    other.bbox.size_x = other.bbox.size_y = 30.0
    graph.more_tracks = [other]
    graph.follow()
    assert graph.states[-1].target_id == "1"
    graph.set("target_id", "2")
    graph.wait(lambda: graph.commands[-1].twist.angular.z > 0.1, "a turn to the left")
    assert (graph.states[-1].target_id, graph.states[-1].generation) == ("2", 7)
    graph.set("target_id", "3")
    graph.stands()


def test_a_camera_that_zooms_and_one_that_is_exchanged(graph: ServoGraph) -> None:
    graph.follow()
    graph.info = camera_info()
    graph.info.k[0] = graph.info.k[4] = 2 * FOCAL
    graph.wait(
        lambda: graph.states[-1].target_azimuth == pytest.approx(-math.atan(50 / FOCAL), abs=0.005),
        "the bearing in the zoomed image",
    )
    graph.info.header.frame_id = "another_camera"
    graph.reaches(ServoState.FAULT, "changed its frame")
    graph.stands()


# What it gives


def test_positions_as_joint_states(graph: ServoGraph) -> None:
    graph.set("gimbal_output", "joint_state")
    graph.joints = {"pan_joint": 0.4, "tilt_joint": 0.1}
    graph.activate()
    assert graph.arm().success
    # Of a gimbal that does not turn, the set-point stays within setpoint_lead.
    graph.wait(
        lambda: graph.positions and graph.positions[-1].position[0] == pytest.approx(0.4 - 0.2), "the lead"
    )
    message = graph.positions[-1]
    assert list(message.name) == ["pan_joint", "tilt_joint"]
    assert message.position[1] < 0.1  # up is negative
    assert graph.node.count_publishers("cmd_rate") == 0
    graph.track.state = Track.LOST
    graph.reaches(ServoState.HOLDING)
    graph.positions.clear()
    graph.wait(lambda: len(graph.positions) > 10, "positions, repeated")
    assert len({tuple(message.position) for message in graph.positions[-5:]}) == 1
    assert list(graph.positions[-1].velocity) == [0.0, 0.0]


def test_positions_as_trajectories(graph: ServoGraph) -> None:
    graph.set("gimbal_output", "joint_trajectory")
    graph.activate()
    assert graph.arm().success
    graph.wait(lambda: graph.trajectories and graph.trajectories[-1].points[0].positions[0] < -0.1, "a turn")
    message = graph.trajectories[-1]
    assert list(message.joint_names) == ["pan_joint", "tilt_joint"]
    (point,) = message.points
    assert point.time_from_start.nanosec == 20_000_000
    assert message.header.stamp.sec == 0  # at once


def test_a_mavlink_gimbal_is_turned_and_stopped(graph: ServoGraph) -> None:
    pytest.importorskip("pymavlink", reason="NOT TESTED: no pymavlink here")
    manager = GimbalManager("udpin:127.0.0.1:0")
    port = manager.link.port.getsockname()[1]
    graph.set("mavlink_url", f"udpout:127.0.0.1:{port}")
    graph.set("gimbal_output", "mavlink")
    graph.set("attitude_source", "mavlink")
    graph.joints = None

    def tell_attitude(t: float) -> None:
        if manager.newest("HEARTBEAT"):
            manager.tell_attitude(round(t * 1e3) % 1_000_000_000, 0.0, 0.0, flags=44)

    graph.before_tick = tell_attitude
    graph.activate()
    assert graph.arm().success

    def newest() -> Any:
        manager.listen()
        return manager.newest("GIMBAL_MANAGER_SET_PITCHYAW")

    # The target is to the right and above: MAVLink's yaw and pitch are both positive.
    graph.wait(lambda: newest() and newest().yaw_rate > 0.1 and newest().pitch_rate > 0.05, "a turn")
    assert manager.primary == (1, 191)
    graph.track.state = Track.LOST
    graph.reaches(ServoState.HOLDING)
    manager.received.clear()
    graph.wait(lambda: newest() and len(manager.received) > 10, "set-points, repeated")
    assert (newest().yaw_rate, newest().pitch_rate) == (0.0, 0.0)
    assert graph.change_state("deactivate")
    graph.wait(lambda: newest() and manager.primary == (0, 0), "control given back")
    manager.link.close()


def test_readme_names_every_topic_and_service(graph: ServoGraph) -> None:
    section = README.read_text(encoding="utf-8").split("## The servo node")[1].split("\n## ")[0]
    rows = re.findall(
        r"^\| `([\w/~]+)` \| (subscribed|published|service) \| `([\w/]+)` \|", section, re.MULTILINE
    )
    graph.set("use_odometry", True)
    graph.set("vehicle_output", "twist")
    graph.activate()
    of_every_node = ("/parameter_events", "/rosout", "/clock", f"/{NODE}/transition_event")
    for kind, ask in (
        ("subscribed", graph.node.get_subscriber_names_and_types_by_node),
        ("published", graph.node.get_publisher_names_and_types_by_node),
    ):
        listed = {(name, type_.replace("/", "/msg/")) for name, what, type_ in rows if what == kind}
        there = {(name.lstrip("/"), *types) for name, types in ask(NODE, "/") if name not in of_every_node}
        there = {(f"/{name}" if name == "diagnostics" else name, type_) for name, type_ in there}
        assert there
        assert there <= listed
    assert [row for row in rows if row[1] == "service"] == [("~/arm", "service", "std_srvs/SetBool")]


def test_a_vehicle_follows_and_keeps_its_distance(graph: ServoGraph) -> None:
    graph.set("gimbal_output", "none")
    graph.set("attitude_source", "fixed")
    graph.set("vehicle_output", "twist")
    graph.set("follow_range", 10.0)
    graph.joints = None
    graph.range = Range(min_range=0.1, max_range=50.0, range=20.0)
    graph.activate()
    graph.wait(lambda: len(graph.vehicle) > 5, "speeds")
    assert not any(map(moving, graph.vehicle))
    assert graph.arm().success
    graph.wait(lambda: graph.vehicle[-1].twist.linear.x > 0.5, "a drive forward")
    assert graph.vehicle[-1].twist.angular.z < 0  # to the right
    assert graph.vehicle[-1].header.frame_id == "base_link"
    graph.range.range = 5.0
    graph.wait(lambda: graph.vehicle[-1].twist.linear.x < -0.2, "a drive back")
    graph.range.range = math.nan
    graph.reaches(ServoState.FAULT, "range")
    graph.wait(lambda: not any(map(moving, graph.vehicle[-10:])), "zero, repeated")


def stamp_ns(header: object) -> int:
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
