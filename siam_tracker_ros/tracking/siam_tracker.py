"""The tracker: one network and device, any number of targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siam_tracker_ros.engines.build import EngineName, build_engine
from siam_tracker_ros.engines.device import Precision, resolve_device
from siam_tracker_ros.engines.engine import Response
from siam_tracker_ros.models.checkpoint import entry_of, load_state, read_checkpoint
from siam_tracker_ros.models.config import PyramidConfig, TrackingConfig, ZooEntry
from siam_tracker_ros.models.mask import Cells
from siam_tracker_ros.models.siamese import SiameseNetwork, stack_templates
from siam_tracker_ros.models.weights import find_weights
from siam_tracker_ros.models.zoo import with_long_term
from siam_tracker_ros.tracking.boxes import CenterBox, checked_box, clip_to_frame
from siam_tracker_ros.tracking.confidence import confidence, gather_evidence, next_condition
from siam_tracker_ros.tracking.crop import (
    Frame,
    Window,
    centred_window,
    channel_mean,
    checked_frame,
    crop_window,
    exemplar_side,
    frame_tensor,
    sample_windows,
)
from siam_tracker_ros.tracking.decode import (
    ResponseGrid,
    Selection,
    read_selections,
    response_grid,
    select,
)
from siam_tracker_ros.tracking.errors import InconsistentModelError, MaskUnavailableError
from siam_tracker_ros.tracking.mask_box import box_of_mask
from siam_tracker_ros.tracking.mask_paste import paste_mask, place_of_mask, place_of_region
from siam_tracker_ros.tracking.peak import PeakGrid, peak_grid, scale_factors, select_peak
from siam_tracker_ros.tracking.pyramid import NestedWindows, SearchSide, nested_windows, scaled_windows
from siam_tracker_ros.tracking.regions import (
    Region,
    box_of_selection,
    proposal_region,
    refined,
    region_of_box,
)
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
    """Where one target, which was at `box`, is searched for in one frame.

    `scale` is network px per frame px. There is a window for every scale searched; `nested` holds them where
    they are cut from one another.
    """

    target: Target
    box: CenterBox
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


def _plan_search(target: Target, config: TrackingConfig) -> _Search:
    box, instance_size, influence = target.box, target.instance_size, config.window_influence
    wide = config.long_term if target.condition.lost else None
    if wide is not None:
        instance_size = wide.instance_sizes[min(target.lost_frames, len(wide.instance_sizes) - 1)]
        influence = wide.window_influence
    search = partial(_Search, target, box, wide is not None, instance_size, influence)
    if config.pyramid is None or target.side is None:
        exemplar = exemplar_side(box.w, box.h, config.context_amount)
        side = exemplar * (instance_size / config.exemplar_size)
        return search(config.exemplar_size / exemplar, (centred_window(box, side, config.crop),))
    side = target.side.px * (instance_size / target.instance_size)
    factors = scale_factors(config.pyramid)
    if config.pyramid.nested:
        nested = nested_windows(box, side, factors, instance_size, config.crop)
        return search(instance_size / side, nested.inner, nested)
    return search(instance_size / side, scaled_windows(box, side, factors, config.crop))


def _measured_box(search: _Search, selection: Selection) -> CenterBox:
    """The selected box in px of the frame."""
    return CenterBox(
        search.box.cx + selection.dx / search.scale,
        search.box.cy + selection.dy / search.scale,
        selection.w / search.scale,
        selection.h / search.scale,
    )


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
        self.engine = build_engine(engine, entry, network, self.device, precision)
        """What runs the network."""
        self._grids: dict[int, ResponseGrid] = {}
        self.stages = StageTimes(self.device)
        """How long the stages of the last `track` took."""
        self._peak_grids: dict[int, PeakGrid] = {}

    @classmethod
    def from_weights(
        cls,
        weights: str | Path,
        model: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        long_term: bool | None = None,
        engine: EngineName = "torch",
    ) -> SiamTracker:
        """Tracker from a weight file, by path or by name.

        `model` names the zoo entry where the file neither says nor fits exactly one. `long_term`
        overrides the entry's own setting. Raises CheckpointError, UnknownModelError, AmbiguousModelError,
        DeviceUnavailableError or EngineUnavailableError.
        """
        resolve_device(device)
        path = find_weights(weights)
        checkpoint = read_checkpoint(path)
        entry = entry_of(checkpoint, model, str(path))
        if long_term is not None:
            entry = with_long_term(entry, long_term)
        network = SiameseNetwork(entry.model).eval()
        load_state(network, checkpoint.state, str(path))
        return cls(entry, network, device, precision, engine)

    @property
    def has_masks(self) -> bool:
        """Whether this model gives masks and rotated boxes."""
        return self.entry.model.has_mask

    @torch.inference_mode()
    def init(self, frame: Frame, box: Sequence[float], stamp: float | None = None) -> Target:
        """Take the target inside `box` (x, y, w, h px: top-left corner and size) of `frame`.

        `frame` is H x W x 3 BGR or H x W grey, uint8; `stamp` its time in s. Raises InvalidFrameError or
        InvalidBoxError.
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
        frame: Frame,
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
        self.stages.start()
        results: dict[int, TrackResult] = {}
        searches = [_plan_search(target, self.entry.tracking) for target in targets]
        for key in dict.fromkeys(search.batch_key for search in searches):
            indices = [i for i, search in enumerate(searches) if search.batch_key == key]
            group = [searches[i] for i in indices]
            results.update(zip(indices, self._track_group(frame, group, masks, stamp), strict=True))
        self.stages.stop()
        return [results[i] for i in range(len(searches))]

    def _track_group(
        self, frame: Frame, group: list[_Search], masks: bool, stamp: float | None
    ) -> list[TrackResult]:
        config = self.entry.tracking
        instance_size, influence = group[0].instance_size, group[0].window_influence
        self.stages.enter("preprocess")
        crops = self._search_crops(frame, group)
        self.stages.enter("inference")
        template = stack_templates([s.target.template for s in group])
        response = self.engine.search(template, crops)
        cls, loc = response.cls, response.loc
        self.stages.enter("postprocess")
        sizes = [(s.box.w * s.scale, s.box.h * s.scale) for s in group]
        size = torch.tensor(sizes, dtype=torch.float32).to(self.device, non_blocking=True)
        if config.pyramid is not None:
            peaks = self._peak_grid(config.pyramid, cls.shape[-1])
            selected = select_peak(cls[:, 1:], peaks, size, config.pyramid, influence)
        else:
            grid = self._grid(config.score_size(instance_size))
            if cls.shape[-1] != grid.score_size:
                raise InconsistentModelError(
                    f"{self.entry.name}: a search region of {instance_size} px gives {cls.shape[-1]} "
                    f"response cells a side, but its instance, exemplar and base size say {grid.score_size}"
                )
            selected = select(cls, loc, grid, size, config.penalty_k, influence)
        selections = read_selections(selected)
        found: list[TargetMask] = []
        measured = [_measured_box(s, selection) for s, selection in zip(group, selections, strict=True)]
        if self.entry.model.region is not None:
            measured = self._refined_boxes(group, selections, response)
        if config.box_source == "mask":
            found = self._masks(frame, group, selections, response)
            measured = [
                box_of_mask(mask, "min_max", box._replace(w=s.box.w, h=s.box.h)).center_box()
                for s, mask, box in zip(group, found, measured, strict=True)
            ]
        results = [
            self._advance(*each, frame.shape[1], frame.shape[0], stamp)
            for each in zip(group, selections, measured, strict=True)
        ]
        if not masks:
            return results
        if self.entry.model.region is not None:
            found = self._region_masks(frame, group, response)
        found = found or self._masks(frame, group, selections, response)
        return [
            replace(result, mask=mask, rotated_box=box_of_mask(mask, config.box_fit, result.box.center_box()))
            for result, mask in zip(results, found, strict=True)
        ]

    def _search_crops(self, frame: Frame, group: list[_Search]) -> Tensor:
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

    def _source(self, frame: Frame) -> Frame | Tensor:
        """The frame where crops are taken: in host memory for the CPU, else on the device."""
        if self.device.type == "cpu":
            return frame
        return frame_tensor(frame).pin_memory().to(self.device, non_blocking=True)

    def _cut(
        self,
        source: Frame | Tensor,
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

    def _grid(self, score_size: int) -> ResponseGrid:
        if score_size not in self._grids:
            self._grids[score_size] = response_grid(self.entry.tracking.anchors, score_size, self.device)
        return self._grids[score_size]

    def _peak_grid(self, pyramid: PyramidConfig, score_size: int) -> PeakGrid:
        if score_size not in self._peak_grids:
            self._peak_grids[score_size] = peak_grid(pyramid, score_size, self.device)
        return self._peak_grids[score_size]

    def _advance(
        self,
        search: _Search,
        selection: Selection,
        measured: CenterBox,
        frame_width: int,
        frame_height: int,
        stamp: float | None,
    ) -> TrackResult:
        """Move the target's state on by what was selected and measured (px of the frame) in this frame."""
        config, target = self.entry.tracking, search.target
        dt = NOMINAL_FRAME_S
        if stamp is not None and target.stamp is not None and stamp > target.stamp:
            dt = stamp - target.stamp
        before = search.box
        expected = before._replace(
            cx=before.cx + target.velocity[0] * dt, cy=before.cy + target.velocity[1] * dt
        )
        score, penalty, sure = selection.score, selection.penalty, 0.0
        evidence = None
        if all(map(math.isfinite, (*measured, score, penalty))) and min(measured.w, measured.h) > 0:
            evidence = gather_evidence(selection, expected, measured)
            sure = confidence(evidence, config.confidence)
        else:
            # A response that is not a number says nothing: stand still, and be sure of nothing.
            score, penalty, measured = 0.0, 0.0, before
        signal = score if config.loss.signal == "score" else sure
        target.condition = next_condition(target.condition, sure, signal, dt, config.confidence, config.loss)
        target.lost_frames = target.lost_frames + 1 if search.lost else 0
        target.stamp = stamp

        vx, vy = target.velocity
        long_term = config.long_term
        # What is seen of a lost target must be as sure as finding it asks, before its box goes there.
        tentative = long_term is not None and long_term.coast and target.condition.lost
        if long_term is not None and (signal < config.loss.low or tentative):
            after = before
            if long_term.coast and target.condition.state == TrackState.COASTING:
                after = expected
            decay = math.exp(-dt / _COAST_TAU_S)
            target.velocity = (vx * decay, vy * decay)
        else:
            if config.box_source == "mask":
                # A box read from the mask is the next reference as it is (SiamMask, section 3.3).
                lr = 1.0
            elif config.pyramid is not None:
                lr = config.lr
            else:
                lr = penalty * score * config.lr
            after = measured._replace(
                w=before.w * (1 - lr) + measured.w * lr, h=before.h * (1 - lr) + measured.h * lr
            )
            if target.side is not None:
                target.side = target.side.towards(target.side.px * measured.w / before.w, lr)
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
        result_box = clipped.corner_box(config.crop.result_center)
        return TrackResult(
            result_box, score, sure, target.condition.state, target.velocity, evidence=evidence
        )

    def _masks(
        self,
        frame: Frame,
        group: list[_Search],
        selections: list[Selection],
        response: Response,
    ) -> list[TargetMask]:
        """The masks of the selected cells."""
        config = self.entry.tracking
        side = config.score_size(group[0].instance_size)
        cells = [divmod(s.anchor % (side * side), side) for s in selections]
        rows, cols = [row for row, _ in cells], [col for _, col in cells]
        self.stages.enter("inference")
        logits = self.engine.masks(response, Cells(range(len(group)), rows, cols))
        probabilities = torch.sigmoid(logits.float()).cpu().numpy()
        self.stages.enter("postprocess")
        height, width = frame.shape[:2]
        masks = []
        for probability, search, row, col in zip(probabilities, group, rows, cols, strict=True):
            place = place_of_mask(search.box, search.windows[0].side, search.instance_size, row, col, config)
            masks.append(
                paste_mask(probability, place, width, height, config.mask_threshold, config.mask_border)
            )
        return masks

    def _region_tensor(self, regions: Sequence[Region]) -> Tensor:
        """One region a target, as the network takes them: [N, 5], the target's number first."""
        rows = [(float(i), *region) for i, region in enumerate(regions)]
        return torch.tensor(rows, dtype=torch.float32).to(self.device, non_blocking=True)

    def _refined_boxes(
        self, group: list[_Search], selections: list[Selection], response: Response
    ) -> list[CenterBox]:
        """The selected boxes after region refinement, px of the frame."""
        size = group[0].instance_size
        regions = self._region_tensor([proposal_region(selection, size) for selection in selections])
        deltas = self.engine.region_deltas(response, regions, size).float().cpu().tolist()
        return [
            box_of_selection(refined(selection, delta), search.crop, size, search.scale)
            for search, selection, delta in zip(group, selections, deltas, strict=True)
        ]

    def _region_masks(self, frame: Frame, group: list[_Search], response: Response) -> list[TargetMask]:
        """The masks of the boxes that the targets have now."""
        config, size = self.entry.tracking, group[0].instance_size
        regions = [region_of_box(search.target.box, search.crop, search.scale) for search in group]
        logits = self.engine.region_masks(response, self._region_tensor(regions), size)
        probabilities = torch.sigmoid(logits.float()).cpu().numpy()
        height, width = frame.shape[:2]
        masks = []
        for probability, region, search in zip(probabilities, regions, group, strict=True):
            place = place_of_region(region, search.crop, size)
            masks.append(
                paste_mask(probability, place, width, height, config.mask_threshold, config.mask_border)
            )
        return masks
