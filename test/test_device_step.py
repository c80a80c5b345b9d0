"""The step of tracking as one function of tensors: what it finds, and that a CUDA graph could hold it.

Nothing here needs a GPU. The step runs on the CPU; on PyTorch's meta device, where there are shapes and no
values, so that whatever looks at a value fails; and in a stand-in for a CUDA graph, which replays the
operators it saw on the same memory, and no line of Python.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from test_networks import SMALL, seeded
from test_tracker import ENTRY, scene
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from siam_tracker_ros.models.config import AnchorConfig, LongTermConfig, LossConfig, MaskConfig, ZooEntry
from siam_tracker_ros.models.inference import inference_copy
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import ZOO, get_entry
from siam_tracker_ros.tracking import captured_step
from siam_tracker_ros.tracking.boxes import box_iou
from siam_tracker_ros.tracking.captured_step import MAX_TARGETS, CapturedStep, StepKey, room_for
from siam_tracker_ros.tracking.crop import frame_tensor
from siam_tracker_ros.tracking.device_step import DeviceStep, reason_against
from siam_tracker_ros.tracking.request import Requests, request_columns
from siam_tracker_ros.tracking.result import TrackResult
from siam_tracker_ros.tracking.siam_tracker import SiamTracker, _plan_searches
from siam_tracker_ros.tracking.unconverted_frame import UnconvertedFrame

CPU, META = torch.device("cpu"), torch.device("meta")
BOXES = [(100, 80, 50, 60), (-20, -10, 60, 40), (260, 190, 70, 60)]
TWO_BRANCH = ZooEntry(
    "two branches",
    replace(
        SMALL,
        rpn_layers=(5,),
        rpn_channels=(16,),
        head="similarity",
        weighted=False,
        anchor_num=1,
        mask=MaskConfig((1, 2, 3), (4, 6, 8), hidden=16, coarse_size=None),
    ),
    replace(ENTRY.tracking, box_source="mask", anchors=AnchorConfig(ratios=(1.0,))),
)


def moving_scene(frames: int) -> list[np.ndarray]:
    """A scene that moves on by a few px a frame, so that there is something to follow."""
    still = scene(240, 320)
    return [np.ascontiguousarray(np.roll(still, (2 * t, 3 * t), axis=(0, 1))) for t in range(frames)]


def trained(device: str = "cpu", precision: Any = "auto") -> SiamTracker:
    """A tracker that tells targets apart, which random weights do not."""
    return SiamTracker.from_weights(
        "siammask_mobilev2_w10_l23", device=device, precision=precision, engine="torch"
    )


@pytest.fixture(scope="module")
def pair() -> tuple[SiamTracker, SiamTracker]:
    """One tracker with a step, given anew to each test, and one without."""
    return with_sampled_crops(trained()), with_sampled_crops(trained())


@pytest.fixture
def ours(pair: tuple[SiamTracker, SiamTracker]) -> SiamTracker:
    return stepping(pair[0])


@pytest.fixture
def theirs(pair: tuple[SiamTracker, SiamTracker]) -> SiamTracker:
    return pair[1]


def tracker_of(entry: ZooEntry) -> SiamTracker:
    return SiamTracker(entry, seeded(entry.model), device="cpu")


def stepping(tracker: SiamTracker) -> SiamTracker:
    """`tracker`, tracking by its step from now on."""
    step = DeviceStep(tracker.entry, tracker.engine.network, CPU, torch.float32)
    tracker.step = CapturedStep(step)
    return with_sampled_crops(tracker)


def with_sampled_crops(tracker: SiamTracker) -> SiamTracker:
    """`tracker`, whose crops are sampled as on a device, so that nothing but rounding differs there."""
    tracker._source = frame_tensor
    return tracker


def assert_same(ours: list[TrackResult], theirs: list[TrackResult], px: float = 2e-3) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.box, b.box, atol=px)
        np.testing.assert_allclose(a.velocity, b.velocity, atol=100 * px)
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert a.confidence == pytest.approx(b.confidence, abs=1e-4)
        assert a.state == b.state
        assert (a.mask is None) == (b.mask is None)
        if a.mask is not None and b.mask is not None:
            assert (a.mask.to_frame() ^ b.mask.to_frame()).mean() < 1e-4


def follow(
    ours: SiamTracker, theirs: SiamTracker, frames: list[np.ndarray], boxes: list[Any], masks: bool
) -> None:
    """Both follow the same targets, ours by its step; they must say the same, frame by frame."""
    mine, its = ([t.init(frames[0], box) for box in boxes] for t in (ours, theirs))
    for frame in frames[1:]:
        assert_same(ours.track(frame, mine, masks), theirs.track(frame, its, masks))


@pytest.mark.parametrize("masks", [False, True])
def test_the_step_finds_what_the_tracker_finds(masks: bool, ours: SiamTracker, theirs: SiamTracker) -> None:
    """Several targets, two of them partly outside the frame, with a row to spare in the table."""
    follow(ours, theirs, moving_scene(3), BOXES, masks)


def test_boxes_from_masks_are_found_by_the_step() -> None:
    frames = [scene(240, 320, seed) for seed in (0, 0, 1)]
    ours, theirs = stepping(tracker_of(TWO_BRANCH)), with_sampled_crops(tracker_of(TWO_BRANCH))
    follow(ours, theirs, frames, BOXES, masks=False)


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 1)])
def test_grey_frames_are_followed_by_the_step(
    shape: tuple[int, ...], ours: SiamTracker, theirs: SiamTracker
) -> None:
    frames = [frame[..., 0].reshape(shape).copy() for frame in moving_scene(2)]
    follow(ours, theirs, frames, BOXES, masks=False)


def test_a_pyramid_of_scales_fits_the_step() -> None:
    entry = get_entry("siamfc_alexnet")
    entry = replace(entry, model=replace(entry.model, width_mult=0.25))
    frames = [scene(240, 320, seed) for seed in (0, 0, 1)]
    ours, theirs = stepping(tracker_of(entry)), with_sampled_crops(tracker_of(entry))
    follow(ours, theirs, frames, BOXES[:2], masks=False)


def test_real_footage_is_followed_as_on_the_cpu(
    data_dir: Path, ours: SiamTracker, theirs: SiamTracker
) -> None:
    """The shipped weights on a target of the ground truth and two at the edges of the frame.

    First the same crops, and then OpenCV's, which are rounded to grey levels and so not quite the same.
    Stated tolerance: boxes within 2 % of their size, scores within 0.03, unless two anchors are as good as
    each other (one frame in ten at most).
    """
    folder = data_dir / "sequences" / "davis_car-shadow"
    frames = [cv2.imread(str(path)) for path in sorted((folder / "img").iterdir())[:5]]
    height, width = frames[0].shape[:2]
    first = np.loadtxt(folder / "groundtruth.txt", delimiter=",")[0][:4]
    boxes = [first, (-20, height / 2, 120, 100), (width - 90, height - 70, 120, 100)]
    follow(ours, theirs, frames[:3], boxes, masks=True)

    on_cpu = trained()
    targets = [on_cpu.init(frames[0], box) for box in boxes]
    off = []
    for frame in frames[1:]:
        copies = [replace(target) for target in targets]
        expected = on_cpu.track(frame, targets, masks=True)
        for a, b in zip(ours.track(frame, copies, masks=True), expected, strict=True):
            off.append(np.abs(np.subtract(a.box, b.box)).max() / np.sqrt(b.box.w * b.box.h))
            assert a.score == pytest.approx(b.score, abs=0.03)
            assert box_iou(a.box, b.box) > 0.8
            assert (a.mask.to_frame() ^ b.mask.to_frame()).sum() < 0.05 * b.box.w * b.box.h
    assert np.mean(np.array(off) < 0.02) >= 0.9, off
    assert np.median(off) < 0.01


def test_targets_come_go_and_change_places(ours: SiamTracker, theirs: SiamTracker) -> None:
    """What was copied for one set of targets must not be used for another."""
    frames = moving_scene(6)
    boxes = [*BOXES, (30, 120, 40, 40), (180, 40, 30, 50)]
    mine, its = ([t.init(frames[0], box) for box in boxes] for t in (ours, theirs))
    for frame, chosen in zip(frames[1:], ([0], [1], [2, 0, 1], [1, 3, 4, 0, 2], [4, 3]), strict=True):
        a, b = ours.track(frame, [mine[i] for i in chosen]), theirs.track(frame, [its[i] for i in chosen])
        assert_same(a, b)


def test_more_targets_than_fit_take_turns() -> None:
    ours, theirs = stepping(tracker_of(ENTRY)), with_sampled_crops(tracker_of(ENTRY))
    boxes = [(10 + 15 * i, 20 + 9 * i, 40, 30) for i in range(MAX_TARGETS + 2)]
    follow(ours, theirs, moving_scene(2), boxes, masks=True)


def test_a_lost_target_and_one_that_is_not_go_different_ways() -> None:
    long_term = LongTermConfig(instance_sizes=(383,), scan=None)
    entry = replace(ENTRY, tracking=replace(ENTRY.tracking, long_term=long_term))
    frames = [scene(240, 320, seed) for seed in (0, 0, 1)]
    results = []
    for tracker in (stepping(tracker_of(entry)), with_sampled_crops(tracker_of(entry))):
        targets = [tracker.init(frames[0], box) for box in BOXES]
        targets[1].condition = replace(targets[1].condition, lost=True)
        results.append([tracker.track(frame, targets, masks=True) for frame in frames[1:]])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


def test_a_scan_for_lost_targets_is_one_batch(ours: SiamTracker, theirs: SiamTracker) -> None:
    """Each of three targets is looked for in two places a frame, which are six rows of one table."""
    loss = LossConfig(low=0.9999, high=0.99999, after_s=0.0)
    tracking = replace(ours.entry.tracking, loss=loss, long_term=LongTermConfig())
    results = []
    for tracker in (ours, theirs):
        before = tracker.entry
        tracker.entry = replace(before, tracking=tracking)
        frames = moving_scene(4)
        targets = [tracker.init(frames[0], box) for box in BOXES]
        results.append([tracker.track(frame, targets, masks=True) for frame in frames[1:]])
        assert all(target.lost_search is not None for target in targets)
        tracker.entry = before
    assert ours.step is not None
    assert StepKey(8, 255, True, (240, 320, 3)) in ours.step._prepared
    for mine, its in zip(*results, strict=True):
        assert_same(mine, its)


def test_no_targets_no_step() -> None:
    assert stepping(tracker_of(ENTRY)).track(scene(64, 64), []) == []


def test_frames_may_be_tensors() -> None:
    frames = [scene(240, 320, seed) for seed in (0, 1)]
    as_tensors = [torch.from_numpy(frame) for frame in frames]
    for make in (tracker_of, lambda entry: stepping(tracker_of(entry))):
        results = []
        for kind in (frames, as_tensors):
            tracker = make(ENTRY)
            target = tracker.init(kind[0], BOXES[0])
            results.append(tracker.track(kind[1], [target], masks=True))
        assert_same(*results, px=1e-9)


class Turned(UnconvertedFrame):
    """A frame whose colours stand in the other order."""

    def __init__(self, frame: np.ndarray) -> None:
        self._rgb = frame[..., ::-1].copy()

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, _ = self._rgb.shape
        return height, width, 3

    def region(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        return self._rgb[top:bottom, left:right, ::-1]


def test_frames_are_converted_on_their_way_to_the_device(ours: SiamTracker, theirs: SiamTracker) -> None:
    first, then = moving_scene(2)
    target = theirs.init(first, BOXES[1])
    (expected,) = theirs.track(then, [replace(target)])
    assert_same(ours.track(Turned(then), [target]), [expected])


def test_rooms_are_powers_of_two() -> None:
    assert [room_for(n) for n in (1, 2, 3, 4, 5, 9, 16)] == [1, 2, 4, 4, 8, 16, 16]


def test_trackers_that_look_at_the_host_say_so() -> None:
    assert reason_against(get_entry("siamrpn_r50_l234_dwxcorr")) is None
    for name in ("siamattn_r50", "siamfc_cir_resnet22"):
        assert reason_against(get_entry(name))
        with pytest.raises(ValueError, match=name):
            DeviceStep(get_entry(name), SiameseNetwork(get_entry(name).model), CPU, torch.float32)


# Operators that wait for the device, or whose result has a shape that depends on values.
_WAITING = (
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "unique",
    "repeat_interleave.Tensor",
    "bincount",
    "allclose",
)


class DeviceOnly(TorchDispatchMode):
    """Refuses what would synchronise with the device or is not allowed while a CUDA graph is captured."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.operators = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(func).removeprefix("aten.")
        self.operators += 1
        if name.split(".")[0].rstrip("_") in _WAITING or name in _WAITING:
            raise AssertionError(f"{name} waits for the device")
        if name.startswith(("index.", "index_put")) and any(
            each.dtype in (torch.bool, torch.uint8)
            for each in tree_leaves(args[1])
            if isinstance(each, torch.Tensor)
        ):
            raise AssertionError(f"{name} by a mask has a shape that depends on values")
        if name.startswith("lift_fresh"):
            raise AssertionError("a tensor is made from numbers of the host")
        if kwargs.get("pin_memory"):
            raise AssertionError(f"{name} allocates host memory")
        asked = kwargs.get("device")
        if asked is not None and torch.device(asked) != self.device:
            raise AssertionError(f"{name} makes something on {asked}")
        result = func(*args, **kwargs)
        for each in tree_leaves((args, kwargs, result)):
            if isinstance(each, torch.Tensor) and each.device != self.device:
                raise AssertionError(f"{name} has to do with a tensor on {each.device}")
        return result


def _refused(act: Callable[[torch.Tensor], Any], device: torch.device) -> bool:
    x = torch.zeros(3, 3, device=device)
    try:
        with DeviceOnly(device):
            act(x)
    except (AssertionError, RuntimeError, NotImplementedError):
        return True
    return False


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0, 0]),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.masked_select(x, x > 0),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x[[0, 1]],
        lambda x: torch.where(x > 0, x, torch.zeros(3, device=CPU)),
    ],
)
def test_what_waits_is_seen_by_one_guard_or_the_other(act: Callable[[torch.Tensor], Any]) -> None:
    """The step is put under both: on the meta device and on the CPU."""
    assert _refused(act, META) or _refused(act, CPU)


def networks_that_fit() -> list[str]:
    """One entry for every network whose step fits a graph."""
    by_network: dict[Any, str] = {}
    for entry in ZOO.values():
        if reason_against(entry) is None:
            by_network.setdefault((entry.model, entry.tracking.box_source), entry.name)
    return list(by_network.values())


@pytest.mark.parametrize("name", networks_that_fit())
def test_no_step_of_the_zoo_looks_at_a_value_or_at_the_host(name: str) -> None:
    """In half precision, where tensors have shapes but no values, under a guard of every operator."""
    entry = get_entry(name)
    targets, size = 2, entry.tracking.instance_size
    scales = entry.tracking.pyramid.count if entry.tracking.pyramid else 1
    with torch.inference_mode():
        with META:
            network = inference_copy(SiameseNetwork(entry.model).eval(), META, torch.float16)
            exemplar = torch.empty(targets, 3, 127, 127, dtype=torch.float16)
            frame = torch.empty(480, 640, 3, dtype=torch.uint8)
            table = torch.empty(targets, request_columns(scales), dtype=torch.float64)
        template = network.template(exemplar.to(memory_format=torch.channels_last))
        step = DeviceStep(entry, network, META, torch.float16)
        # Constants are made when the step first runs; a graph is captured after that.
        step(frame, table, template, size, False)
        for masks in (False, True) if entry.model.mask is not None else (False,):
            with DeviceOnly(META) as guard:
                result = step(frame, table, template, size, masks)
            assert guard.operators > 50
            assert result.observations.shape[0] == targets
            assert result.observations.dtype == torch.float64
            assert (result.masks is not None) == masks
            if result.masks is not None:
                assert result.masks.shape == (targets, result.masks.shape[-1], result.masks.shape[-1])


def test_the_step_makes_no_tensor_from_numbers_of_the_host() -> None:
    tracker = tracker_of(ENTRY)
    target = tracker.init(scene(240, 320), BOXES[0])
    table = Requests.of([_plan_searches(target, ENTRY.tracking, None)[0].request], CPU).table
    frame = torch.from_numpy(scene(240, 320))
    step = DeviceStep(ENTRY, tracker.engine.network, CPU, torch.float32)
    step(frame, table, target.template, 255, True)
    with torch.inference_mode(), DeviceOnly(CPU):
        step(frame, table, target.template, 255, True)


class StandInGraph(TorchDispatchMode):
    """A CUDA graph's semantics on the CPU: operators are recorded once and replayed on the same memory.

    Like a graph, it knows nothing of Python: values that Python has seen while it recorded are constants, and
    results land where the recorded ones lay.
    """

    made: list[StandInGraph]

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        self.dropped = False
        self.made.append(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, recorded in self.calls:
            result = func(*args, **kwargs)
            for old, new in zip(tree_leaves(recorded), tree_leaves(result), strict=True):
                # Views, and what is changed in place, lie where they lay.
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def reset(self) -> None:
        self.dropped = True
        self.calls.clear()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[StandInGraph]:
    """CUDA graphs are stand-ins; all that were made."""

    @contextmanager
    def capture(graph: StandInGraph, *_: Any, **__: Any) -> Iterator[None]:
        with graph:
            yield

    StandInGraph.made = []
    # There is no library here that has to be warm.
    monkeypatch.setattr(captured_step, "_WARM_UPS", 1)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    return StandInGraph.made


def capturing(tracker: SiamTracker) -> SiamTracker:
    """`tracker`, whose step is captured in whatever stands in for CUDA graphs."""
    step = stepping(tracker).step
    assert step is not None
    step._captures = True
    return tracker


def test_replays_follow_what_changes_from_frame_to_frame(
    graphs: list[StandInGraph], ours: SiamTracker, theirs: SiamTracker
) -> None:
    """Frames, boxes, sets of targets: all that a replay may see of them is what was copied for it."""
    frames = moving_scene(5)
    capturing(ours)
    mine, its = ([t.init(frames[0], box) for box in BOXES] for t in (ours, theirs))
    for frame, chosen in zip(frames[1:], ([0, 1], [1, 0], [2, 1], [0, 1, 2]), strict=True):
        for masks in (False, True):
            a = ours.track(frame, [mine[i] for i in chosen], masks)
            assert_same(a, theirs.track(frame, [its[i] for i in chosen], masks))
    assert [graph.replays for graph in graphs] == [3, 3, 1, 1]


def test_each_kind_of_step_is_captured_once(graphs: list[StandInGraph]) -> None:
    tracker = capturing(tracker_of(ENTRY))
    targets = [tracker.init(scene(240, 320), box) for box in BOXES]
    for size in ((240, 320), (120, 160), (240, 320)):
        for count, masks in ((1, False), (1, True), (3, False), (3, False)):
            tracker.track(scene(*size), [replace(t) for t in targets[:count]], masks)
    assert len(graphs) == 6
    assert set(tracker.step.captured) == {
        StepKey(room, 255, masks, (*size, 3))
        for size in ((240, 320), (120, 160))
        for room, masks in ((1, False), (1, True), (4, False))
    }


def test_graphs_are_bounded_and_released(graphs: list[StandInGraph], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured_step, "_MAX_GRAPHS", 3)
    tracker = capturing(tracker_of(ENTRY))
    target = tracker.init(scene(64, 64), (20, 20, 20, 20))
    for width in range(64, 69):
        tracker.track(scene(64, width), [replace(target)])
    kept = tracker.step.captured
    assert len(kept) == sum(not graph.dropped for graph in graphs) == 3
    assert kept[-1].frame == (64, 68, 3)
    assert (64, 64, 3) not in [key.frame for key in kept]
    tracker.step.release()
    assert tracker.step.captured == []
    assert all(graph.dropped for graph in graphs)
    tracker.track(scene(64, 64), [replace(target)])
    assert len(tracker.step.captured) == 1


def test_where_nothing_can_be_captured_kernels_are_launched_one_by_one(
    graphs: list[StandInGraph], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def refuse(*_: Any, **__: Any) -> Iterator[None]:
        raise RuntimeError("operation not permitted when stream is capturing\nand a long story")
        yield

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    frames = [scene(240, 320, seed) for seed in (0, 1, 2)]
    ours, theirs = capturing(tracker_of(ENTRY)), with_sampled_crops(tracker_of(ENTRY))
    with caplog.at_level(logging.WARNING):
        follow(ours, theirs, frames, BOXES[:1], masks=True)
        follow(ours, theirs, frames, BOXES, masks=False)
    assert [record.message for record in caplog.records] == [
        "no CUDA graphs, each kernel is launched on its own: operation not permitted when stream is capturing"
    ]
    assert ours.step.captured == []


def test_two_threads_at_once_are_told_so() -> None:
    tracker = stepping(tracker_of(ENTRY))
    target = tracker.init(scene(64, 64), (20, 20, 20, 20))
    before = replace(target)
    with tracker.step.owned(), pytest.raises(RuntimeError, match="one thread at a time"):
        tracker.track(scene(64, 64), [target])
    assert target == before
    tracker.track(scene(64, 64), [target])


def test_rows_of_the_table_are_read_as_they_were_written() -> None:
    entry = get_entry("siamfc_alexnet")
    tracker = tracker_of(replace(entry, model=replace(entry.model, width_mult=0.25)))
    frame = scene(240, 320)
    plans = [
        _plan_searches(tracker.init(frame, box), tracker.entry.tracking, None)[0].request for box in BOXES
    ]
    requests = Requests.of(plans, CPU)
    assert requests.table.shape[1] == request_columns(3)
    for scale in range(3):
        for i, plan in enumerate(plans):
            assert tuple(requests.squares[scale * len(plans) + i].tolist()) == plan.windows[scale]
    for i, plan in enumerate(plans):
        assert tuple(requests.before[i].tolist()) == plan.before
        assert tuple(requests.fills[i].tolist()) == plan.fill
        assert requests.sizes[i].tolist() == pytest.approx([side * plan.scale for side in plan.before[2:]])
