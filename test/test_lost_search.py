"""The search for a lost target: what is looked at, what is believed, and footage in which one comes back."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from siam_tracker_ros.footage.sequence_folder import read_sequence
from siam_tracker_ros.models.config import ScanConfig
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS
from siam_tracker_ros.tracking.boxes import Box, CenterBox, box_iou
from siam_tracker_ros.tracking.lost_search import Look, LostSearch, Sighting, judge, plan_looks
from siam_tracker_ros.tracking.result import TrackResult
from siam_tracker_ros.tracking.siam_tracker import SiamTracker
from siam_tracker_ros.tracking.state import TrackState
from siam_tracker_ros.training.paint_out import painted_out

HOME, SIDE, FRAME = CenterBox(200.0, 130.0, 40.0, 30.0), 140.0, (640, 360)
ELSEWHERE = CenterBox(400.0, 100.0, 40.0, 30.0)
NEARBY = Sighting(CenterBox(260.0, 150.0, 44.0, 33.0), 0.3)


def searches(frames: int, config: ScanConfig, sighting: Sighting | None = None) -> list[LostSearch]:
    """The searches of so many frames in which the same is sighted."""
    planned: list[LostSearch] = []
    for _ in range(frames):
        planned.append(plan_looks(planned[-1] if planned else None, sighting, HOME, SIDE, FRAME, config))
    return planned


@pytest.mark.parametrize("windows", [1, 2, 3])
@pytest.mark.parametrize("sighting", [None, NEARBY])
def test_every_frame_has_as_many_looks(windows: int, sighting: Sighting | None) -> None:
    config = ScanConfig(windows=windows)
    planned = searches(200, config, sighting)
    assert {len(search.looks) for search in planned} == {windows}
    predicted = [any(look.reason == "predicted" for look in search.looks) for search in planned]
    # The likeliest place is never left alone for long.
    longest = 4 if windows == 1 else 2
    assert all(any(predicted[at : at + longest]) for at in range(len(planned) - longest))
    assert planned == searches(200, config, sighting), "nothing is left to chance"


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_the_whole_frame_is_swept_from_the_inside_out(windows: int) -> None:
    config = ScanConfig(windows=windows)
    swept = [look for search in searches(300, config) for look in search.looks if look.reason == "swept"]
    reach = config.step * config.zoom * SIDE / 2
    for x in range(0, FRAME[0] + 1, 20):
        for y in range(0, FRAME[1] + 1, 20):
            assert any(max(abs(look.box.cx - x), abs(look.box.cy - y)) <= reach for look in swept), (x, y)
    assert all(0 <= look.box.cx <= FRAME[0] and 0 <= look.box.cy <= FRAME[1] for look in swept)
    assert {look.box[2:] for look in swept} == {HOME[2:]}
    distances = [math.dist(look.box[:2], HOME[:2]) for look in swept]
    first = distances.index(max(distances[:9])) + 1
    assert distances[:first] == sorted(distances[:first])
    assert max(distances[:first]) < max(distances), "later sweeps go farther"


def test_a_target_larger_than_the_frame_is_looked_for_too() -> None:
    looks = [plan_looks(None, None, HOME, side, FRAME, ScanConfig()).looks for side in (3000.0, 8.0)]
    assert [len(each) for each in looks] == [2, 2]


def test_what_was_sighted_is_looked_at_again_at_the_usual_scale() -> None:
    planned = searches(4, ScanConfig(), NEARBY)
    again = [look for search in planned for look in search.looks if look.reason == "sighted"]
    assert again
    for look in again:
        assert look.box == HOME._replace(cx=260.0, cy=150.0), "the place is new, the size the target's"
        assert look.zoom == 1.0
    waiting, at_once = (
        plan_looks(None, replace(NEARBY, confidence=confidence), HOME, SIDE, FRAME, ScanConfig())
        for confidence in (0.3, 0.5)
    )
    assert waiting.looks[0].reason == "predicted"
    assert at_once.looks[0].reason == "sighted", "what looks much like the target does not wait for its turn"


def looks(*reasons: str, trust: float = 0.0, again: int = 0) -> LostSearch:
    return LostSearch(tuple(Look(HOME, reason, trust=trust, again=again) for reason in reasons))


def found_after(*confidences: float) -> int | None:
    """How many looks at one place it takes to find a target that answers so."""
    search = looks("predicted", "swept")
    for count, confidence in enumerate(confidences, start=1):
        verdict = judge(search, [HOME, ELSEWHERE], [confidence, 0.0], 0.75, ScanConfig())
        if verdict.found:
            return count
        assert verdict.sighting is not None
        search = plan_looks(search, verdict.sighting, HOME, SIDE, FRAME, ScanConfig())
        if search.looks[0].reason != "sighted" or verdict.sighting.box != HOME:
            return None
    return None


def test_one_sure_look_is_not_enough_and_two_are() -> None:
    verdict = judge(looks("predicted", "swept"), [HOME, ELSEWHERE], [0.99, 0.1], 0.75, ScanConfig())
    assert not verdict.found
    assert verdict.look == 0
    assert verdict.sighting is not None
    assert verdict.sighting.box == HOME
    assert found_after(0.99, 0.76) == 2


def test_looks_that_are_nearly_sure_need_more_of_them() -> None:
    assert found_after(*[0.65] * 6) == 3
    assert found_after(*[0.58] * 6) == 4
    assert found_after(*[0.45] * 12) is None, "what is hardly likely is given up in time"
    assert found_after(0.7, 0.3, 0.7, 0.7) is None, "a look that says little ends it"


def test_what_the_second_look_does_not_confirm_is_dropped() -> None:
    search = looks("sighted", "swept", trust=0.35)
    verdict = judge(search, [HOME, ELSEWHERE], [0.3, 0.1], 0.75, ScanConfig())
    assert not verdict.found
    assert verdict.sighting == Sighting(ELSEWHERE, 0.1)


def test_a_coarse_look_is_never_believed_alone() -> None:
    config = ScanConfig(sure_looks=1)
    verdict = judge(looks("predicted", "swept"), [HOME, ELSEWHERE], [0.1, 0.99], 0.75, config)
    assert not verdict.found
    assert verdict.look == 1
    assert verdict.sighting == Sighting(ELSEWHERE, 0.99)


def test_a_better_sighting_is_kept_until_its_turn() -> None:
    search = replace(looks("predicted", "swept"), sighting=Sighting(ELSEWHERE, 0.6))
    verdict = judge(search, [HOME, HOME], [0.1, 0.2], 0.75, ScanConfig())
    assert verdict.sighting == Sighting(ELSEWHERE, 0.6)


def test_looks_have_to_agree_on_the_place() -> None:
    search = looks("sighted", "swept", trust=0.35)
    verdict = judge(search, [ELSEWHERE, HOME], [0.9, 0.1], 0.75, ScanConfig())
    assert not verdict.found
    assert verdict.sighting is not None
    assert verdict.sighting.box == ELSEWHERE
    assert verdict.sighting.trust == pytest.approx(0.35), "what the other place has earned is not its own"


def test_nothing_is_looked_for_at_no_place() -> None:
    nowhere = CenterBox(math.nan, math.nan, 40.0, 30.0)
    verdict = judge(looks("predicted", "swept"), [nowhere, nowhere], [0.0, 0.0], 0.75, ScanConfig())
    assert not verdict.found
    assert verdict.sighting is None
    outside = Sighting(CenterBox(1e30, -1e30, 40.0, 30.0), 0.9, trust=0.35)
    (again, _) = plan_looks(None, outside, HOME, SIDE, FRAME, ScanConfig()).looks
    assert again.box[:2] == (640, 0)


SEEN, GONE, BACK = 8, 16, 50
LOST_STATES = (TrackState.COASTING, TrackState.LOST)


def seen_at(frame: np.ndarray, box: Box, x: float, y: float, scale: float) -> tuple[np.ndarray, Box]:
    """A picture of 640 x 360 px whose camera has the middle of `box` at (x, y), and the box in it."""
    left, top = x - scale * (box.x + box.w / 2), y - scale * (box.y + box.h / 2)
    turned = np.array([[scale, 0.0, left], [0.0, scale, top]])
    picture = cv2.warpAffine(frame, turned, FRAME, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return picture, Box(scale * box.x + left, scale * box.y + top, scale * box.w, scale * box.h)


def lose_and_find(tracker: SiamTracker, data_dir: Path) -> list[tuple[TrackResult, Box]]:
    """Results and truth: a target is seen, then painted out, then back elsewhere as the camera has jumped."""
    sequence = read_sequence(data_dir / "sequences" / "davis_blackswan")
    followed: list[tuple[TrackResult, Box]] = []
    target = None
    for number in range(BACK):
        image = cv2.imread(str(sequence.images[min(number, 30)]), cv2.IMREAD_COLOR)
        box = sequence.boxes[min(number, 30)]
        if SEEN <= number < GONE:
            image = painted_out(image, box)
        back = number >= GONE
        picture, truth = seen_at(image, box, *((500, 260, 0.24) if back else (140, 110, 0.2)))
        if target is None:
            target = tracker.init(picture, truth)
            continue
        (result,) = tracker.track(picture, [target])
        followed.append((result, truth))
    return followed


def test_a_target_that_comes_back_elsewhere_is_found(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SiamTracker.from_weights(DEFAULT_WEIGHTS, device="cpu")
    searched, search = [], tracker.engine.search

    def counted(template, crops):
        searched.append(tuple(crops.shape))
        return search(template, crops)

    monkeypatch.setattr(tracker.engine, "search", counted)
    followed = lose_and_find(tracker, data_dir)
    states = [result.state for result, _ in followed]
    assert states[SEEN - 2] == TrackState.TRACKING
    assert states[GONE - 2] in LOST_STATES, "the target is gone"
    found = next(at for at in range(GONE - 1, len(states)) if states[at] not in LOST_STATES)
    assert all(box_iou(result.box, truth) > 0.5 for result, truth in followed[found:])
    assert all(state not in LOST_STATES for state in states[found:])
    before = followed[SEEN - 2][0].box
    for (result, _), state in zip(followed, states, strict=True):
        if state in LOST_STATES:
            assert box_iou(result.box, before) > 0.3, "a lost target's box goes nowhere"
            assert result.confidence <= tracker.entry.tracking.loss.high
    # Twice the usual work, and one size of input, however long the target is gone.
    assert {shape[0] for shape in searched} == {1, 2}
    assert {shape[1:] for shape in searched} == {(3, 255, 255)}
    again = lose_and_find(tracker, data_dir)
    assert [result for result, _ in again] == [result for result, _ in followed]
