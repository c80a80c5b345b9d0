"""From a network's response to the chosen box of each target, whichever kind of tracker it is."""

from __future__ import annotations

import torch
from torch import Tensor

from siam_tracker_ros.engines.one_thread import one_thread
from siam_tracker_ros.models.config import ZooEntry
from siam_tracker_ros.tracking.decode import ResponseGrid, response_grid, select
from siam_tracker_ros.tracking.errors import InconsistentModelError
from siam_tracker_ros.tracking.peak import PeakGrid, peak_grid, select_peak


class ResponseDecoder:
    """Chooses boxes by anchors or by the peak of a pyramid, and keeps the constants of each map size."""

    def __init__(self, entry: ZooEntry, device: torch.device) -> None:
        self._entry = entry
        self._device = device
        self._grids: dict[int, ResponseGrid] = {}
        self._peak_grids: dict[int, PeakGrid] = {}

    def select(
        self, cls: Tensor, loc: Tensor, sizes: Tensor, instance_size: int, window_influence: float | Tensor
    ) -> Tensor:
        """Responses to search regions of `instance_size` px -> [N, 9], the fields of Selection.

        `sizes` [N, 2] is each target's width and height so far, px of the search region; `window_influence`
        one number for all, or [N, 1]. Raises InconsistentModelError where the entry's constants do not belong
        to the network.
        """
        config = self._entry.tracking
        if config.pyramid is not None:
            peaks = self._peak_grid(cls.shape[-1])
            return select_peak(cls[:, 1:], peaks, sizes, config.pyramid, window_influence)
        grid = self._grid(config.score_size(instance_size))
        if cls.shape[-1] != grid.score_size:
            raise InconsistentModelError(
                f"{self._entry.name}: a search region of {instance_size} px gives {cls.shape[-1]} "
                f"response cells a side, but its instance, exemplar and base size say {grid.score_size}"
            )
        with one_thread(self._device):
            return select(cls, loc, grid, sizes, config.penalty_k, window_influence)

    def _grid(self, score_size: int) -> ResponseGrid:
        if score_size not in self._grids:
            self._grids[score_size] = response_grid(self._entry.tracking.anchors, score_size, self._device)
        return self._grids[score_size]

    def _peak_grid(self, score_size: int) -> PeakGrid:
        pyramid = self._entry.tracking.pyramid
        assert pyramid is not None
        if score_size not in self._peak_grids:
            self._peak_grids[score_size] = peak_grid(pyramid, score_size, self._device)
        return self._peak_grids[score_size]
