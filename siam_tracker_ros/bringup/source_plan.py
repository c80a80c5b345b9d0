"""The tracker with a source of its own: footage or a camera, and maybe a box to start on."""

from __future__ import annotations

from siam_tracker_ros.bringup.arguments import BringUpArguments
from siam_tracker_ros.bringup.process import BringUpError, Plan, Process, Value
from siam_tracker_ros.bringup.tracker_plan import Parts, plan_tracker

SOURCE, STARTER = "video_source_node", "init_target_once"
_READY_S = 120.0


def plan_bringup(arguments: BringUpArguments, recorded: tuple[str, ...] = ()) -> Plan:
    """What `plan_tracker` says, and the source if one is named; `recorded` are more topics for the recording.

    Raises BringUpError for arguments that do not go together, and for files and programs that are not there.
    """
    if not arguments.source:
        for name in ("box", "frames", "loop"):
            if getattr(arguments, name):
                raise BringUpError(f"{name} is about the source: name one as source")
        return plan_tracker(arguments, recorded=recorded)
    if arguments.box and not arguments.autostart:
        raise BringUpError("a box starts a target in an active tracker: leave out autostart or box")
    parts = Parts(arguments)
    transports = {parts.effective("image_transport"), arguments.record and arguments.record_image}
    values: dict[str, Value] = {
        "source": arguments.source,
        "frames": arguments.frames,
        "loop": arguments.loop,
        "pace": arguments.pace,
        "at_end": "exit",
        "compressed": "compressed" in transports,
        **parts.given(),
    }
    images = {"image_raw": arguments.image_topic, "camera_info": parts.camera_info_topic}
    if arguments.autostart:
        # Nothing is published before everybody who reads images is there. The overlay reads only while it is
        # looked at, which is known of the recorder alone.
        watched = arguments.overlay and any(topic.startswith("overlay") for topic in recorded)
        values["wait_for_subscribers"] = 1 + watched + arguments.selector + arguments.record
    beside: tuple[Process, ...] = ()
    if arguments.box:
        values["start_paused"] = True
        box = ("--box", arguments.box, "--source", SOURCE)
        remapping = {"camera_info": parts.camera_info_topic}
        beside = (Process(STARTER, STARTER, arguments=box, remappings=remapping, ends="if failed"),)
    source = Process(
        SOURCE,
        SOURCE,
        parameter_files=parts.parameter_files("video_source"),
        parameters=values,
        remappings=images,
        composable=True,
    )
    plan = plan_tracker(arguments, (source,), beside, recorded)
    # The source itself is held back until everybody is there.
    return plan.with_parameters("servo_node", {"camera_info_timeout": _READY_S})


def plan_demo(arguments: BringUpArguments) -> Plan:
    """What `plan_bringup` says for footage, the overlay recorded too. Raises BringUpError."""
    if not arguments.source:
        raise BringUpError("a demo needs footage: name it as source (video file, folder of images, camera)")
    recorded = (f"{SOURCE}/status", *(("overlay/compressed",) if arguments.overlay else ()))
    return plan_bringup(arguments, recorded=recorded)
