"""The tracker: one network and device, any number of targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siam_tracker_ros.engines.choose import choose_engine
from siam_tracker_ros.engines.device import resolve_device
from siam_tracker_ros.engines.engine import Response
from siam_tracker_ros.engines.names import EngineName, Precision
from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint
from siam_tracker_ros.models.config import TrackingConfig, ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork, stack_templates
from siam_tracker_ros.models.weights import calibration_beside, find_weights
from siam_tracker_ros.models.zoo import with_long_term
from siam_tracker_ros.tracking.boxes import CenterBox, checked_box, clip_to_frame
from siam_tracker_ros.tracking.captured_step import MAX_TARGETS, CapturedStep, captured_step
from siam_tracker_ros.tracking.confidence import next_condition
from siam_tracker_ros.tracking.crop import (
    AnyFrame,
    Window,
    centred_window,
    channel_mean,
    checked_frame,
    crop_window,
    exemplar_side,
    frame_tensor,
    sample_windows,
)
from siam_tracker_ros.tracking.decode import Selection, read_selections
from siam_tracker_ros.tracking.errors import MaskUnavailableError
from siam_tracker_ros.tracking.lost_search import Verdict, judge, plan_looks
from siam_tracker_ros.tracking.mask_box import box_of_mask
from siam_tracker_ros.tracking.mask_paste import paste_mask, place_of_mask, place_of_region
from siam_tracker_ros.tracking.observation import (
    SELECTION_COLUMNS,
    Observation,
    measured_boxes,
    observe,
    read_observations,
)
from siam_tracker_ros.tracking.peak import scale_factors
from siam_tracker_ros.tracking.pyramid import NestedWindows, SearchSide, nested_windows, scaled_windows
from siam_tracker_ros.tracking.regions import (
    Region,
    box_of_selection,
    proposal_region,
    refined,
    region_of_box,
)
from siam_tracker_ros.tracking.request import Request, Requests
from siam_tracker_ros.tracking.response_decoder import ResponseDecoder
from siam_tracker_ros.tracking.result import TargetMask, TrackResult
from siam_tracker_ros.tracking.stage_times import StageTimes
from siam_tracker_ros.tracking.state import TrackState
from siam_tracker_ros.tracking.target import Target

# Time between frames where the caller gives no stamps, s.
NOMINAL_FRAME_S = 1.0 / 30.0
# Time constant of the smoothed velocity, and of its decay while coasting, s.
_VELOCITY_TAU_S = 0.15
_COAST_TAU_S = 0.5


@dataclass(frozen=True)
class _Search:
    """One region in which a target is searched for in one frame: around `box`, which has the target's size.

    The frame before was `dt` s ago, and by the target's velocity it is `expected` now. `scale` is network px
    per frame px. There is a window for every scale searched; `nested` holds them where they are cut from one
    another.
    """

    target: Target
    box: CenterBox
    dt: float
    expected: CenterBox
    lost: bool
    instance_size: int
    window_influence: float
    scale: float
    windows: tuple[Window, ...]
    nested: NestedWindows | None = None

    @property
    def crop(self) -> CenterBox:
        """The square that is cropped."""
        side = self.windows[0].side
        return self.box._replace(w=side, h=side)

    @property
    def batch_key(self) -> tuple[int, float]:
        """Searches of one key go through the network together."""
        return self.instance_size, self.window_influence

    @property
    def request(self) -> Request:
        """The numbers that the search is carried out with."""
        return Request(
            self.target.fill, self.box, self.expected, self.scale, self.window_influence, self.windows
        )


def _predicted(target: Target, dt: float) -> CenterBox:
    """Where the target is after `dt` s by its velocity."""
    vx, vy = target.velocity
    return target.box._replace(cx=target.box.cx + vx * dt, cy=target.box.cy + vy * dt)


def _window_side(target: Target, config: TrackingConfig) -> float:
    """Side of the target's usual search region, px of the frame."""
    if config.pyramid is not None and target.side is not None:
        return target.side.px
    exemplar = exemplar_side(target.box.w, target.box.h, config.context_amount)
    return exemplar * (target.instance_size / config.exemplar_size)


def _plan_searches(target: Target, config: TrackingConfig, stamp: float | None) -> tuple[_Search, ...]:
    """Where a target is searched for in this frame: around its place, or in the windows of a scan."""
    instance_size, influence = target.instance_size, config.window_influence
    dt = NOMINAL_FRAME_S
    if stamp is not None and target.stamp is not None and stamp > target.stamp:
        dt = stamp - target.stamp
    expected = _predicted(target, dt)
    long_term = config.long_term if target.condition.lost else None
    if long_term is not None:
        influence = long_term.window_influence
        if long_term.scan is None:
            sizes = long_term.instance_sizes
            instance_size = sizes[min(target.lost_frames, len(sizes) - 1)]
    search = partial(
        _plan_search, target, config, dt, expected, long_term is not None, instance_size, influence
    )
    if target.lost_search is None:
        return (search(target.box, 1.0),)
    return tuple(search(look.box, look.zoom) for look in target.lost_search.looks)


def _plan_search(
    target: Target,
    config: TrackingConfig,
    dt: float,
    expected: CenterBox,
    lost: bool,
    instance_size: int,
    window_influence: float,
    box: CenterBox,
    zoom: float,
) -> _Search:
    """The search around `box` in a region whose side is `zoom` times what its size asks for."""
    search = partial(_Search, target, box, dt, expected, lost, instance_size, window_influence)
    if config.pyramid is None or target.side is None:
        exemplar = zoom * exemplar_side(box.w, box.h, config.context_amount)
        side = exemplar * (instance_size / config.exemplar_size)
        return search(config.exemplar_size / exemplar, (centred_window(box, side, config.crop),))
    side = zoom * target.side.px * (instance_size / target.instance_size)
    factors = scale_factors(config.pyramid)
    if config.pyramid.nested:
        nested = nested_windows(box, side, factors, instance_size, config.crop)
        return search(instance_size / side, nested.inner, nested)
    return search(instance_size / side, scaled_windows(box, side, factors, config.crop))


def _is_number(observation: Observation) -> bool:
    """Whether a response says anything: one of half precision may overflow."""
    score, measured = observation.selection.score, observation.measured
    numbers = (*measured, *observation.size, score, observation.confidence)
    return all(map(math.isfinite, numbers)) and min(measured.w, measured.h) > 0


def _boxes_of_masks(masks: list[TargetMask], measured: Tensor, group: list[_Search]) -> Tensor:
    """Axis-aligned boxes of masks [N, 4]; without a mask, at the measured centre and of the size before."""
    boxes = [
        box_of_mask(mask, "min_max", CenterBox(cx, cy, search.box.w, search.box.h)).center_box()
        for mask, (cx, cy, *_), search in zip(masks, measured.tolist(), group, strict=True)
    ]
    return torch.tensor(boxes, dtype=torch.float64).to(measured.device)


class SiamTracker:
    """Tracks targets with one Siamese network (SiamRPN++, SiamMask) on one device.

    An engine runs the network; targets hold their own state, and several are searched for in one batch. Not
    thread-safe: one thread owns the device.
    """

    def __init__(
        self,
        entry: ZooEntry,
        network: SiameseNetwork,
        device: str = "auto",
        precision: Precision = "auto",
        engine: EngineName = "torch",
    ) -> None:
        """`entry` describes `network`; `device` is auto, cpu, cuda or cuda:N.

        Raises DeviceUnavailableError where the device does not exist, EngineUnavailableError where the
        engine is not installed or cannot run on it in this precision.
        """
        self.entry = entry
        self.device, self.device_note = resolve_device(device)
        self.engine, self.engine_note = choose_engine(engine, entry, network, self.device, precision)
        """What runs the network, and words on why it does."""
        self.step = captured_step(entry, self.engine)
        """What carries out the whole step on the device, where one does."""
        self._decoder = ResponseDecoder(entry, self.device)
        self.stages = StageTimes(self.device)
        """How long the stages of the last `track` took."""

    @classmethod
    def from_weights(
        cls,
        weights: str | Path,
        model: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        long_term: bool | None = None,
        engine: EngineName = "auto",
    ) -> SiamTracker:
        """Tracker from a weight file, by path or by name.

        `model` names the zoo entry where the file neither says nor fits exactly one. `long_term`
        overrides the entry's own setting. `engine` auto is the fastest on this machine, which is measured the
        first time and then remembered (`engines.choose`). Raises CheckpointError, UnknownModelError,
        AmbiguousModelError, DeviceUnavailableError or EngineUnavailableError.
        """
        resolve_device(device)
        path = find_weights(weights)
        checkpoint = read_checkpoint(path)
        entry = entry_of(checkpoint, model, str(path))
        if long_term is not None:
            entry = with_long_term(entry, long_term)
        network = SiameseNetwork(entry.model).eval()
        load_state(network, checkpoint.state, str(path))
        network.calibration = calibration_beside(path)
        return cls(entry, network, device, precision, engine)

    @property
    def has_masks(self) -> bool:
        """Whether this model gives masks and rotated boxes."""
        return self.entry.model.has_mask

    @torch.inference_mode()
    def init(self, frame: AnyFrame, box: Sequence[float], stamp: float | None = None) -> Target:
        """Take the target inside `box` (x, y, w, h px: top-left corner and size) of `frame`.

        `frame` is H x W x 3 BGR or H x W grey, uint8, an array or a tensor on any device; `stamp` its time in
        s. Raises InvalidFrameError or InvalidBoxError.
        """
        frame = checked_frame(frame)
        config = self.entry.tracking
        center = checked_box(box, frame.shape[1], frame.shape[0]).center_box(config.crop.first_center)
        fill = channel_mean(frame, config.crop)
        side = exemplar_side(center.w, center.h, config.context_amount)
        window = centred_window(center, side, config.crop)
        exemplar = self._network_input(self._cut(self._source(frame), [window], config.exemplar_size, [fill]))
        instance_size, small = config.instance_size, config.small_target
        if small is not None and center.w * center.h < small.area_share * frame.shape[0] * frame.shape[1]:
            instance_size = small.instance_size
        search_side = None
        if config.pyramid is not None:
            px = (window.side if config.pyramid.whole_exemplar else side) * (
                instance_size / config.exemplar_size
            )
            low, high = config.pyramid.side_limits
            search_side = SearchSide(px, low * px, high * px)
        template = self.engine.template(exemplar)
        return Target(template, center, fill, instance_size, search_side, stamp)

    @torch.inference_mode()
    def track(
        self,
        frame: AnyFrame,
        targets: Sequence[Target],
        masks: bool = False,
        stamp: float | None = None,
    ) -> list[TrackResult]:
        """Find `targets` in the next `frame`; their state moves on, one result each, in their order.

        With `masks` each result has its mask and rotated box. `stamp` is the frame's time in s; without it,
        or where it does not increase, 1/30 s is taken to have passed. Raises InvalidFrameError, or
        MaskUnavailableError where the model has no mask branch; no target has moved then.
        """
        frame = checked_frame(frame)
        if masks and not self.has_masks:
            raise MaskUnavailableError(f"{self.entry.name} has no mask branch; a siammask model has one")
        plans = [_plan_searches(target, self.entry.tracking, stamp) for target in targets]
        results: dict[int, TrackResult] = {}
        with nullcontext() if self.step is None else self.step.owned():
            self.stages.start()
            if self.step is not None and plans:
                self.stages.enter("preprocess")
                self.step.load(frame, [window for plan in plans for each in plan for window in each.windows])
            for indices in self._groups(plans):
                group = [plans[i] for i in indices]
                results.update(zip(indices, self._track_group(frame, group, masks, stamp), strict=True))
            self.stages.stop()
        return [results[i] for i in range(len(plans))]

    def _groups(self, plans: list[tuple[_Search, ...]]) -> list[list[int]]:
        """Which targets go through the network together, by their indices."""
        together: dict[object, list[list[int]]] = {}
        for index, plan in enumerate(plans):
            # A step on the device weighs the window for each target.
            key = plan[0].batch_key if self.step is None else plan[0].instance_size
            groups = together.setdefault(key, [[]])
            regions = sum(len(plans[i]) for i in (*groups[-1], index))
            if self.step is not None and groups[-1] and regions > MAX_TARGETS:
                groups.append([])
            groups[-1].append(index)
        return [group for groups in together.values() for group in groups]

    def _track_group(
        self, frame: AnyFrame, plans: list[tuple[_Search, ...]], masks: bool, stamp: float | None
    ) -> list[TrackResult]:
        response = None
        group = [search for plan in plans for search in plan]
        if self.step is not None:
            observations, found = self._search_on_device(self.step, frame, group, masks)
        else:
            observations, found, response = self._search(frame, group)
        rest, chosen, results = iter(range(len(group))), [], []
        for plan in plans:
            rows = list(islice(rest, len(plan)))
            verdict = self._judged(plan[0].target, [observations[row] for row in rows])
            row = rows[verdict.look if verdict is not None else 0]
            chosen.append(row)
            results.append(
                self._advance(group[row], observations[row], verdict, frame.shape[1], frame.shape[0], stamp)
            )
        if not masks:
            return results
        group = [group[row] for row in chosen]
        if response is not None and self.entry.model.region is not None:
            found = self._region_masks(frame, group, chosen, response)
        elif response is not None and not found:
            found = self._masks(
                frame, group, [observations[row].selection for row in chosen], chosen, response
            )
        else:
            found = [found[row] for row in chosen]
        fit = self.entry.tracking.box_fit
        return [
            replace(result, mask=mask, rotated_box=box_of_mask(mask, fit, result.box.center_box()))
            for result, mask in zip(results, found, strict=True)
        ]

    def _judged(self, target: Target, observations: list[Observation]) -> Verdict | None:
        """What a scan for a lost target has come to; None where there is none."""
        long_term, loss = self.entry.tracking.long_term, self.entry.tracking.loss
        if target.lost_search is None or long_term is None or long_term.scan is None:
            return None
        boxes = [observation.measured for observation in observations]
        signals = [self._signal(each) if _is_number(each) else 0.0 for each in observations]
        return judge(target.lost_search, boxes, signals, loss.high, long_term.scan)

    def _signal(self, observation: Observation) -> float:
        """What is held against the thresholds of loss."""
        if self.entry.tracking.loss.signal == "score":
            return observation.selection.score
        return observation.confidence

    def _search(
        self, frame: AnyFrame, group: list[_Search]
    ) -> tuple[list[Observation], list[TargetMask], Response]:
        """What is observed of a group, its masks if boxes come from them, and what more masks are made of."""
        config = self.entry.tracking
        instance_size, influence = group[0].instance_size, group[0].window_influence
        self.stages.enter("preprocess")
        crops = self._search_crops(frame, group)
        self.stages.enter("inference")
        template = stack_templates([s.target.template for s in group])
        response = self.engine.search(template, crops)
        self.stages.enter("postprocess")
        requests = Requests.of([search.request for search in group], self.device)
        selected = self._decoder.select(response.cls, response.loc, requests.sizes, instance_size, influence)
        measured = measured_boxes(selected, requests)
        found: list[TargetMask] = []
        if self.entry.model.region is not None:
            measured = self._refined_boxes(group, read_selections(selected), response)
        if config.box_source == "mask":
            found = self._masks(frame, group, read_selections(selected), range(len(group)), response)
            measured = _boxes_of_masks(found, measured, group)
        return read_observations(observe(selected, measured, requests, config)), found, response

    def _search_on_device(
        self, step: CapturedStep, frame: AnyFrame, group: list[_Search], masks: bool
    ) -> tuple[list[Observation], list[TargetMask]]:
        """What is observed of a group in the frame that was loaded, and its masks if they are needed."""
        config = self.entry.tracking
        asked = [search.request for search in group]
        masks = masks or config.box_source == "mask"
        self.stages.enter("inference")
        result = step.submit(asked, [s.target.template for s in group], group[0].instance_size, masks)
        step.wait()
        self.stages.enter("postprocess")
        observations = read_observations(result.observations)
        if result.masks is None:
            return observations, []
        selections = [each.selection for each in observations]
        found = self._pasted(frame, group, selections, result.masks)
        if config.box_source == "mask":
            packed = result.observations
            measured = _boxes_of_masks(found, packed[:, SELECTION_COLUMNS:], group)
            asked_here = Requests.of(asked, packed.device)
            observations = read_observations(
                observe(packed[:, :SELECTION_COLUMNS], measured, asked_here, config)
            )
        return observations, found

    def _search_crops(self, frame: AnyFrame, group: list[_Search]) -> Tensor:
        """The search regions of a group [R * N, 3, size, size], all targets at the first scale first."""
        source, size = self._source(frame), group[0].instance_size
        scales = range(len(group[0].windows))
        if group[0].nested is None:
            windows = [search.windows[scale] for scale in scales for search in group]
            fills = [search.target.fill for _ in scales for search in group]
            return self._network_input(self._cut(source, windows, size, fills))
        crops = []
        for search in group:
            assert search.nested is not None
            fill = search.target.fill
            (region,) = self._cut(source, [search.nested.outer], search.nested.side, [fill])
            whole = region.round().to(torch.uint8) if region.is_floating_point() else region.numpy()
            crops.append(self._cut(whole, search.windows, size, [fill] * len(scales)))
        return self._network_input(torch.stack(crops, dim=1).flatten(0, 1))

    def _source(self, frame: AnyFrame) -> AnyFrame | Tensor:
        """The frame where crops are taken: in host memory for the CPU, else on the device."""
        if self.device.type == "cpu":
            return frame
        if isinstance(frame, Tensor):
            return frame.to(self.device)
        return frame_tensor(frame).pin_memory().to(self.device, non_blocking=True)

    def _cut(
        self,
        source: AnyFrame | Tensor,
        windows: Sequence[Window],
        size: int,
        fills: Sequence[tuple[int, int, int]],
    ) -> Tensor:
        """Windows resized to [N, size, size, 3], uint8 on the CPU, else float32."""
        if isinstance(source, Tensor):
            return sample_windows(source, windows, size, fills)
        crops = [crop_window(source, window, size, fill) for window, fill in zip(windows, fills, strict=True)]
        return torch.from_numpy(np.stack(crops) if len(crops) > 1 else crops[0][None])

    def _network_input(self, images: Tensor) -> Tensor:
        """Images [N, size, size, 3] as the network takes them: [N, 3, size, size], channels last."""
        return images.permute(0, 3, 1, 2)

    def _advance(
        self,
        search: _Search,
        observation: Observation,
        verdict: Verdict | None,
        frame_width: int,
        frame_height: int,
        stamp: float | None,
    ) -> TrackResult:
        """Move the target's state on by what was observed in this frame; `verdict` is that of a scan."""
        config, target = self.entry.tracking, search.target
        dt, before, measured = search.dt, target.box, observation.measured
        score, signal, evidence, sure = observation.selection.score, 0.0, None, 0.0
        if _is_number(observation):
            evidence, sure, signal = observation.evidence, observation.confidence, self._signal(observation)
            after = measured._replace(w=observation.size[0], h=observation.size[1])
        else:
            # A response that is not a number says nothing: stand still, and be sure of nothing.
            score, measured, after = 0.0, before, before
        if verdict is not None and not verdict.found:
            # Sure of once is not found yet.
            sure, signal = min(sure, config.loss.high), min(signal, config.loss.high)
        target.condition = next_condition(target.condition, sure, signal, dt, config.confidence, config.loss)
        target.lost_frames = target.lost_frames + 1 if search.lost else 0
        target.stamp = stamp

        vx, vy = target.velocity
        long_term = config.long_term
        # What is seen of a lost target must be as sure as finding it asks, before its box goes there.
        tentative = long_term is not None and long_term.waits and target.condition.lost
        if long_term is not None and (signal < config.loss.low or tentative):
            coasting = long_term.waits and target.condition.state == TrackState.COASTING
            after = _predicted(target, dt) if coasting else before
            decay = math.exp(-dt / _COAST_TAU_S)
            target.velocity = (vx * decay, vy * decay)
        else:
            if target.side is not None:
                target.side = target.side.towards(target.side.px * measured.w / before.w, config.lr)
            # A step that may be an occluder's or a distractor's must not be coasted on.
            gain = sure * (1.0 - math.exp(-dt / _VELOCITY_TAU_S))
            target.velocity = (
                vx + gain * ((after.cx - before.cx) / dt - vx),
                vy + gain * ((after.cy - before.cy) / dt - vy),
            )
            if search.lost:
                # The leap to where a lost target is seen again is no motion of its own.
                target.velocity = (0.0, 0.0)
        width, height = frame_width - config.clip_inset, frame_height - config.clip_inset
        clipped = clip_to_frame(after, width, height, config.min_target_size)
        keeps_clip = config.clip_state and (long_term is None or long_term.clip_state)
        target.box = clipped if keeps_clip else after
        scan = long_term.scan if long_term is not None and target.condition.lost else None
        if scan is None:
            target.lost_search = None
        else:
            sighting = verdict.sighting if verdict is not None else None
            side, frame_size = _window_side(target, config), (frame_width, frame_height)
            target.lost_search = plan_looks(target.lost_search, sighting, target.box, side, frame_size, scan)
        result_box = clipped.corner_box(config.crop.result_center)
        return TrackResult(
            result_box, score, sure, target.condition.state, target.velocity, evidence=evidence
        )

    def _masks(
        self,
        frame: AnyFrame,
        group: list[_Search],
        selections: list[Selection],
        samples: Sequence[int],
        response: Response,
    ) -> list[TargetMask]:
        """The masks of the selected cells of `samples` of the response."""
        config = self.entry.tracking
        side = config.score_size(group[0].instance_size)
        rows, cols = zip(*[selection.cell(side) for selection in selections], strict=True)
        self.stages.enter("inference")
        logits = self.engine.masks(response, Cells(samples, rows, cols))
        probabilities = torch.sigmoid(logits.float()).cpu()
        self.stages.enter("postprocess")
        return self._pasted(frame, group, selections, probabilities)

    def _pasted(
        self, frame: AnyFrame, group: list[_Search], selections: list[Selection], probabilities: Tensor
    ) -> list[TargetMask]:
        """Masks [N, side, side] of the selected cells, in host memory, laid back into the frame."""
        config = self.entry.tracking
        side = config.score_size(group[0].instance_size)
        height, width = frame.shape[:2]
        masks = []
        for probability, search, selection in zip(probabilities.numpy(), group, selections, strict=True):
            row, col = selection.cell(side)
            place = place_of_mask(search.box, search.windows[0].side, search.instance_size, row, col, config)
            masks.append(
                paste_mask(probability, place, width, height, config.mask_threshold, config.mask_border)
            )
        return masks

    def _region_tensor(self, regions: Sequence[Region], samples: Sequence[int]) -> Tensor:
        """One region a sample, as the network takes them: [N, 5], the sample's number first."""
        rows = [(float(sample), *region) for sample, region in zip(samples, regions, strict=True)]
        return torch.tensor(rows, dtype=torch.float32).to(self.device, non_blocking=True)

    def _refined_boxes(self, group: list[_Search], selections: list[Selection], response: Response) -> Tensor:
        """The selected boxes after region refinement, [N, 4] as cx, cy, w, h, px of the frame."""
        size = group[0].instance_size
        regions = self._region_tensor(
            [proposal_region(selection, size) for selection in selections], range(len(group))
        )
        deltas = self.engine.region_deltas(response, regions, size).float().cpu().tolist()
        boxes = [
            box_of_selection(refined(selection, delta), search.crop, size, search.scale)
            for search, selection, delta in zip(group, selections, deltas, strict=True)
        ]
        return torch.tensor(boxes, dtype=torch.float64).to(self.device)

    def _region_masks(
        self, frame: AnyFrame, group: list[_Search], samples: Sequence[int], response: Response
    ) -> list[TargetMask]:
        """The masks of the boxes that the targets have now."""
        config, size = self.entry.tracking, group[0].instance_size
        regions = [region_of_box(search.target.box, search.crop, search.scale) for search in group]
        logits = self.engine.region_masks(response, self._region_tensor(regions, samples), size)
        probabilities = torch.sigmoid(logits.float()).cpu().numpy()
        height, width = frame.shape[:2]
        masks = []
        for probability, region, search in zip(probabilities, regions, group, strict=True):
            place = place_of_region(region, search.crop, size)
            masks.append(
                paste_mask(probability, place, width, height, config.mask_threshold, config.mask_border)
            )
        return masks
