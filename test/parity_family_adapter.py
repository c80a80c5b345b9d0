"""Adapter between the stored numbers of the other trackers of the line (`check.py`) and this package.

`build` leaves the set to the module of the implementation that its numbers come from.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

_MODULES = {
    "foolwood/SiamMask": "parity_siammask",
    "msight-tech/research-siamattn": "parity_siamattn",
    "researchmm/SiamDW": "parity_siamdw",
    "huanglianghua/siamfc-pytorch": "parity_siamfc",
}


def build(name: str, meta: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> Any:
    """The adapter of one parity set: its name, its entry of sets.json, and its state dict of arrays."""
    repository = meta["source"].split()[0]
    return importlib.import_module(_MODULES[repository]).build(name, meta, state)
