"""Which exemplar meets which search region (SiamFC's frame range; negative pairs: DaSiamRPN, ECCV 2018)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siam_tracker_ros.errors import SiamTrackerError
from siam_tracker_ros.training.config import DataConfig, PairConfig
from siam_tracker_ros.training.target_store import TargetStore


class NoPairsError(SiamTrackerError, ValueError):
    """A split that holds no track to draw pairs from."""


@dataclass(frozen=True)
class Pair:
    """Targets of a frame store: the exemplar's, and the one at the centre of the search region."""

    exemplar: int
    search: int
    is_negative: bool


@dataclass(frozen=True)
class Split:
    """Tracks of a store that belong together: tracks of sequences (two frames at least) and of stills."""

    sequences: NDArray[np.int64]
    stills: NDArray[np.int64]
    masked_targets: NDArray[np.int64]


def _is_held_out(group: str, is_still: bool, config: DataConfig) -> bool:
    if not is_still:
        return group in config.held_out_sequences
    # A hash of the name, so that adding footage moves nothing from one side to the other.
    return (zlib.crc32(group.encode()) % 10_000) < config.held_out_stills * 10_000


def split_tracks(store: TargetStore, config: DataConfig) -> tuple[Split, Split]:
    """(training, held-out) tracks of a store.

    Raises NoPairsError where a name in `held_out_sequences` is no sequence of the store, or nothing is left
    to train on.
    """
    unknown = set(config.held_out_sequences) - set(store.track_groups)
    if unknown:
        raise NoPairsError(f"held-out sequences that the store does not have: {', '.join(sorted(unknown))}")
    splits = []
    for wanted in (False, True):
        tracks = [
            track
            for track, (group, still) in enumerate(zip(store.track_groups, store.track_is_still, strict=True))
            if _is_held_out(group, bool(still), config) == wanted
        ]
        stills = [t for t in tracks if store.track_is_still[t]]
        sequences = [t for t in tracks if not store.track_is_still[t] and len(store.targets_of(t)) > 1]
        masked = [int(i) for t in tracks for i in store.targets_of(t) if store.has_mask(int(i))]
        splits.append(Split(np.array(sequences, int), np.array(stills, int), np.array(masked, int)))
    if not len(splits[0].sequences) and not len(splits[0].stills):
        raise NoPairsError("nothing is left to train on: every track of the store is held out")
    return splits[0], splits[1]


def _target_anywhere(store: TargetStore, split: Split, config: PairConfig, rng: np.random.Generator) -> int:
    from_sequences = len(split.sequences) and (not len(split.stills) or rng.random() < config.sequence_share)
    track = int(rng.choice(split.sequences if from_sequences else split.stills))
    return int(rng.choice(store.targets_of(track)))


def draw_pair(store: TargetStore, split: Split, config: PairConfig, rng: np.random.Generator) -> Pair:
    """A pair of `split`: same target within the frame range, same still twice, or a negative pair."""
    exemplar = _target_anywhere(store, split, config, rng)
    group = store.track_groups[store.track_of(exemplar)]
    if rng.random() < config.negative_share:
        for _ in range(8):
            other = _target_anywhere(store, split, config, rng)
            # Never of one sequence or still: the target itself may be in view there.
            if store.track_groups[store.track_of(other)] != group:
                return Pair(exemplar, other, is_negative=True)
    frames = store.targets_of(store.track_of(exemplar))
    position = int(np.searchsorted(frames, exemplar))
    low, high = max(position - config.frame_range, 0), position + config.frame_range + 1
    return Pair(exemplar, int(rng.choice(frames[low:high])), is_negative=False)
