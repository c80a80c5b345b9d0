"""The closed loop on the graph: simulated gimbal, tracker, servo, overlay, recording, and an operator."""

from __future__ import annotations

from dataclasses import dataclass, replace

from siam_tracker_ros.bringup.arguments import TrackerArguments
from siam_tracker_ros.bringup.process import Plan, Process, Value
from siam_tracker_ros.bringup.tracker_plan import TRACKER, Parts, plan_tracker
from siam_tracker_ros.nodes.parameter_struct import parameter
from siam_tracker_ros.simulation.target_path import PATH_NAMES

SIMULATION, OPERATOR, SERVO, OVERLAY = "gimbal_sim_node", "follow_once", "servo_node", "overlay_node"
TRUTH_TOPICS = ("truth/tracks", "truth/bearing", "truth/direction")
# How long simulated time stands for the tracks of an image, and the overlay waits for them, s: on a busy
# machine a search all over the image takes long.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class FollowArguments(TrackerArguments):
    """What is started around the tracker, and what is simulated; the rest is in params_file. SI units."""

    overlay: bool = parameter(True, "Publish the image with the results drawn in.")
    record: bool = parameter(True, "Record everything that the run is measured by.")
    record_image: str = parameter(
        "compressed",
        "Which images are recorded: raw, or compressed ones.",
        choices=("raw", "compressed"),
    )
    servo: bool = parameter(True, "Start the servo node; it is armed once the target is seen.")
    perfect: bool = parameter(False, "Follow truth/tracks in place of a tracker's tracks.")
    clock: str = parameter(
        "step",
        "step: simulated time stands until tracker and servo have answered, so that a run comes out the same "
        "however slow the machine is. wall: real time.",
        choices=("step", "wall"),
    )
    path: str = parameter("figure_of_eight", "Where the target goes.", choices=PATH_NAMES)
    path_rate: float = parameter(0.349, "Largest rate of the target, rad/s.", (0.001, 10.0))
    latency: float = parameter(
        0.08, "From the middle of an exposure to the arrival of its image, s.", (0.0, 2.0)
    )
    actuator_lag: float = parameter(0.05, "Time constant of the gimbal, s.", (0.0, 2.0))
    occlusion_start: float = parameter(12.1, "When the target is hidden, s after it set out.", (0.0, 86400.0))
    occlusion_duration: float = parameter(1.0, "How long it is hidden, s. 0: never.", (0.0, 5.0))
    scene: str = parameter("", "Picture file of the surroundings. Empty: drawn ones.")
    settle: float = parameter(4.0, "How long the target stands at first, s after arming.", (0.0, 600.0))
    seconds: float = parameter(30.0, "How long it is followed then, s.", (1.0, 86400.0))


def plan_follow(arguments: FollowArguments) -> Plan:
    """All of it. Raises BringUpError for files and programs that are not there."""
    steps = arguments.clock == "step"
    # Where time stands for every image, none may be lost.
    image_qos = arguments.image_qos or ("reliable" if steps else "")
    arguments = replace(arguments, use_sim_time=steps, image_qos=image_qos)
    parts = Parts(arguments)
    simulated: dict[str, Value] = {
        name: getattr(arguments, name)
        for name in (
            "clock",
            "path",
            "path_rate",
            "latency",
            "actuator_lag",
            "occlusion_start",
            "occlusion_duration",
            "scene",
        )
    }
    simulated |= {"start": "on_request", "pace": 0.0, "wait_for_tracks": not arguments.perfect}
    simulated["answer_timeout"] = _PATIENCE_S
    # It starts beside the target, so that arming shows how it turns to it.
    simulated |= {"start_pan": -0.15}
    simulation = Process(
        SIMULATION,
        SIMULATION,
        parameter_files=parts.parameter_files("gimbal_sim"),
        parameters=simulated,
        remappings={"image_raw": arguments.image_topic, "camera_info": parts.camera_info_topic},
        composable=True,
    )
    words = ("--settle", str(arguments.settle), "--seconds", str(arguments.seconds))
    operator = Process(
        OPERATOR, OPERATOR, arguments=(*words, *(("--perfect",) if arguments.perfect else ())), after=SERVO
    )
    overlay = ("overlay/compressed",) if arguments.overlay else ()
    plan = plan_tracker(arguments, (simulation,), (operator,), (*TRUTH_TOPICS, *overlay))
    # It waits for the first image, and the scene has to be drawn before.
    servo: dict[str, Value] = {
        "actuator_lag": arguments.actuator_lag,
        "camera_info_timeout": 120.0,
        "simulated_watchdog_timeout": 2 * _PATIENCE_S,
    }
    plan = plan.with_parameters(SERVO, servo)
    plan = plan.with_parameters(OVERLAY, {"max_wait": _PATIENCE_S})
    return _with_perfect_tracker(plan) if arguments.perfect else plan


def _with_perfect_tracker(plan: Plan) -> Plan:
    """The plan without the tracker: who reads tracks reads the truth."""
    truth = {"tracks": TRUTH_TOPICS[0]}
    processes = (
        replace(one, remappings={**one.remappings, **truth}) if one.name in (SERVO, OVERLAY) else one
        for one in plan.processes
        if one.name != TRACKER
    )
    return replace(plan, processes=tuple(processes))
